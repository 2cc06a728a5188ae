"""`show --diff`: what changed in structure and in cost, as text and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnnspec.commands.compare import Side, totals_beside
from cnnspec.commands.repeats import folded
from cnnspec.commands.table import Column, plain
from cnnspec.cost import cost_of
from cnnspec.diagnostics import printable
from cnnspec.diff import Change, Diff, diff, params, together
from cnnspec.memory import memory_of
from cnnspec.wording import call

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cnnspec.graph import Graph, Node

COLUMNS = (Column(""), Column("node"), Column("operator"), Column("shape"), Column("params"), Column("of"))
"""The first tells what is gone (-), new (+) and changed (~)."""


def review_text(before: Graph, after: Graph) -> str:
    """What is gone and new, whole blocks in one line; what changed; repeats folded; then the totals side by side."""
    found = diff(before, after)
    parts = [f"{printable(before.name)} -> {printable(after.name)}: {_counts(found)}"]
    rows = [*_rows("-", found.removed, before, after), *_rows("+", found.added, after, before)]
    rows += map(_changed, found.changed)
    if rows:
        parts.append(plain(COLUMNS, folded(rows)))
    others = [f"output {name}: {_arrow(*pair)}" for name, pair in found.outputs.items()]
    others += [f"head {name}: {_arrow(*pair)}" for name, pair in found.heads.items()]
    others += [f"holds for {name} >= {one} -> {name} >= {other}" for name, (one, other) in found.bounds.items()]
    if others:
        parts.append(printable("\n".join(others)))
    parts.append(totals_beside(_side(before), _side(after)))
    return "\n\n".join(parts)


def review_json(before: Graph, after: Graph) -> dict[str, Any]:
    """The same as data, every node by itself."""
    found = diff(before, after)
    return {
        "before": before.name,
        "after": after.name,
        "removed": [_node(node) for node in found.removed],
        "added": [_node(node) for node in found.added],
        "changed": [_change(change) for change in found.changed],
        "outputs": {name: list(pair) for name, pair in found.outputs.items()},
        "heads": {name: list(pair) for name, pair in found.heads.items()},
        "bounds": {name: list(pair) for name, pair in found.bounds.items()},
        "cost": {"before": _cost(_side(before)), "after": _cost(_side(after))},
    }


def _counts(found: Diff) -> str:
    counts = {"removed": found.removed, "added": found.added, "changed": found.changed}
    said = ", ".join(f"{len(nodes)} {word}" for word, nodes in counts.items() if nodes)
    return f"{said} by path" if said else "the same nodes"


def _rows(sign: str, nodes: Iterable[Node], own: Graph, other: Graph) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for path, group in together(nodes, other).items():
        last, alone = group[-1], len(group) == 1
        name, what = (last.path, call(last.op)) if alone else (path, f"{len(group)} nodes")
        total = sum(params(own, node.path) for node in group)
        of = ", ".join(last.inputs) if alone else ""
        rows.append((sign, printable(name), what, str(last.type), f"{total:,}" if total else "", printable(of)))
    return rows


def _changed(change: Change) -> tuple[str, ...]:
    one, other = change.before, change.after
    ops = (call(one.op), call(other.op))
    return (
        "~",
        printable(one.path),
        _arrow(*ops) if one.op != other.op else ops[0],
        _arrow(str(one.type), str(other.type)) if change.reshaped else "",
        "{:,} -> {:,}".format(*change.params) if change.params[0] != change.params[1] else "",
        printable(_inputs(one.inputs, other.inputs)) if change.rewired else "",
    )


def _inputs(one: tuple[str, ...], other: tuple[str, ...]) -> str:
    """Those that differ; all where there are more or fewer."""
    if len(one) != len(other):
        return _arrow(", ".join(one), ", ".join(other))
    return ", ".join(_arrow(*pair) for pair in zip(one, other, strict=True) if pair[0] != pair[1])


def _arrow(one: str | None, other: str | None) -> str:
    return f"{'none' if one is None else one} -> {'none' if other is None else other}"


def _node(node: Node) -> dict[str, Any]:
    return {"path": node.path, "op": node.op.op, "shape": str(node.type), "inputs": list(node.inputs)}


def _change(change: Change) -> dict[str, Any]:
    one, other = change.before, change.after
    return {
        "path": one.path,
        "fields": {name: list(values) for name, values in change.fields.items()},
        "shape": [str(one.type), str(other.type)] if change.reshaped else None,
        "params": list(change.params) if change.params[0] != change.params[1] else None,
        "inputs": [list(one.inputs), list(other.inputs)] if change.rewired else None,
    }


def _side(graph: Graph) -> Side:
    """At the typical sizes, for one image; a training step with momentum."""
    return Side(graph, cost_of(graph), memory_of(graph).live)


def _cost(side: Side) -> dict[str, Any]:
    cost = side.cost
    return {
        "params": cost.params.total,
        "training_params": cost.params.training_total,
        "buffers": cost.buffers,
        "macs": cost.macs,
        "weights_bytes": cost.weights_bytes,
        "activations_bytes": cost.activations_bytes,
        "live": {"inference_peak": side.live.inference_peak, "training_peak": side.live.training_peak},
        "symbols": dict(cost.symbols),
    }
