"""`summarize --compare`: two networks side by side, in all and by the names of their entries."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnnspec.commands.table import Column, plain
from cnnspec.diagnostics import printable

if TYPE_CHECKING:
    from cnnspec.cost import Cost, Row
    from cnnspec.graph import Graph
    from cnnspec.memory import Figures


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two, and what it takes at the same sizes."""

    graph: Graph
    cost: Cost
    live: Figures


TOTALS: tuple[tuple[str, Callable[[Side], int]], ...] = (
    ("parameters", lambda side: side.cost.params.total),
    ("in training", lambda side: side.cost.params.training_total),
    ("buffers", lambda side: side.cost.buffers),
    ("MACs", lambda side: side.cost.macs),
    ("other arithmetic", lambda side: side.cost.other),
    ("weights, bytes", lambda side: side.cost.weights_bytes),
    ("activations, bytes", lambda side: side.cost.activations_bytes),
    ("two layers, bytes", lambda side: side.cost.activations_chain.bytes),
    ("live inference peak, bytes", lambda side: side.live.inference_peak),
    ("live training peak, bytes", lambda side: side.live.training_peak),
    ("nodes", lambda side: sum(bool(row.inputs) for row in side.cost.rows)),
)
ENTRIES: tuple[tuple[str, Callable[[Row], int]], ...] = (
    ("parameters", lambda row: row.params),
    ("MACs", lambda row: row.macs),
    ("activations, bytes", lambda row: row.activation_bytes if row.inputs else 0),
)


def beside(one: Side, other: Side) -> str:
    """The table: what is counted, the first network, the second, the change from the first to the second."""
    rows = _totals(one, other)
    for title, measure in ENTRIES:
        rows += [("",) * 4, (f"{title} by entry", "", "", "")]
        mine, theirs = (_by_entry(side.cost.rows, measure) for side in (one, other))
        rows += [_row(f"  {printable(name)}", mine.get(name), theirs.get(name)) for name in _in_order(mine, theirs)]
    return plain(_columns(one, other), rows)


def totals_beside(one: Side, other: Side) -> str:
    """The first part of the table alone."""
    return plain(_columns(one, other), _totals(one, other))


def _columns(one: Side, other: Side) -> tuple[Column, ...]:
    names = (Column(printable(side.graph.name), right=True) for side in (one, other))
    return (Column(""), *names, Column("change", right=True))


def _totals(one: Side, other: Side) -> list[tuple[str, ...]]:
    rows = [_row(name, count(one), count(other)) for name, count in TOTALS]
    if not any(of.cost.params.training_total - of.cost.params.total for of in (one, other)):
        rows = [row for row in rows if row[0] != "in training"]
    times = [[row.seconds for row in side.cost.rows if row.seconds is not None] for side in (one, other)]
    if all(times):
        rows.append(_row("least time, ns", *(round(1e9 * sum(seconds)) for seconds in times)))
    return [_sizes(one.cost, other.cost), *rows]


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
