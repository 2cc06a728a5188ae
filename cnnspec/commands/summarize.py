"""`cnnspec summarize`: what the network holds and costs, per node and in total."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cnnspec.commands.common import (
    AllowUnusedFlag,
    AtOption,
    BatchOption,
    DebugFlag,
    DtypeOption,
    IgnoreOption,
    InputOption,
    JsonFlag,
    SetOption,
    SpecArg,
    StrictFlag,
    answer,
    bytes_text,
    compile_spec,
    count,
    out,
    scaled,
    sizes,
    styled,
    warnings_of,
)
from cnnspec.commands.table import Column, plain, print_rich
from cnnspec.cost import Cost, Row, cost_of
from cnnspec.diagnostics import printable

if TYPE_CHECKING:
    from cnnspec.graph import Graph

LINES = 64
"""Rows that a folded table has at most."""


def summarize(
    spec: SpecArg,
    params: SetOption = None,
    at: AtOption = None,
    inputs: InputOption = None,
    batch: BatchOption = 1,
    dtype: DtypeOption = "float32",
    depth: Annotated[
        int | None, typer.Option("--depth", min=0, help="Fold the table at this depth of the paths; 0 folds nothing.")
    ] = None,
    allow_unused: AllowUnusedFlag = False,
    ignore: IgnoreOption = None,
    strict: StrictFlag = False,
    json: JsonFlag = False,
    debug: DebugFlag = False,
) -> int:
    symbols = sizes(at)
    graph = compile_spec(
        spec, params=params, inputs=inputs, allow_unused=allow_unused, ignore=ignore, strict=strict, quiet=json
    )
    cost = cost_of(graph, batch=batch, dtype=dtype, symbols=symbols)
    if json:
        found = warnings_of(graph.warnings, ignore, strict)
        return answer("summarize", json=True, data=summary(graph, cost), diagnostics=found)
    lines = folded(cost.rows, depth)
    cells = [_cells(line) for line in lines]
    if styled():
        out(_heading(graph))
        print_rich(COLUMNS, cells)
        out(_totals(graph, cost))
    else:
        out("\n".join([_heading(graph), "", plain(COLUMNS, cells), "", _totals(graph, cost)]))
    return 0


def summary(graph: Graph, cost: Cost) -> dict[str, Any]:
    """The data of `summarize --json`; shapes are concrete, bytes exact. `memory` comes with a later slice."""
    shapes = {row.path: row.shape for row in cost.rows}
    types = {path: node.type.at(cost.symbols).shape for path, node in graph.nodes.items() if path not in shapes}
    return {
        "name": graph.name,
        "inputs": {name: shapes[name] for name in graph.inputs},
        "outputs": {o.name: shapes.get(o.node) or types[o.node] for o in graph.outputs},
        "params": asdict(cost.params),
        "buffers": cost.buffers,
        "macs": cost.macs,
        "other": cost.other,
        "memory": None,
        "batch": cost.batch,
        "dtype": cost.dtype,
        "symbols": dict(cost.symbols),
        "weights_bytes": cost.weights_bytes,
        "activations_bytes": cost.activations_bytes,
        "activations_chain": asdict(cost.activations_chain),
        "nodes": [{name: getattr(row, name) for name in Row.__slots__} for row in cost.rows],
    }


@dataclass(frozen=True)
class Line:
    """One row of the table: a node, or all under one path."""

    name: str
    what: str
    row: Row
    params: int
    macs: int
    other: int
    activation_bytes: int


def folded(rows: Sequence[Row], depth: int | None) -> list[Line]:
    """Rows under one prefix of `depth` levels together; by default the deepest that keeps the table short."""
    if depth is None:
        deepest = max(row.path.count(".") for row in rows) + 1
        fits = (d for d in range(deepest, 1, -1) if len({_prefix(row, d) for row in rows}) <= LINES)
        depth = next(fits, 1)
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(_prefix(row, depth) if depth else row.path, []).append(row)
    return [_line(name, members) for name, members in groups.items()]


def _prefix(row: Row, depth: int) -> str:
    return ".".join(row.path.split(".", depth)[:depth])


def _line(name: str, rows: Sequence[Row]) -> Line:
    return Line(
        name=name,
        what=rows[0].op if len(rows) == 1 else f"{len(rows)} nodes",
        row=rows[-1],
        params=sum(row.params for row in rows),
        macs=sum(row.macs for row in rows),
        other=sum(row.other for row in rows),
        activation_bytes=sum(row.activation_bytes for row in rows),
    )


COLUMNS = (
    Column("node"),
    Column("operator", spare=2),
    Column("shape"),
    Column("params", right=True),
    Column("MACs", right=True),
    Column("other", right=True, spare=4),
    Column("bytes", right=True),
    Column("sees", right=True, spare=1),
    Column("line", right=True, spare=3),
)


def _cells(line: Line) -> tuple[str, ...]:
    row = line.row
    return (
        printable(line.name),
        line.what,
        "x".join(map(str, row.shape)),
        f"{line.params:,}" if line.params else "-",
        scaled(line.macs) if line.macs else "-",
        scaled(line.other) if line.other else "-",
        bytes_text(line.activation_bytes),
        "x".join(map(str, row.receptive_field)) or "-",
        str(row.line or "-"),
    )


def _heading(graph: Graph) -> str:
    return printable(f"{graph.name}: {graph.about}" if graph.about else graph.name)


def _totals(graph: Graph, cost: Cost) -> str:
    params, chain = cost.params, cost.activations_chain
    free = ", ".join(f"{name}={value}" for name, value in cost.symbols.items() if name != graph.batch)
    extra = params.training_total - params.total
    lines = [
        ("sizes", f"batch {cost.batch}{f', {free}' if free else ''}, {cost.dtype}"),
        ("outputs", ", ".join(f"{o.name}{' (training only)' if o.train_only else ''}" for o in graph.outputs)),
        ("parameters", count(params.total)),
        *([("in training", f"{count(params.training_total)}, {extra:,} for training-only outputs")] if extra else []),
        ("buffers", count(cost.buffers)),
        ("MACs", count(cost.macs)),
        ("other arithmetic", count(cost.other)),
        ("weights", _exact(cost.weights_bytes)),
        ("activations", f"{_exact(cost.activations_bytes)} for all nodes together"),
        ("two layers", f"{_exact(chain.bytes)}: the largest inputs and output of one node, {printable(chain.node)}"),
    ]
    return "\n".join(f"{name:<17} {text}" for name, text in lines)


def _exact(number: int) -> str:
    return f"{bytes_text(number)} ({number:,} bytes)"
