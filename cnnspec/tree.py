"""The nodes of a graph by the levels of their paths, repeats that are alike folded: what tables and drawings show."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from cnnspec.graph import Graph, Node

Nodes = Mapping[str, Node]
PATTERN = 6
"""The most steps in a row that are looked for again right after."""


@dataclass(frozen=True, eq=False)
class Part:
    """A node, or all nodes under one path; or several such that are alike, one repeat after the other."""

    labels: tuple[str, ...]
    """What each repeat is called below the part above: `unit_2`, or `c4.stage` where a level holds nothing else."""
    copies: tuple[tuple[str, ...], ...]
    """The paths of each repeat's nodes; those of one place are at the same place of every repeat."""
    level: int
    """Levels of a path that the labels and what is above them take."""
    nodes: Nodes
    fold: bool = True

    @property
    def leaf(self) -> bool:
        return len(self.copies[0]) == 1

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(path for copy in self.copies for path in copy)

    @property
    def name(self) -> str:
        """The labels in one text: `unit_2 .. unit_36`."""
        return _span(self.labels[0], self.labels[-1])

    @property
    def short(self) -> str:
        """The name without the levels that hold nothing else: what it is called while closed."""
        return _span(_first(self.labels[0]), _first(self.labels[-1]))

    @property
    def prefixes(self) -> tuple[str, ...]:
        """The path of each repeat."""
        return tuple(".".join(copy[0].split(".")[: self.level]) for copy in self.copies)

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        return () if self.leaf else _parts(self.copies, self.level, self.nodes, self.fold)

    @property
    def times(self) -> int:
        return len(self.copies)

    @property
    def step(self) -> str:
        """The name of the steps that are folded: `unit`."""
        return numbered(_first(self.labels[0]))[0] if self.times > 1 else self.labels[0]

    @property
    def contents(self) -> str:
        """What is in one of them, by the names of the steps: `36 x unit`, or `2 x (conv, relu), maxpool`."""
        steps = [f"{times} x {name}" if times > 1 else name for name, times in self._steps()]
        texts, place = [], 0
        while place < len(steps):
            width = max(range(1, PATTERN + 1), key=lambda width: width * (_turns(steps, place, width) - 1))
            turns, found = _turns(steps, place, width), ", ".join(steps[place : place + width])
            texts.append(f"{turns} x ({found})" if turns > 1 else found)
            place += width * turns
        return ", ".join(texts)

    def _steps(self) -> Iterator[tuple[str, int]]:
        base, times = "", 0
        names = {_first(part.labels[0]) for part in self.parts}
        for part in self.parts:
            name, turns = _first(part.labels[0]), part.times // self.times
            step = name if numbered(name)[0] not in names else numbered(name)[0]
            if step != base and times:
                yield base, times
            base, times = step, (times if step == base else 0) + turns
        if times:
            yield base, times


def tree(graph: Graph, *, fold: bool = True) -> tuple[Part, ...]:
    """The entries of the graph, in its order; with `fold`, repeats that are alike are one part."""
    return _parts((tuple(graph.nodes),), 0, graph.nodes, fold)


def _parts(copies: Sequence[Sequence[str]], level: int, nodes: Nodes, fold: bool) -> tuple[Part, ...]:
    """The parts one level down; what is in every copy at one place becomes one part."""
    groups = [_grouped(paths, level) for paths in copies]
    names = [list(group) for group in groups]
    result = []
    for run in _runs(groups[0], level, nodes, fold):
        members = tuple(group[name] for group, own in zip(groups, names, strict=True) for name in own[run])
        deep = _shared(members[0], level + 1)
        labels = tuple(".".join(member[0].split(".")[level:deep]) for member in members)
        result.append(Part(labels, members, deep, nodes, fold))
    return tuple(result)


def _first(label: str) -> str:
    return label.split(".", 1)[0]


def _span(first: str, last: str) -> str:
    return first if first == last else f"{first} .. {last}"


def _turns(steps: Sequence[str], place: int, width: int) -> int:
    """How often the `width` steps from `place` on come one after the other."""
    turns = 1
    while steps[place : place + width] == steps[place + turns * width : place + (turns + 1) * width]:
        turns += 1
    return turns


def _grouped(paths: Sequence[str], level: int) -> dict[str, tuple[str, ...]]:
    groups: dict[str, list[str]] = {}
    for path in paths:
        groups.setdefault(path.split(".", level + 1)[level], []).append(path)
    return {name: tuple(group) for name, group in groups.items()}


def _shared(paths: Sequence[str], level: int) -> int:
    """The deepest level, from `level` on, at which the paths still go together."""
    first = paths[0].split(".")
    if len(paths) == 1:
        return len(first)
    last = [path.split(".") for path in paths[1:]]
    while level < len(first) and all(path[level : level + 1] == [first[level]] for path in last):
        level += 1
    return level


def _runs(groups: Mapping[str, tuple[str, ...]], level: int, nodes: Nodes, fold: bool) -> list[slice]:
    """Which groups stand together: steps of one name, numbered on, that are alike."""
    names = list(groups)
    starts = [0]
    for place in range(1, len(names)):
        (base, number), (before, last) = numbered(names[place]), numbered(names[place - 1])
        repeats = fold and base == before and number == last + 1 and base in groups
        if not repeats or not _alike(groups[names[place]], groups[names[place - 1]], level, nodes):
            starts.append(place)
    return [slice(a, b) for a, b in zip(starts, [*starts[1:], len(names)], strict=True)]


def numbered(name: str) -> tuple[str, int]:
    """A step's name and its number: `unit_3` is the third `unit`, `unit` the first."""
    match = re.fullmatch(r"(.+)_([2-9]|[1-9]\d{1,4})", name)
    return (match[1], int(match[2])) if match else (name, 1)


def _alike(one: Sequence[str], other: Sequence[str], level: int, nodes: Nodes) -> bool:
    """Whether two groups hold the same operators at the same shapes, joined in the same way."""
    if len(one) != len(other):
        return False
    return all(_sign(a, level, nodes) == _sign(b, level, nodes) for a, b in zip(one, other, strict=True))


def _sign(path: str, level: int, nodes: Nodes) -> tuple[object, ...]:
    """What a node is inside its group: tensors from outside count by their shape alone."""
    node = nodes[path]
    home = path.split(".")[: level + 1]
    inputs = tuple(_inside(source, home) or nodes[source].type for source in node.inputs)
    return _inside(path, home), node.op, node.type, inputs


def _inside(path: str, home: list[str]) -> str | None:
    levels = path.split(".")
    return ".".join(["", *levels[len(home) :]]) if levels[: len(home)] == home else None
