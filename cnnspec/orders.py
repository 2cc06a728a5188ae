"""Orders of a few nodes by the memory they hold at once: the search behind cnnspec.passes.schedule.

A set of nodes is an integer, one bit a node. A down-set holds the operands of all in it: what can have run so far. What
is held after it does not depend on the order in which it ran, so the least peak of every down-set follows from smaller
ones: dynamic programming, here from the lowest peak up, so that most down-sets are never met.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from heapq import heappop, heappush, nsmallest

EXACT = 24
"""Nodes of a stretch that is always searched for the best order."""
SETS = 100_000
"""Down-sets that are looked at in one search."""
WIDTH = 16
"""Down-sets of one size that the heuristic goes on with."""
LONGEST = 2_000
"""Nodes of a stretch that the heuristic orders; longer ones stay as written."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Memory that nodes make and read: from the node that makes it (None: it is there before) to its last reader."""

    size: int
    made: int | None
    read: int
    lasts: bool
    """Whether it is held after the stretch."""


@dataclass(frozen=True)
class Stretch:
    """Nodes 0, 1, ... as written; `before` has the operands of each among them, `base` what is held at the start."""

    base: int
    before: tuple[int, ...]
    pieces: tuple[Piece, ...]

    @cached_property
    def made(self) -> tuple[int, ...]:
        """What each node adds."""
        sizes = [0] * len(self.before)
        for piece in self.pieces:
            if piece.made is not None:
                sizes[piece.made] += piece.size
        return tuple(sizes)

    @cached_property
    def ends(self) -> tuple[tuple[tuple[int, int], ...], ...]:
        """For each node the pieces that are gone once it and their other readers have run: (readers, size)."""
        found: list[list[tuple[int, int]]] = [[] for _ in self.before]
        for piece in self.pieces:
            if not piece.lasts:
                for node in bits(piece.read):
                    found[node].append((piece.read, piece.size))
        return tuple(map(tuple, found))

    def ready(self, done: int) -> Iterator[int]:
        """Nodes that can run next."""
        for node in bits(~done & (1 << len(self.before)) - 1):
            if not self.before[node] & ~done:
                yield node

    def run(self, done: int, held: int, node: int) -> tuple[int, int, int]:
        """With one node more: the down-set, what is held after it, and while it ran."""
        done |= 1 << node
        most = held + self.made[node]
        return done, most - sum(size for read, size in self.ends[node] if not read & ~done), most

    def peak(self, order: Iterable[int]) -> int:
        """The most that is held at once in that order."""
        done, held, peak = 0, self.base, self.base
        for node in order:
            done, held, most = self.run(done, held, node)
            peak = max(peak, most)
        return peak

    def least(self) -> int:
        """What no order can do without: at some node, or where the last reader of a piece runs."""
        above, below = self._closures()
        return max(self._least_at(above, below), self._least_of_readers(above, below), self.base)

    def _closures(self) -> tuple[list[int], list[int]]:
        """For each node what must have run before it, and what can only run after it."""
        above: list[int] = []
        for before in self.before:
            reached = before
            for node in bits(before):
                reached |= above[node]
            above.append(reached)
        below = [0] * len(above)
        for node, reached in enumerate(above):
            for other in bits(reached):
                below[other] |= 1 << node
        return above, below

    def _least_at(self, above: Sequence[int], below: Sequence[int]) -> int:
        return max(self._held(above[node] | 1 << node, below[node] | 1 << node) for node in range(len(self.before)))

    def _least_of_readers(self, above: Sequence[int], below: Sequence[int]) -> int:
        """When the last reader of a piece runs, the others have run, and what that reader leads to has not."""
        least = 0
        for piece in self.pieces:
            if piece.read & piece.read - 1:
                readers = [*bits(piece.read)]
                run = piece.read
                for node in readers:
                    run |= above[node]
                least = max(least, min(self._held(run, below[node] | 1 << node) for node in readers))
        return least

    def _held(self, run: int, ahead: int) -> int:
        """The least that is held where `run` has been made for sure and `ahead` has not been left behind."""
        total = self.base
        for piece in self.pieces:
            if piece.made is None:
                gone = not piece.lasts and not piece.read & ahead
                total -= piece.size if gone else 0
            elif run >> piece.made & 1 and (piece.lasts or piece.read & ahead):
                total += piece.size
        return total


def bits(nodes: int) -> Iterator[int]:
    while nodes:
        low = nodes & -nodes
        yield low.bit_length() - 1
        nodes ^= low


def best(stretch: Stretch) -> tuple[Sequence[int], int]:
    """An order and its peak, never above that of the order as written.

    Exact for at most EXACT nodes, unless more than SETS down-sets must be looked at, and for more where they are fewer.
    Else a heuristic: of the down-sets of each size only the WIDTH with the lowest peaks, and least held, go on.
    """
    written = range(len(stretch.before))
    peak = stretch.peak(written)
    if len(written) > LONGEST or peak == (least := stretch.least()):
        return written, peak
    found = _search(stretch, least, SETS if len(written) <= EXACT else SETS // 10) or _beam(stretch)
    lower = stretch.peak(found)
    return (found, lower) if lower < peak else (written, peak)


def _search(stretch: Stretch, least: int, sets: int) -> list[int] | None:
    """The best order, lowest peak first; None where it takes more than so many down-sets."""
    whole = (1 << len(stretch.before)) - 1
    came: dict[int, tuple[int, int]] = {}
    heap = [(least, 0, 0, stretch.base, 0, -1)]
    while heap:
        peak, count, done, held, source, node = heappop(heap)
        if done in came:
            continue
        came[done] = source, node
        if done == whole:
            return _traced(came, done)
        if len(came) > sets:
            return None
        steps = [(*stretch.run(done, held, node), node) for node in stretch.ready(done)]
        for after, left, most, node in steps:
            if most <= peak and left <= held:  # it takes nothing, now or later: no order is worse for running it now
                steps = [(after, left, most, node)]
                break
        for after, left, most, node in steps:
            if after not in came:
                heappush(heap, (max(peak, most), count - 1, after, left, done, node))
    raise AssertionError("a graph without circles can be run")


def _traced(came: dict[int, tuple[int, int]], done: int) -> list[int]:
    order = []
    while done:
        done, node = came[done]
        order.append(node)
    return order[::-1]


def _beam(stretch: Stretch) -> list[int]:
    states = [(stretch.base, stretch.base, 0)]
    came: dict[int, tuple[int, int]] = {}
    for _ in stretch.before:
        found: dict[int, tuple[int, int, int, int, int]] = {}
        for peak, held, done in states:
            for node in stretch.ready(done):
                after, left, most = stretch.run(done, held, node)
                state = max(peak, most), left, after, done, node
                if after not in found or state < found[after]:
                    found[after] = state
        kept = nsmallest(WIDTH, found.values())
        came.update((after, (done, node)) for _, _, after, done, node in kept)
        states = [state[:3] for state in kept]
    return _traced(came, states[0][2])
