"""The order in which inference runs: branches one after the other so that the least is held at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from cnnspec.graph import Graph
from cnnspec.inplace import overwritten
from cnnspec.orders import Piece, Stretch, best
from cnnspec.views import roots_of


def schedule(graph: Graph) -> tuple[str, ...]:
    """Paths of the inference graph, in an order whose peak is the smallest at the typical sizes; as written where that
    needs no more.

        x: image -> conv(1, 1)
        a: x -> conv(8, 1)                             as written: 8 maps of a, and twice 16 of b, while tanh runs
        b: x -> conv(16, 1) -> tanh -> conv(1, 1)      a last: 1 of x, which a still reads, and twice 16
        y: concat(a, b)

    A node that every other comes before or after stands at one place in all orders. What lies between two such nodes is
    a problem of its own; they are taken up from the highest peak down, until the peak of the whole cannot fall further.
    `cnnspec.orders.best` says what is exact. What is written over its operand is no choice: it never needs more.
    """
    paths = [*graph.nodes]
    held = _Held.of(graph)
    stretches = [
        (max(held.peaks[start:end]), start, end)
        for start, end in pairwise([0, *(place + 1 for place in _fixed(graph, held.at)), len(paths)])
        if start < end
    ]
    reached = 0
    for peak, start, end in sorted(stretches, key=lambda one: (-one[0], one[1])):
        if peak <= reached:
            break
        lower = peak
        if end - start > 2:
            order, lower = best(held.stretch(graph, start, end))
            paths[start:end] = [paths[start + place] for place in order] if lower < peak else paths[start:end]
        reached = max(reached, min(lower, peak))
    return tuple(paths)


@dataclass(frozen=True, slots=True)
class _Held:
    """The memory of every value as written: places in the order stand for nodes."""

    at: Mapping[str, int]
    roots: Mapping[str, str]
    sizes: Mapping[str, int]
    readers: Mapping[str, tuple[int, ...]]
    """Places of the nodes that read what lies in a memory, in order; an output's last is behind all."""
    starts: Sequence[int]
    """Held before each node."""
    peaks: Sequence[int]
    """Held while each node runs."""

    @classmethod
    def of(cls, graph: Graph) -> _Held:
        values, at = graph.sizes(), {path: place for place, path in enumerate(graph.nodes)}
        types = {path: node.type.at(values) for path, node in graph.nodes.items()}
        roots = roots_of(graph, overwritten(graph), types, training=False)
        readers: dict[str, set[int]] = {root: set() for root in roots.values()}
        for path, users in graph.users.items():
            readers[roots[path]].update(at[user] for user in users)
        for output in graph.outputs:
            readers[roots[output.node]].add(len(at))
        sizes = {root: 0 if root in graph.inputs else types[root].elements for root in readers}
        ends: list[int] = [0] * (len(at) + 1)
        for root, found in readers.items():
            ends[max(found, default=at[root])] += sizes[root]
        now, starts, peaks = 0, [], []
        for path, place in at.items():
            starts.append(now)
            now += sizes[path] if roots[path] == path else 0
            peaks.append(now)
            now -= ends[place]
        return cls(at, roots, sizes, {root: tuple(sorted(found)) for root, found in readers.items()}, starts, peaks)

    def stretch(self, graph: Graph, start: int, end: int) -> Stretch:
        inside = [*graph.nodes.values()][start:end]
        met = dict.fromkeys(self.roots[name] for node in inside for name in (*node.inputs, node.path))
        pieces = tuple(
            Piece(
                size=self.sizes[root],
                made=self.at[root] - start if self.at[root] >= start else None,
                read=sum(1 << place - start for place in self.readers[root] if start <= place < end),
                lasts=self.readers[root][-1] >= end,
            )
            for root in met
            if self.sizes[root]
        )
        before = (
            sum(1 << at - start for at in {self.at[name] for name in node.inputs} if at >= start) for node in inside
        )
        return Stretch(self.starts[start], tuple(before), pieces)


def _fixed(graph: Graph, at: Mapping[str, int]) -> list[int]:
    """Places of the nodes that every other comes before or after."""
    operands = [[at[name] for name in node.inputs] for node in graph.nodes.values()]
    waiting: set[int] = set()  # of the nodes so far those that none so far reads
    gathers = []
    for place, sources in enumerate(operands):
        waiting.difference_update(sources)
        waiting.add(place)
        gathers.append(len(waiting) == 1)
    found, first = [], len(operands)  # the earliest of the last operands of the nodes behind
    for place in reversed(range(len(operands))):
        if gathers[place] and first >= place:
            found.append(place)
        first = min(first, max(operands[place], default=-1))
    return found[::-1]
