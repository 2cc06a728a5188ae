"""A scene as Mermaid, which GitHub and many wikis draw from Markdown. Every text is escaped by its entities."""

from __future__ import annotations

from collections.abc import Iterator
from json import dumps

from cnnspec.diagnostics import printable
from cnnspec.drawing.colour import CLUSTERS, FAINT, RIM, Paint
from cnnspec.drawing.scene import Box, Cluster, Scene

GROUP = Paint(CLUSTERS[0], RIM, FAINT)
_SPECIAL = {mark: f"#{ord(mark)};" for mark in "#\"'&<>`\\;"}


def mermaid(scene: Scene, *, across: bool = False) -> str:
    """The whole text; `across` lays it out from left to right. The legend of colours stands as nodes of its own."""
    ids = {box.id: f"n{number}" for number, box in enumerate(scene.boxes)}
    paints = list(dict.fromkeys(box.paint for box in scene.boxes))
    body = [line for number, item in enumerate(scene.items) for line in _item(item, ids, f"g{number}", 1)]
    groups = [line.split()[1] for line in body if line.lstrip().startswith("subgraph ")]
    lines = [
        "---",
        f"title: {dumps(f'{_one_line(scene.name)}: {_one_line(scene.facts)}', ensure_ascii=False)}",
        "---",
        f"flowchart {'LR' if across else 'TD'}",
        *body,
        *(f"  {ids[e.source]} -->{_label(e.label)} {ids[e.target]}" for e in scene.edges),
        *_legend(scene),
        *(f"  classDef p{number} {_style(paint)}" for number, paint in enumerate(paints)),
        *(f"  class {_members(scene, ids, paint)} p{number}" for number, paint in enumerate(paints)),
        *(f"  style {group} {_style(GROUP)}" for group in [*groups, *(["legend"] if scene.legend else [])]),
    ]
    return "\n".join(lines) + "\n"


def _item(item: Box | Cluster, ids: dict[str, str], group: str, level: int) -> Iterator[str]:
    indent = "  " * level
    if isinstance(item, Box):
        text = "<br/>".join(map(_text, item.lines))
        opening, closing = ("([", "])") if item.pill else ("[", "]")
        yield f'{indent}{ids[item.id]}{opening}"{text}"{closing}'
        return
    yield f'{indent}subgraph {group} ["{_text(item.title)}"]'
    for number, inner in enumerate(item.items):
        yield from _item(inner, ids, f"{group}_{number}", level + 1)
    yield f"{indent}end"


def _label(label: str) -> str:
    return f'|"{_text(label)}"|' if label else ""


def _legend(scene: Scene) -> Iterator[str]:
    if scene.legend is None:
        return
    yield f'  subgraph legend ["{_text(scene.legend.title)}"]'
    for number, (paint, text) in enumerate(scene.legend.entries):
        yield f'    l{number}["{_text(text)}"]'
        yield f"    style l{number} {_style(paint)}"
    yield "  end"


def _style(paint: Paint) -> str:
    return f"fill:{paint.fill},stroke:{paint.line},color:{paint.ink}"


def _members(scene: Scene, ids: dict[str, str], paint: Paint) -> str:
    return ",".join(ids[box.id] for box in scene.boxes if box.paint == paint)


def _text(text: str) -> str:
    return "".join(_SPECIAL.get(mark, mark) for mark in _one_line(text))


def _one_line(text: str) -> str:
    return printable(text).replace("\n", " ").replace("\t", " ")
