"""When every tensor of a graph is made and freed: one walk for inference, one for a training step.

A tensor lives from the node that makes it to the last node that reads it, in the order in which the graph's nodes run;
views and what is written in place share the memory of their operand. The caller's inputs and labels count nowhere.
docs/memory.md tells the rules and works an example by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import NamedTuple

from cnnspec.graph import Graph, Node
from cnnspec.inplace import overwritten
from cnnspec.mixed import casts, widths_of
from cnnspec.ops.base import AbstractOp
from cnnspec.ops.merge import Concat
from cnnspec.tensor import TensorType
from cnnspec.views import roots_of


class Extra(NamedTuple):
    """Bytes that a backend holds for one node besides the graph's tensors."""

    scratch: int = 0
    """Beside the result, freed when the node is done."""
    saved: int = 0
    """Kept for backward."""
    backward: int = 0
    """Beside the gradients, freed when the node's backward is done."""
    keeps: tuple[int, ...] | None = None
    """The operands that it keeps, where they are others than those the operator needs."""
    lasting: int = 0
    """Held until the forward pass ends."""


class Call(NamedTuple):
    """One node as it runs: `needs` says which operands need a gradient, `declared` holds their symbolic types."""

    y: TensorType
    xs: tuple[TensorType, ...]
    declared: tuple[TensorType, ...]
    needs: tuple[bool, ...]
    inplace: bool
    training: bool
    width: int
    """Bytes of a number of the result."""
    stats: int
    """Bytes of a number of weights and statistics."""
    widths: tuple[int, ...]
    """Bytes of a number of each operand."""
    last: bool = False
    """Whether the first operand lies channels last."""
    block: int = 1
    """Channels that a backend's convolutions keep together."""
    threads: int = 2
    """Those that its kernels run in."""


Table = Callable[[type[AbstractOp]], Callable[[AbstractOp, Call], Extra] | None]
"""The rule of an operator's class, None where it takes nothing besides."""
NOTHING = Extra()


def nothing(kind: type[AbstractOp]) -> None:
    """The table of the live figure: the graph's tensors and no others."""


@dataclass(frozen=True, slots=True)
class Peak:
    bytes: int
    at: str


@dataclass(slots=True)
class Heap:
    """Memory by name, each piece with the number of its holders; remembers the most there was and when."""

    now: int
    at: str = ""
    peak: Peak = field(default=Peak(0, ""))
    sizes: dict[Hashable, int] = field(default_factory=dict)
    holders: dict[Hashable, int] = field(default_factory=dict)

    def hold(self, name: Hashable, size: int) -> None:
        if name in self.holders:
            self.holders[name] += 1
            return
        self.holders[name], self.sizes[name] = 1, size
        self.now += size
        self.touch(0)

    def free(self, name: Hashable) -> None:
        self.holders[name] -= 1
        if not self.holders[name]:
            del self.holders[name]
            self.now -= self.sizes.pop(name)

    def touch(self, more: int) -> None:
        """Take this much more for a moment."""
        if self.now + more > self.peak.bytes:
            self.peak = Peak(self.now + more, self.at)


