"""What a drawing shows, whatever it is written in: boxes, the clusters around them, and the edges between."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from cnnspec.commands.common import bytes_text, scaled
from cnnspec.cost import Cost, Row
from cnnspec.drawing.colour import BLOCK, PLAIN, Legend, Measure, Paint, legend_of, of_family, of_share
from cnnspec.graph import Graph
from cnnspec.tree import Part, tree
from cnnspec.wording import call

BOXES = 40
"""Boxes that a drawing has at most unless a depth is given."""
TIMES = "×"
TEXT = 40
"""Characters of a line in a box."""


@dataclass(frozen=True)
class Box:
    """A node, a closed part, or where a tensor goes in or out (`pill`)."""

    id: str
    lines: tuple[str, ...]
    """The first is the name, the others are smaller."""
    paint: Paint
    tip: str
    pill: bool = False


@dataclass(frozen=True)
class Cluster:
    id: str
    title: str
    items: tuple[Box | Cluster, ...]


@dataclass(frozen=True)
class Edge:
    source: str
    target: str
    label: str


@dataclass(frozen=True)
class Scene:
    name: str
    facts: str
    items: tuple[Box | Cluster, ...]
    edges: tuple[Edge, ...]
    depth: int
    """Levels that are open; 0 for all, repeats written out."""
    legend: Legend | None

    @property
    def boxes(self) -> tuple[Box, ...]:
        return tuple(_boxes(self.items))


def scene_of(graph: Graph, cost: Cost, *, depth: int | None, measure: Measure | None) -> Scene:
    """The inference graph opened to a depth: 0 draws every node, None opens what keeps the drawing readable."""
    graph = graph.inference()
    parts = tree(graph, fold=depth != 0)
    if depth is None:
        depth = 1
        while _closed(parts, depth) and _size(parts, depth + 1) <= BOXES:
            depth += 1
    pen = _Pen(graph, cost, measure)
    items = [*pen.items(parts, depth or len(graph.nodes), ())]
    outputs = [_output(o.name, o.node) for o in graph.outputs]
    return Scene(
        name=graph.name,
        facts=_facts(graph, cost),
        items=(*items, *(box for box, _ in outputs)),
        edges=(*pen.edges(), *(Edge(pen.places[node][0], box.id, pen.shape(node)) for box, node in outputs)),
        depth=depth,
        legend=legend_of(measure) if measure else None,
    )


def _facts(graph: Graph, cost: Cost) -> str:
    inputs = {row.path: row.shape for row in cost.rows if row.path in graph.inputs}
    shapes = ", ".join(f"{name} {_shape(shape)}" for name, shape in inputs.items())
    return f"{shapes}  ·  {scaled(cost.params.total)} parameters  ·  {scaled(cost.macs)} MACs"


def _size(parts: Sequence[Part], depth: int) -> int:
    """How many boxes the parts make."""
    return sum(1 if part.leaf or depth == 1 else _size(part.parts, depth - 1) for part in parts)


def _closed(parts: Sequence[Part], depth: int) -> bool:
    """Whether there is more to open."""
    return any(not part.leaf and (depth == 1 or _closed(part.parts, depth - 1)) for part in parts)


def _boxes(items: Sequence[Box | Cluster]) -> Iterator[Box]:
    for item in items:
        if isinstance(item, Box):
            yield item
        else:
            yield from _boxes(item.items)


def _output(name: str, node: str) -> tuple[Box, str]:
    return Box(f"output {name}", (name,), PLAIN, f"output {name}", pill=True), node


Turns = tuple[tuple[str, int], ...]
"""The open parts of several repeats around a node, and which of them it is in."""


@dataclass
class _Pen:
    """Draws parts, and remembers in which box each node went."""

    graph: Graph
    cost: Cost
    measure: Measure | None
    places: dict[str, tuple[str, Turns]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rows: Mapping[str, Row] = {row.path: row for row in self.cost.rows}
        self.whole = sum(map(self.measure.of, self.cost.rows)) if self.measure else 0

    def items(self, parts: Sequence[Part], depth: int, around: tuple[Part, ...]) -> Iterator[Box | Cluster]:
        for part in parts:
            key = part.prefixes[0]
            if depth == 1 or part.leaf:
                self._remember(part, key, around)
                yield self._box(part, key)
            else:
                inside = self.items(part.parts, depth - 1, (*around, part) if part.times > 1 else around)
                yield Cluster(key, _title(part), tuple(inside))

    def edges(self) -> Iterator[Edge]:
        """From box to box, each once. A repeat's edge to the next repeat is left out: only one of them is drawn."""
        tensors: dict[tuple[str, str], dict[str, None]] = {}
        for path, node in self.graph.nodes.items():
            target, turns = self.places[path]
            for before in node.inputs:
                source, its = self.places[before]
                if source != target and not _later_turn(turns, its):
                    tensors.setdefault((source, target), {})[before] = None
        told: set[str] = set()
        for (source, target), paths in tensors.items():
            yield Edge(source, target, ", ".join(self.shape(path) for path in paths if path not in told))
            told.update(paths)

    def shape(self, path: str) -> str:
        return _shape(self.rows[path].shape)

    def _remember(self, part: Part, key: str, around: tuple[Part, ...]) -> None:
        for place, copy in enumerate(part.copies):  # a run's repeats come one after the other, in every part of it
            turns = tuple((run.prefixes[0], place // (part.times // run.times)) for run in around)
            self.places.update(dict.fromkeys(copy, (key, turns)))

    def _box(self, part: Part, key: str) -> Box:
        rows = [self.rows[path] for path in part.paths]
        node = self.graph.nodes[part.copies[0][0]]
        if part.leaf and not node.inputs:
            return Box(key, (key,), PLAIN, f"input {key}: {node.type}", pill=True)
        what = call(node.op) if part.leaf else part.contents.replace(" x ", f" {TIMES} ")
        title = _title(part, closed=True)
        lines = [title, what] if title.strip("0123456789 " + TIMES) else [f"{title} {what}".strip()]
        if self.measure:
            value = sum(map(self.measure.of, rows))
            share = value / self.whole if self.whole else 0.0
            lines += [f"{self.measure.text(value)} ({percent(share)})"] if value else []
            paint = of_share(share) if value else PLAIN
        else:
            paint = of_family(node.op) if part.leaf else BLOCK
        return Box(key, tuple(map(_cut, lines)), paint, _tip(part, rows, what))


def _later_turn(one: Turns, other: Turns) -> bool:
    """Whether two nodes stand in one run, but not both in its first repeat, the one that is drawn."""
    mine = dict(one)
    return any(run in mine and (mine[run] or turn) for run, turn in other)


def _title(part: Part, *, closed: bool = False) -> str:
    """What a box or cluster is called; nothing for a node whose operator says it all."""
    levels = part.labels[0].split(".")
    if part.leaf and part.nodes[part.copies[0][0]].op.op in (levels[-1], levels[-1].rpartition("_")[0]):
        levels = levels[:-1]
    elif closed and not part.leaf:
        levels = levels[:1]
    if part.times > 1 and levels:
        levels[0] = part.step
    return f"{part.times} {TIMES} {'.'.join(levels)}".rstrip() if part.times > 1 else ".".join(levels)


def percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share >= 0.0005 else "under 0.1 %"


def _tip(part: Part, rows: Sequence[Row], what: str) -> str:
    params, macs = sum(row.params for row in rows), sum(row.macs for row in rows)
    memory = bytes_text(sum(row.activation_bytes for row in rows))
    path = part.prefixes[0] if part.times == 1 else f"{part.prefixes[0]} .. {part.prefixes[-1]}"
    return f"{path}: {what}; {params:,} parameters, {macs:,} MACs, {memory}"


def _cut(text: str) -> str:
    return text if len(text) <= TEXT else f"{text[: TEXT - 1]}…"


def _shape(shape: Sequence[int]) -> str:
    """Sizes without the batch."""
    return TIMES.join(map(str, shape[1:]))
