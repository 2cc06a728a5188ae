"""A scene as DOT, the language of Graphviz. Every text is escaped; labels are HTML-like, for lines of two sizes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape

from cnnspec.diagnostics import printable
from cnnspec.drawing.colour import CLUSTERS, FAINT, INK, LINE, PAPER, RIM, Legend
from cnnspec.drawing.scene import Box, Cluster, Scene

FONT = "DejaVu Sans,Verdana,Helvetica,Arial,sans-serif"
"""Verdana is as wide as DejaVu Sans, so that texts stay inside boxes measured with either."""


def dot(scene: Scene, *, across: bool = False, links: Mapping[str, str] | None = None) -> str:
    """The whole text; `across` lays it out from left to right. `links` are where boxes lead to, by their ids."""
    graph = {
        "label": _heading(scene),
        "labelloc": _quoted("t"),
        "labeljust": _quoted("l"),
        "rankdir": _quoted("LR" if across else "TB"),
        "bgcolor": _quoted(PAPER),
        "pad": "0.3",
        "nodesep": "0.28",
        "ranksep": "0.34",
        "fontname": _quoted(FONT),
        "fontcolor": _quoted(INK),
    }
    node = 'shape=box, style="rounded,filled", height=0.4, margin="0.16,0.07", penwidth=1.1, fontsize=11.5'
    edge = f'color="{LINE}", fontcolor="{FAINT}", fontsize=9.5, arrowsize=0.6, penwidth=1.1'
    lines = [
        f"digraph {_quoted(scene.name)} {{",
        *(f"  {name}={value};" for name, value in graph.items()),
        f"  node [{node}, fontname={_quoted(FONT)}];",
        f"  edge [{edge}, fontname={_quoted(FONT)}];",
        *(line for item in scene.items for line in _item(item, 1, links or {})),
        *(f"  {_edge(edge.source, edge.target, edge.label)}" for edge in scene.edges),
        "}",
    ]
    return "\n".join(lines) + "\n"


def _item(item: Box | Cluster, level: int, links: Mapping[str, str]) -> Iterator[str]:
    indent = "  " * level
    if isinstance(item, Box):
        yield indent + _box(item, links.get(item.id))
        return
    fill = CLUSTERS[min(level, len(CLUSTERS)) - 1]
    yield f"{indent}subgraph {_quoted(f'cluster {item.id}')} {{"
    yield f"{indent}  label={_html(item.title, bold=True)}; labeljust=l; fontsize=11; fontcolor={_quoted(FAINT)};"
    yield f'{indent}  style="rounded,filled"; fillcolor={_quoted(fill)}; color={_quoted(RIM)}; margin=10;'
    for inner in item.items:
        yield from _item(inner, level + 1, links)
    yield f"{indent}}}"


def _box(box: Box, link: str | None) -> str:
    name, *rest = box.lines
    small = "".join(f'<br/><font point-size="9.5">{_text(line)}</font>' for line in rest)
    label = f"<<b>{_text(name)}</b>{small}>" if rest or box.pill else f"<{_text(name)}>"
    style = ', style="rounded,filled", shape=box, margin="0.2,0.05", penwidth=1.6' if box.pill else ""
    paint = f"fillcolor={_quoted(box.paint.fill)}, color={_quoted(box.paint.line)}, fontcolor={_quoted(box.paint.ink)}"
    leads = f", URL={_quoted(link)}" if link else ""
    return f"{_quoted(box.id)} [label={label}, {paint}, tooltip={_quoted(box.tip)}{style}{leads}];"


def _edge(source: str, target: str, label: str) -> str:
    given = f" [label={_html(f' {label} ')}]" if label else ""
    return f"{_quoted(source)} -> {_quoted(target)}{given};"


def _heading(scene: Scene) -> str:
    """Name, facts and the legend, as one table."""
    rows = [
        f'<tr><td align="left"><font point-size="19"><b>{_text(scene.name)}</b></font></td></tr>',
        f'<tr><td align="left"><font point-size="11" color="{FAINT}">{_text(scene.facts)}</font></td></tr>',
        *([f'<tr><td align="left">{_legend(scene.legend)}</td></tr>'] if scene.legend else []),
        '<tr><td height="10"></td></tr>',
    ]
    return f'<<table border="0" cellborder="0" cellspacing="0" cellpadding="3">{"".join(rows)}</table>>'


def _legend(legend: Legend) -> str:
    cells = "".join(
        f'<td border="1" color="{paint.line}" bgcolor="{paint.fill}" width="16" height="11" fixedsize="true"></td>'
        f'<td><font point-size="9.5" color="{FAINT}">{_text(text)}   </font></td>'
        for paint, text in legend.entries
    )
    title = f'<td><font point-size="9.5" color="{FAINT}">{_text(legend.title)}:  </font></td>'
    return f'<table border="0" cellborder="0" cellspacing="2" cellpadding="1"><tr>{title}{cells}</tr></table>'


def _html(text: str, *, bold: bool = False) -> str:
    return f"<<b>{_text(text)}</b>>" if bold else f"<{_text(text)}>"


def _text(text: str) -> str:
    """Inside an HTML-like label, on one line."""
    return escape(_one_line(text))


def _quoted(text: str) -> str:
    """A quoted identifier or value: in these only the quote is special, and a backslash before it."""
    return '"' + _one_line(text).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _one_line(text: str) -> str:
    return printable(text).replace("\n", " ").replace("\t", " ")