@dataclass(frozen=True, slots=True)
class Flow:
    """A graph at concrete sizes in one mode: whose memory every value lies in, and what it takes."""

    graph: Graph
    order: tuple[str, ...]
    """The paths as they run: inference by the graph's schedule, training as written."""
    types: Mapping[str, TensorType]
    over: Mapping[str, int]
    """Which operand a result is written over."""
    roots: Mapping[str, str]
    width: int
    """Bytes of a number of weights, and of values but where `widths` says otherwise."""
    table: Table
    training: bool
    needs: frozenset[str]
    """Values that need a gradient: a trained tensor lies before them."""
    last: frozenset[str] = frozenset()
    """Values that a backend lays channels last."""
    block: int = 1
    """Channels that its convolutions keep together; 0: they lay nothing anew."""
    threads: int = 2
    """Those that its kernels run in."""
    copied: frozenset[str] = frozenset()
    """Inputs that it copies for that."""
    widths: Mapping[str, int] = field(default_factory=dict)
    """Bytes of a number of each value, in mixed precision."""
    room: Mapping[str, int] = field(default_factory=dict)
    """Bytes of the memory of results, where a backend makes it larger than they are."""
    met: dict[object, Extra] = field(default_factory=dict)
    """What calls that were met take: repeats are alike."""

    def size(self, path: str) -> int:
        return self.types[path].elements * self.widths.get(path, self.width)

    def root(self, path: str) -> tuple[str, int]:
        """The memory that a value lies in, and its bytes; the caller's own counts 0."""
        root = self.roots[path]
        if root in self.room:
            return root, self.room[root]
        return root, 0 if root in self.graph.inputs and root not in self.copied else self.size(root)

    def extra(self, node: Node) -> Extra:
        """What the node takes besides its result."""
        extra = self._told(node)
        return self._cast(node, extra) if self.widths else extra

    def _cast(self, node: Node, extra: Extra) -> Extra:
        """The same with the casts of mixed precision, which are kept in the place of what they were cast from."""
        needs, inside = self._needed(node), node.path in self.needs
        found = casts(node, [self.types[name] for name in node.inputs], self.widths, needs)
        kept = node.op.kept(needs) if extra.keeps is None else extra.keeps
        saved = sum(size for place, size in found.operands.items() if inside and place in kept)
        weights = found.saved if inside else 0
        return extra._replace(
            scratch=extra.scratch + sum(found.operands.values()) - saved,
            saved=extra.saved + saved + weights,
            backward=extra.backward + found.weights,
            keeps=tuple(place for place in kept if place not in found.operands),
            lasting=found.weights - weights,
        )

    def _needed(self, node: Node) -> tuple[bool, ...]:
        return tuple(name in self.needs for name in node.inputs)

    def _told(self, node: Node) -> Extra:
        rule = self.table(type(node.op))
        if rule is None:
            return NOTHING
        needs, inplace = self._needed(node), node.path in self.over
        last = node.inputs[0] in self.last
        key = self.graph.alike[node.path], needs, inplace, last, *map(self.widths.get, (node.path, *node.inputs))
        if key not in self.met:
            xs = tuple(self.types[name] for name in node.inputs)
            width, *widths = (self.widths.get(name, self.width) for name in (node.path, *node.inputs))
            call = Call(
                *(self.types[node.path], xs, self.graph.input_types(node), needs, inplace, self.training),
                *(width, self.width, tuple(widths), last, self.block, self.threads),
            )
            self.met[key] = rule(node.op, call)
        return self.met[key]

    def kept(self, node: Node, extra: Extra) -> set[str]:
        """The memory that a node with a gradient keeps for its backward."""
        needs = self._needed(node)
        operands = node.op.kept(needs) if extra.keeps is None else extra.keeps
        kept = {self.roots[node.inputs[index]] for index in operands}
        return kept | {self.roots[node.path]} if "y" in node.op.keeps else kept


def flow(graph: Graph, types: Mapping[str, TensorType], width: int, *, training: bool, mixed: bool = False) -> Flow:
    """The flow of the whole graph in training, of the inference graph otherwise; `mixed`: in mixed precision."""
    used = graph if training else graph.inference()
    over = overwritten(graph)
    roots = roots_of(used, over, types, training=training)
    order = tuple(graph.nodes) if training else graph.schedule
    needs, widths = _needs(used) if training else frozenset(), widths_of(used, over) if mixed else {}
    return Flow(used, order, types, over, roots, width, nothing, training, needs, widths=widths)


def _needs(graph: Graph) -> frozenset[str]:
    """Values with a trained tensor before them and an output behind."""
    needs: set[str] = set()
    for path, node in graph.nodes.items():
        if path in graph.params or any(name in needs for name in node.read):
            needs.add(path)
    reached = {output.node for output in graph.outputs}
    for path in reversed([*graph.nodes]):
        if path in reached:
            reached.update(graph.nodes[path].read)
    return frozenset(needs & reached)


def inference(run: Flow, heap: Heap | None = None) -> Peak:
    """The most that the values of one pass take, and the node that sets it."""
    heap = Heap(0) if heap is None else heap
    _forward(run, heap)
    return heap.peak


@dataclass(frozen=True, slots=True)
class _Kept:
    """What a node holds for its backward."""

    extra: Extra
    memory: set[str]


