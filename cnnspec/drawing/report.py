"""One HTML file on a network: its graph, cost table, spec and diagnostics. Nothing in it is fetched from anywhere."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

from cnnspec.commands.common import bytes_text, count, scaled
from cnnspec.cost import Cost, Row
from cnnspec.diagnostics import Diagnostic, Source, printable
from cnnspec.drawing.chart import chart
from cnnspec.drawing.colour import Measure
from cnnspec.drawing.dot import dot
from cnnspec.drawing.render import render
from cnnspec.drawing.scene import Scene, scene_of
from cnnspec.graph import Graph
from cnnspec.timeline import timeline
from cnnspec.wording import call

MOST = 120
"""Boxes of the most open drawing."""
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
HEADS = ("node", "operator", "shape", "params", "MACs", "other", "bytes", "sees", "stride", "centre", "line", "of")
NUMBERS = ("params", "MACs", "other", "bytes", "sees", "stride", "centre", "line")


def report(graph: Graph, cost: Cost, found: Sequence[Diagnostic], measure: Measure | None) -> str:
    """The whole file. Raises MissingError where pygraphviz is not installed."""
    title = _text(graph.name)
    body = [
        f"<header><h1>{title}</h1><p>{_text(graph.about)}</p>{_facts(graph, cost)}",
        *(
            '<nav><a href="#graph">Graph</a><a href="#cost">Cost</a>',
            '<a href="#memory">Memory</a>',
            '<a href="#spec">Spec</a>',
        ),
        '<a href="#diagnostics">Diagnostics</a></nav></header><main>',
        f'<section id="graph"><h2>Graph</h2>{_drawings(graph, cost, measure)}</section>',
        f'<section id="cost"><h2>Cost</h2>{_table(graph, cost)}</section>',
        f'<section id="memory"><h2>Memory</h2>{_memory(graph, cost)}</section>',
        f'<section id="spec"><h2>Spec</h2>{"".join(_sources(graph, cost))}</section>',
        f'<section id="diagnostics"><h2>Diagnostics</h2>{_diagnostics(found)}</section></main>',
    ]
    style, script = (Path(__file__).with_name(f"report.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    head = f"""<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<title>{title}</title><style>
{style}</style>"""
    page = "\n".join(body)
    body_text = f"<body>\n{page}\n<script>\n{script}</script></body>"
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>{body_text}</html>\n'


def _facts(graph: Graph, cost: Cost) -> str:
    shapes = {row.path: row.shape for row in cost.rows}
    facts = [
        *((f"input {name}", "×".join(map(str, shapes[name]))) for name in graph.inputs),
        ("parameters", count(cost.params.total)),
        ("MACs", count(cost.macs)),
        ("weights", f"{bytes_text(cost.weights_bytes)}, {cost.dtype}"),
        ("activations", bytes_text(cost.activations_bytes)),
        ("nodes", str(sum(bool(row.inputs) for row in cost.rows))),
    ]
    return f"<dl>{''.join(f'<div><dt>{_text(name)}</dt><dd>{_whole(text)}</dd></div>' for name, text in facts)}</dl>"


def _whole(text: str) -> str:
    """A text in whose brackets no line breaks: `(60.2 M)`."""
    return re.sub(r"\(.*\)", lambda found: found[0].replace(" ", "&nbsp;"), _text(text))


def _drawings(graph: Graph, cost: Cost, measure: Measure | None) -> str:
    """One drawing a depth, from all closed to the most open one that can be read; the usual one is shown."""
    usual = scene_of(graph, cost, depth=None, measure=measure)
    scenes = [scene_of(graph, cost, depth=1, measure=measure)]
    while len(scenes) < usual.depth or len(scenes[-1].boxes) < MOST:
        deeper = scene_of(graph, cost, depth=len(scenes) + 1, measure=measure)
        too_many = len(deeper.boxes) > MOST and len(scenes) >= usual.depth
        if too_many or deeper.items == scenes[-1].items:
            break
        scenes.append(deeper)
    places = {row.path: place for place, row in enumerate(cost.rows)}
    choices = "".join(
        f'<label><input type="radio" name="depth" value="{scene.depth}"'
        f"{' checked' * (scene.depth == usual.depth)}> {scene.depth}</label>"
        for scene in scenes
    )
    tools = (
        f'<div class="tools"><fieldset><legend>open to depth</legend>{choices}</fieldset><span>'
        '<button data-zoom="0.8" aria-label="smaller">&minus;</button> <button data-zoom="1">fit</button> '
        '<button data-zoom="1.25" aria-label="larger">+</button></span>'
        '<span class="faint">a box leads to its nodes in the table</span></div>'
    )
    pictures = "".join(
        f'<div data-depth="{scene.depth}"{" hidden" * (scene.depth != usual.depth)}>{_svg(scene, places, graph)}</div>'
        for scene in scenes
    )
    return f'{tools}<div class="canvas" tabindex="0" role="group" aria-label="the graph">{pictures}</div>'


def _svg(scene: Scene, places: dict[str, int], graph: Graph) -> str:
    """A drawing to stand inside the page: without ids, which would be there once a drawing."""
    starts = {path: path for path in places}
    for path in reversed(places):
        levels = path.split(".")
        starts.update({".".join(levels[:size]): path for size in range(1, len(levels))})
    starts |= {f"output {output.name}": output.node for output in graph.outputs}
    links = {box.id: f"#n{places[starts[box.id]]}" for box in scene.boxes}
    svg = render(dot(scene, links=links), "svg").decode()
    svg = re.sub(r'<(g|a) id="[^"]*"', r"<\1", svg[svg.index("<svg") :])
    return re.sub(
        r'<svg width="\d+pt" height="\d+pt"', f'<svg role="group" aria-label="{_text(scene.name)}"', svg, count=1
    )


def _memory(graph: Graph, cost: Cost) -> str:
    """What is held while each node runs: live tensors, as docs/memory.md counts them."""
    at: dict[str, Any] = {"batch": cost.batch, "dtype": cost.dtype, "symbols": cost.symbols}
    found = timeline(graph, **at)
    places = {row.path: place for place, row in enumerate(cost.rows)}
    return (
        f'<p class="faint">Live tensors at batch {cost.batch}, {cost.dtype}; a bar for everything that runs.</p>'
        + chart("Inference, above the weights", found.inference, places)
        + chart("One training step with momentum, all in", found.training, places)
    )


def _table(graph: Graph, cost: Cost) -> str:
    heads = "".join(f'<th scope="col" aria-sort="none"{_side(name)}><button>{name}</button></th>' for name in HEADS)
    most = max((row.macs for row in cost.rows), default=0) or 1
    rows = "".join(_row(graph, row, place, most) for place, row in enumerate(cost.rows))
    tools = (
        '<div class="tools"><label>nodes with '
        '<input id="filter" type="search" placeholder="a part of the path or operator"></label>'
        f'<span id="shown" class="faint" role="status">{len(cost.rows)} of {len(cost.rows)} nodes</span></div>'
    )
    table = f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
    return f'{tools}<div class="wide" tabindex="0" role="group" aria-label="cost of every node">{table}</div>'


def _side(name: str) -> str:
    return ' class="right"' if name in NUMBERS else ""


def _row(graph: Graph, row: Row, place: int, most: int) -> str:
    node = graph.nodes[row.path]
    share = f"{100 * row.macs / most:.1f}%"
    stride, centre = ("×".join(f"{size:.6g}" for size in sizes) for sizes in (row.stride, row.centre))
    sees, link = "×".join(map(str, row.receptive_field)), _line_link(graph, row.path)
    cells = [
        (row.path, _text(row.path), ""),
        (row.op, _text(call(node.op)), ""),
        ("x".join(f"{size:09}" for size in row.shape), "×".join(map(str, row.shape)), ""),
        (row.params, f"{row.params:,}" if row.params else "", ' class="right"'),
        (row.macs, scaled(row.macs) if row.macs else "", f' class="right share" style="--share:{share}"'),
        (row.other, scaled(row.other) if row.other else "", ' class="right"'),
        (row.activation_bytes, bytes_text(row.activation_bytes), ' class="right"'),
        (max(row.receptive_field, default=0), sees, ' class="right"'),
        (max(row.stride, default=0), stride, ' class="right"'),
        (max(row.centre, default=0), centre, ' class="right"'),
        (row.line or 0, link, ' class="right"'),
        (" ".join(row.inputs), _text(", ".join(row.inputs)), ""),
    ]
    tds = "".join(f'<td data-value="{escape(str(value))}"{kind}>{text}</td>' for value, text, kind in cells)
    return f'<tr id="n{place}">{tds}</tr>'


def _line_link(graph: Graph, path: str) -> str:
    span = graph.nodes[path].span
    if span is None:
        return ""
    name = "" if span.source is graph.source else f"{Path(span.source.path).name}:"
    return f'<a href="#{_anchor(_files(graph).index(span.source), span.line)}">{_text(name)}{span.line}</a>'


def _files(graph: Graph) -> list[Source]:
    """The file itself, then those that wrote some of its nodes."""
    spans = (node.span for node in graph.inference().nodes.values())
    root = [graph.source] if graph.source is not None else []
    return list(dict.fromkeys([*root, *(span.source for span in spans if span is not None)]))


def _anchor(file: int, line: int) -> str:
    return f"f{file}l{line}"


def _sources(graph: Graph, cost: Cost) -> Iterator[str]:
    """Every file, each line with the nodes it wrote."""
    written: dict[tuple[int, int], list[int]] = {}
    files = _files(graph)
    for place, row in enumerate(cost.rows):
        if (span := graph.nodes[row.path].span) is not None:
            written.setdefault((files.index(span.source), span.line), []).append(place)
    for number, source in enumerate(files):
        items = []
        for line, text in enumerate(source.text.splitlines(), 1):
            places = written.get((number, line), [])
            told = _told([cost.rows[place] for place in places])
            link = f'<a href="#n{places[0]}">{told}</a>' if places else ""
            items.append(f'<li id="{_anchor(number, line)}"><code>{_text(text) or " "}</code>{link}</li>')
        yield f'<h3>{_text(Path(source.path).name)}</h3><ol class="code">{"".join(items)}</ol>'


def _told(rows: Sequence[Row]) -> str:
    params = sum(row.params for row in rows)
    nodes = f"{len(rows)} node{'s' * (len(rows) != 1)}"
    return f"{nodes}, {scaled(params)} params" if params else nodes


def _diagnostics(found: Sequence[Diagnostic]) -> str:
    if not found:
        return '<p class="faint">No warnings.</p>'
    ordered = sorted(found, key=lambda one: one.sort_key)
    return "".join(f"<pre>{escape(str(one))}</pre>" for one in ordered)


def _text(text: str) -> str:
    return escape(printable(text))
