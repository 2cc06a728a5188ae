"""`summarize --compare`: two networks side by side, in all and by the names of their entries."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from cnnspec.commands.table import Column, plain
from cnnspec.diagnostics import printable

if TYPE_CHECKING:
    from cnnspec.cost import Cost, Row
    from cnnspec.graph import Graph

TOTALS: tuple[tuple[str, Callable[[Cost], int]], ...] = (
    ("parameters", lambda cost: cost.params.total),
    ("in training", lambda cost: cost.params.training_total),
    ("buffers", lambda cost: cost.buffers),
    ("MACs", lambda cost: cost.macs),
    ("other arithmetic", lambda cost: cost.other),
    ("weights, bytes", lambda cost: cost.weights_bytes),
    ("activations, bytes", lambda cost: cost.activations_bytes),
    ("two layers, bytes", lambda cost: cost.activations_chain.bytes),
    ("nodes", lambda cost: sum(bool(row.inputs) for row in cost.rows)),
)
ENTRIES: tuple[tuple[str, Callable[[Row], int]], ...] = (
    ("parameters", lambda row: row.params),
    ("MACs", lambda row: row.macs),
    ("activations, bytes", lambda row: row.activation_bytes),
)


def beside(one: Graph, cost: Cost, other: Graph, its: Cost) -> str:
    """The table: what is counted, the first network, the second, the change from the first to the second."""
    rows = _totals(cost, its)
    for title, measure in ENTRIES:
        rows += [("",) * 4, (f"{title} by entry", "", "", "")]
        mine, theirs = _by_entry(cost.rows, measure), _by_entry(its.rows, measure)
        rows += [_row(f"  {printable(name)}", mine.get(name), theirs.get(name)) for name in _in_order(mine, theirs)]
    return plain(_columns(one, other), rows)


def totals_beside(one: Graph, cost: Cost, other: Graph, its: Cost) -> str:
    """The first part of the table alone."""
    return plain(_columns(one, other), _totals(cost, its))


def _columns(one: Graph, other: Graph) -> tuple[Column, ...]:
    names = (Column(printable(graph.name), right=True) for graph in (one, other))
    return (Column(""), *names, Column("change", right=True))


def _totals(cost: Cost, its: Cost) -> list[tuple[str, ...]]:
    rows = [_row(name, count(cost), count(its)) for name, count in TOTALS]
    if not any(of.params.training_total - of.params.total for of in (cost, its)):
        rows = [row for row in rows if row[0] != "in training"]
    return [_sizes(cost, its), *rows]


def _sizes(cost: Cost, its: Cost) -> tuple[str, ...]:
    return ("input", *("x".join(map(str, of.rows[0].shape)) for of in (cost, its)), "")


def _row(name: str, one: int | None, other: int | None) -> tuple[str, ...]:
    return (name, *("-" if number is None else f"{number:,}" for number in (one, other)), change(one, other))


def change(one: int | None, other: int | None) -> str:
    """`+17.2 %`; nothing where a side is not there or nothing changes."""
    if one is None or other is None or one == other:
        return ""
    if not one:
        return "new"
    percent = 100 * (other - one) / one
    return f"x {other / one:.3g}" if percent >= 1000 else f"{percent:+.3g} %"


def _by_entry(rows: Iterable[Row], measure: Callable[[Row], int]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for row in rows:
        entry = row.path.partition(".")[0]
        sums[entry] = sums.get(entry, 0) + measure(row)
    return {name: number for name, number in sums.items() if number}


def _in_order(one: Iterable[str], other: Iterable[str]) -> list[str]:
    """The names of both, those of one alone where they stand in it."""
    first, second = list(one), list(other)
    found: list[str] = []
    for name in second:
        if name in first:
            found += [own for own in first[: first.index(name)] if own not in second and own not in found]
        found.append(name)
    return found + [own for own in first if own not in found]
