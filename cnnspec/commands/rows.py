"""The rows and columns of `summarize`: nodes, or the parts of the tree, opened to a depth, chosen and sorted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cnnspec.commands.common import bytes_text, scaled, seconds_text
from cnnspec.commands.table import Column
from cnnspec.cost import Row
from cnnspec.diagnostics import UsageError, did_you_mean, printable
from cnnspec.tree import Part

NODES = 64
"""Nodes that are all shown unless a depth is given."""
LINES = 40
"""Rows of a tree, unless a depth is given: a screen."""
CONTENTS = 44
"""Characters of what is said to be in a closed part."""


@dataclass(frozen=True)
class Line:
    """One row of the table: a node, or all in one part of the tree. Its numbers are sums over every repeat."""

    path: str
    op: str
    inputs: str
    shape: tuple[int, ...]
    params: int
    buffers: int
    macs: int
    other: int
    bytes: int
    sees: tuple[int, ...]
    stride: tuple[float, ...]
    centre: tuple[float, ...]
    line: int | None
    time: float | None = None
    indent: int = 0
    closed: bool = False
    """Whether it stands for several nodes that no row below shows."""


@dataclass(frozen=True)
class Field:
    """A column that can be asked for: its header, how a value is written, whether the largest comes first."""

    column: Column
    text: Callable[[Any], str]
    descending: bool = True


def _number(value: int | None) -> str:
    return f"{value:,}" if value else "-"


def _short(value: int) -> str:
    return scaled(value) if value else "-"


def _sizes(value: Sequence[float]) -> str:
    return "x".join(f"{size:.6g}" if isinstance(size, float) else str(size) for size in value) or "-"


FIELDS = {
    "path": Field(Column("node"), printable, descending=False),
    "op": Field(Column("operator", spare=1), str, descending=False),
    "inputs": Field(Column("of", spare=6), printable, descending=False),
    "shape": Field(Column("shape"), _sizes),
    "params": Field(Column("params", right=True), _number),
    "buffers": Field(Column("buffers", right=True, spare=5), _number),
    "macs": Field(Column("MACs", right=True), _short),
    "other": Field(Column("other", right=True, spare=4), _short),
    "bytes": Field(Column("bytes", right=True), bytes_text),
    "sees": Field(Column("sees", right=True, spare=2), _sizes),
    "stride": Field(Column("stride", right=True, spare=8), _sizes),
    "centre": Field(Column("centre", right=True, spare=7), _sizes),
    "line": Field(Column("line", right=True, spare=3), lambda value: str(value or "-"), descending=False),
    "time": Field(Column("time", right=True), lambda value: seconds_text(value) if value else "-"),
}
SHOWN = ("path", "op", "shape", "params", "macs", "other", "bytes", "sees", "line")
COLUMNS = tuple(FIELDS[name].column for name in SHOWN)


def chosen(text: str | None, usual: Iterable[str] = SHOWN) -> tuple[str, ...]:
    """The columns of `--columns path,macs`; raises UsageError for one that there is not."""
    return tuple(map(known, text.split(","))) if text is not None else tuple(usual)


def known(text: str) -> str:
    """The column of that name, in any case; raises UsageError where there is none."""
    name = text.strip().lower()
    if name not in FIELDS:
        help = did_you_mean(name, FIELDS) or f"the columns are {', '.join(FIELDS)}"
        raise UsageError(f"there is no column '{text.strip()}'", help)
    return name


def depth_of(text: str | None) -> int | None:
    """The number of `--depth`; 0 stands for every node, None for what fits on a screen. Raises UsageError."""
    if text is None or text == "all":
        return None if text is None else 0
    if not (text.isascii() and text.isdigit() and 0 < len(text) < 4 and int(text)):
        raise UsageError(f"--depth wants a number of levels, at least 1, or all, got '{text}'")
    return int(text)


def lines_of(parts: Sequence[Part], rows: Sequence[Row], depth: int | None, sort: str | None = None) -> list[Line]:
    """Every node by its whole path (`depth` 0), or the tree opened to a depth, siblings sorted where asked."""
    if depth == 0 or (depth is None and len(rows) <= NODES):
        return sorted((_line(row.path, row.op, [row]) for row in rows), key=lambda line: _key(line, sort))
    given = {row.path: row for row in rows}
    if depth is not None:
        return _opened(parts, given, depth, sort)
    found = _opened(parts, given, 1, sort)
    while len(deeper := _opened(parts, given, levels(found) + 1, sort)) <= LINES and len(deeper) > len(found):
        found = deeper
    return found


def levels(lines: Sequence[Line]) -> int:
    """How many levels of the tree the lines show."""
    return max(line.indent for line in lines) + 1


def _opened(
    parts: Sequence[Part], rows: Mapping[str, Row], depth: int, sort: str | None, indent: int = 0
) -> list[Line]:
    heads = []
    for part in parts:
        opened = depth > 1 and not part.leaf
        name = part.name if opened or part.leaf else part.short
        line = _line(name, what(part, rows), [rows[path] for path in part.paths])
        heads.append((replace(line, indent=indent, closed=not opened and not part.leaf), part))
    found = []
    for line, part in sorted(heads, key=lambda head: _key(head[0], sort)):
        found.append(line)
        if depth > 1:
            found += _opened(part.parts, rows, depth - 1, sort, indent + 1)
    return found


def what(part: Part, rows: Mapping[str, Row]) -> str:
    """The operator of a node, or what is in a part: `35 x (main, add, relu)`."""
    if part.leaf:
        op = rows[part.copies[0][0]].op
        return f"{part.times} x {op}" if part.times > 1 else op
    text = part.contents
    if len(text) > CONTENTS:
        text = f"{text[:CONTENTS].rpartition(',')[0]}, ..."
    return f"{part.times} x ({text})" if part.times > 1 else text


def _line(name: str, op: str, rows: Sequence[Row]) -> Line:
    last = rows[-1]
    return Line(
        path=name,
        op=op,
        inputs=", ".join(last.inputs) if len(rows) == 1 else "",
        shape=last.shape,
        params=sum(row.params for row in rows),
        buffers=sum(row.buffers for row in rows),
        macs=sum(row.macs for row in rows),
        other=sum(row.other for row in rows),
        bytes=sum(row.activation_bytes for row in rows),
        sees=last.receptive_field,
        stride=last.stride,
        centre=last.centre,
        line=last.line,
        time=None if last.seconds is None else sum(row.seconds or 0.0 for row in rows),
    )


def _key(line: Line, by: str | None) -> Any:
    """What `--sort` goes by: counts and sizes from the largest on, else as written; what is equal stays in order."""
    value = getattr(line, by) if by else 0
    if by and FIELDS[by].descending:
        return tuple(-size for size in value) if isinstance(value, tuple) else -value
    return value or 0 if by in (None, "line") else value


def cells(line: Line, names: Sequence[str]) -> tuple[str, ...]:
    """The texts of one row."""
    texts = (FIELDS[name].text(getattr(line, name)) for name in names)
    return tuple("  " * line.indent + text if name == "path" else text for name, text in zip(names, texts, strict=True))