def _forward(run: Flow, heap: Heap) -> dict[str, _Kept]:
    """Every node in turn; what is left are the outputs and, in training, what is kept for backward."""
    kept, lasting = {}, []
    left = {path: len(users) for path, users in run.graph.users.items()}
    for output in run.graph.outputs:
        left[output.node] += 1
    for path in run.order:
        node = run.graph.nodes[path]
        heap.at = path
        if node.inputs:
            extra = run.extra(node)
            heap.hold(*run.root(path))
            if path in run.needs:
                kept[path] = _Kept(extra, run.kept(node, extra))
                for name in kept[path].memory:
                    heap.hold(*run.root(name))
                heap.hold((path, "saved"), extra.saved)
            if extra.lasting:
                heap.hold((path, "lasting"), extra.lasting)
                lasting.append(path)
            heap.touch(extra.scratch)
            for source in node.inputs:
                left[source] -= 1
                if not left[source]:
                    heap.free(run.roots[source])
        else:
            heap.hold(*run.root(path))
            if not left[path]:
                heap.free(path)
    for path in lasting:
        heap.free((path, "lasting"))
    return kept


@dataclass(frozen=True, slots=True)
class Training:
    peak: Peak
    saved: int
    """What the nodes keep for backward, the loss apart."""


def training(run: Flow, heap: Heap, step: int) -> Training:
    """One step from what the heap holds on (weights and the optimizer's own); the optimizer takes `step` meanwhile."""
    kept = _forward(run, heap)
    saved = sum(run.root(root)[1] for root in set().union(*(held.memory for held in kept.values())))
    saved += sum(held.extra.saved for held in kept.values())
    gradients = _loss(run, heap)
    for path in reversed([*kept]):
        heap.at = f"backward of {path}"
        _backward(run, heap, gradients, run.graph.nodes[path], kept.pop(path))
    heap.at = "step"
    heap.touch(step)
    return Training(heap.peak, saved)


@dataclass(slots=True)
class _Gradients:
    """The gradient of each value so far: the memory it lies in, and whether it is all of that memory."""

    heap: Heap
    of: dict[str, tuple[Hashable, bool]] = field(default_factory=dict)
    made: int = 0

    def new(self, size: int) -> Hashable:
        self.made += 1
        name = ("gradient", self.made)
        self.heap.hold(name, size)
        return name

    def add(self, path: str, name: Hashable, whole: bool, size: int) -> None:
        """Take over one holding of `name` as the value's gradient, or as one summand of it."""
        if path not in self.of:
            self.of[path] = name, whole
            return
        before, owned = self.of[path]
        if not (owned and self.heap.holders[before] == 1):
            total = self.new(size)
            self.heap.free(before)
            self.of[path] = total, True
        self.heap.free(name)


def _loss(run: Flow, heap: Heap) -> _Gradients:
    """Cross-entropy over the channels of every output: it keeps the logarithms of the probabilities."""
    heap.at = "loss"
    gradients = _Gradients(heap)
    for output in run.graph.outputs:
        heap.hold(("loss", output.name), run.size(output.node))
    for path in {output.node: None for output in run.graph.outputs}:
        heap.free(run.roots[path])
    for output in reversed(run.graph.outputs):
        if output.node in run.needs:
            size = run.size(output.node)
            inner = gradients.new(size)
            gradients.add(output.node, gradients.new(size), True, size)
            heap.free(inner)
        heap.free(("loss", output.name))
    return gradients


def _backward(run: Flow, heap: Heap, gradients: _Gradients, node: Node, kept: _Kept) -> None:
    """Make the gradients of the node's operands and weights, then let go what it kept and its own gradient."""
    own, whole = gradients.of.pop(node.path)
    part = isinstance(node.op, Concat) and run.types[node.path].shape[0] != 1
    arrived: list[tuple[str, Hashable, bool]] = []
    for source in node.read:
        if source not in run.needs:
            continue
        if node.op.passes():
            heap.hold(own, 0)
            arrived.append((source, own, whole and not part))
        else:
            arrived.append((source, gradients.new(run.size(source)), True))
    for name, shape in run.graph.params.get(node.path, {}).items():
        heap.hold((node.path, name), prod(shape) * run.width)
    heap.touch(kept.extra.backward)
    for name in kept.memory:
        heap.free(name)
    heap.free((node.path, "saved"))
    heap.free(own)
    for source, memory, all_of_it in arrived:
        gradients.add(source, memory, all_of_it, run.size(source))
