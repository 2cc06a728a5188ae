"""The compiled network: an immutable DAG whose nodes know their operator, type, path and the line that wrote them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from cnnspec.diagnostics import Diagnostic, Source, Span, UsageError, printable
from cnnspec.ops.base import AbstractOp
from cnnspec.tensor import Dim, TensorType
from cnnspec.values import show

if TYPE_CHECKING:
    import networkx

    from cnnspec.cost import Cost
    from cnnspec.memory import Memory
    from cnnspec.spec import Weights
    from cnnspec.symbolic import Symbolic


@dataclass(frozen=True, slots=True)
class Frame:
    """One instantiation on the way to a node: the block as called, and where."""

    name: str
    args: tuple[tuple[str, object], ...]
    span: Span
    parent: Frame | None

    @property
    def depth(self) -> int:
        """1 for a block called in the net, 2 for one called in that, and so on."""
        depth, frame = 1, self.parent
        while frame is not None:
            depth, frame = depth + 1, frame.parent
        return depth

    def lines(self, here: Span) -> tuple[str, ...]:
        """`in unit(filters=128), line 14`, innermost first."""
        frame: Frame | None = self
        lines = []
        while frame is not None:
            given = ", ".join(f"{name}={show(value)}" for name, value in frame.args)
            lines.append(f"in {frame.name}({given}), {frame.span.seen_from(here)}")
            frame = frame.parent
        return tuple(lines)


@dataclass(frozen=True, slots=True)
class Node:
    """One call of an operator. Equality leaves out where it was written."""

    path: str
    op: AbstractOp
    inputs: tuple[str, ...]
    type: TensorType
    span: Span | None = field(default=None, compare=False, repr=False)
    frame: Frame | None = field(default=None, compare=False, repr=False)

    @property
    def read(self) -> tuple[str, ...]:
        """The operands that the result's values depend on; of `like` the sizes alone are taken."""
        return self.inputs[:1] if self.op.operands == ("x", "like") else self.inputs

    @property
    def chain(self) -> tuple[str, ...]:
        """The instantiations that led here, innermost first."""
        if self.frame is None or self.span is None:
            return ()
        return self.frame.lines(self.span)


@dataclass(frozen=True, slots=True)
class Output:
    name: str
    node: str
    train_only: bool = False


@dataclass(frozen=True, slots=True)
class Head:
    """How outputs are read: `kind` is classify, locate, detect or segment."""

    kind: str
    of: tuple[str, ...]
    labels: tuple[str, ...] | None = None
    lowest: bool = False
    anchors: tuple[tuple[tuple[float, float], ...], ...] | None = None
    shared_classes: bool = False
    label_set: str | None = field(default=None, compare=False)
    """The name of the shipped labels, where the spec names one."""


@dataclass(frozen=True)
class Graph:
    """A network whose every shape is proved. `nodes` is in an order in which inputs come before their users."""

    name: str
    about: str
    nodes: Mapping[str, Node]
    inputs: tuple[str, ...]
    outputs: tuple[Output, ...]
    typical: Mapping[str, int]
    bounds: Mapping[str, int]
    heads: Mapping[str, Head] = field(default_factory=lambda: MappingProxyType({}))
    weights: Mapping[str, Weights] = field(default_factory=lambda: MappingProxyType({}), compare=False)
    used: Mapping[str, Path] = field(default_factory=lambda: MappingProxyType({}), compare=False, repr=False)
    """The file of each spec that this one uses, by the path its nodes stand under."""
    warnings: tuple[Diagnostic, ...] = field(default=(), compare=False, repr=False)
    expected: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}), compare=False, repr=False)
    """What the file's `expect` holds, by name, where it was checked."""
    source: Source | None = field(default=None, compare=False, repr=False)

    @cached_property
    def dag(self) -> networkx.DiGraph[str]:
        """The same as a networkx graph: paths joined by edges, each path with its `node`."""
        import networkx

        dag: networkx.DiGraph[str] = networkx.DiGraph()
        for path, node in self.nodes.items():
            dag.add_node(path, node=node)
            dag.add_edges_from((source, path) for source in node.inputs)
        return dag

    @cached_property
    def hash(self) -> str:
        """The SHA-256 of the graph's canonical JSON without `about`."""
        from cnnspec.canonical import digest

        return digest(self)

    @cached_property
    def symbols(self) -> tuple[str, ...]:
        """The symbols of the inputs' sizes; the batch comes first."""
        return tuple(dict.fromkeys(s for name in self.inputs for s in self.nodes[name].type.symbols))

    @property
    def batch(self) -> str:
        """The symbol of axis 0."""
        size = self.nodes[self.inputs[0]].type.shape[0]
        return size.symbol if isinstance(size, Dim) else "N"

    def input_types(self, node: Node) -> tuple[TensorType, ...]:
        return tuple(self.nodes[path].type for path in node.inputs)

    @cached_property
    def params(self) -> Mapping[str, Mapping[str, tuple[int, ...]]]:
        """The shapes of the trained tensors of every node that has some, by path and name; no sizes decide them."""
        met: dict[int, Mapping[str, tuple[int, ...]]] = {}
        found = {}
        for path, node in self.nodes.items():
            alike = self.alike[path]
            if alike not in met:
                met[alike] = MappingProxyType(node.op.params(*self.input_types(node)) if node.inputs else {})
            if met[alike]:
                found[path] = met[alike]
        return MappingProxyType(found)

    @cached_property
    def alike(self) -> Mapping[str, int]:
        """A number for every path, the same where operators and the types of their operands are."""
        met: dict[object, int] = {}
        return {p: met.setdefault((node.op, self.input_types(node)), len(met)) for p, node in self.nodes.items()}

    @cached_property
    def users(self) -> Mapping[str, tuple[str, ...]]:
        """The paths that read each path's value, each as often as it reads it."""
        users: dict[str, list[str]] = {path: [] for path in self.nodes}
        for path, node in self.nodes.items():
            for source in node.inputs:
                users[source].append(path)
        return {path: tuple(found) for path, found in users.items()}

    def inference(self) -> Graph:
        """The graph without training-only outputs and what only they need."""
        from cnnspec.passes.prune import prune

        if not any(output.train_only for output in self.outputs):
            return self
        outputs = tuple(output for output in self.outputs if not output.train_only)
        kept = {name: head for name, head in self.heads.items() if not set(head.of) - {o.name for o in outputs}}
        return prune(replace(self, outputs=outputs, heads=MappingProxyType(kept)))

    @cached_property
    def schedule(self) -> tuple[str, ...]:
        """The paths of the inference graph in the order in which inference runs; `nodes` keeps the order as written.

        It is worked out when asked for and is no part of what the graph is: paths, keys, hash and files do not know it.
        """
        from cnnspec.passes.schedule import schedule

        return schedule(self.inference())

    def sizes(self, **symbols: int) -> dict[str, int]:
        """A value for every symbol: those given, else the typical ones, else the smallest legal; checks the bounds."""
        if unknown := [name for name in symbols if name not in self.symbols]:
            known = ", ".join(self.symbols)
            raise UsageError(f"'{printable(unknown[0])}' is no symbol of {self.name}; it has {known}")
        values = {}
        for name in self.symbols:
            least = self.bounds.get(name, 1)
            value = symbols.get(name, self.typical.get(name, least))
            if value < least:
                raise UsageError(f"{name} = {value} is too small: {self.name} wants {name} >= {least}")
            values[name] = value
        return values

    def at(self, **symbols: int) -> Graph:
        """The same graph with every size a number; raises UsageError for values below the bounds."""
        values = self.sizes(**symbols)
        cache: dict[TensorType, TensorType] = {}
        nodes = {}
        for path, node in self.nodes.items():
            if node.type not in cache:
                cache[node.type] = node.type.at(values)
            nodes[path] = replace(node, type=cache[node.type])
        return replace(self, nodes=MappingProxyType(nodes))

    def cost(self, batch: int = 1, dtype: str = "float32", **symbols: int) -> Cost:
        """Parameters, MACs and activations at a batch and at symbol values (typical ones unless told otherwise)."""
        from cnnspec.cost import cost_of

        return cost_of(self, batch=batch, dtype=dtype, symbols=symbols)

    def symbolic(self) -> Symbolic:
        """The cost as expressions in the symbols of the inputs, and the smallest legal sizes."""
        from cnnspec.symbolic import symbolic_of

        return symbolic_of(self)

    def memory(
        self,
        batch: int = 1,
        dtype: str = "float32",
        optimizer: str = "momentum",
        amp: str | None = None,
        device: str = "cpu",
        **symbols: int,
    ) -> Memory:
        """Bytes of inference and of a training step at a batch and at symbol values (typical unless told otherwise).

        `device`, cpu or cuda, is the one that `with_backend` is of. Raises UsageError as memory_of and memory_table do.
        """
        from cnnspec.backend import memory_table
        from cnnspec.memory import memory_of

        table = memory_table("torch", device)
        return memory_of(self, batch=batch, dtype=dtype, amp=amp, optimizer=optimizer, symbols=symbols, backend=table)

    def lower(self, backend: str, seed: int = 0) -> Any:
        """The network in a backend: `torch` gives a torch.nn.Module; weights start from (seed, path)."""
        from cnnspec.backend import find

        return find(backend).lower(self, seed=seed)

    def __str__(self) -> str:
        """The summary: what goes in and out, and the cost at the typical size."""
        cost = self.cost()
        sizes = ", ".join(f"{name}={value}" for name, value in cost.symbols.items())
        lines = [
            f"{printable(self.name)}: {len(self.nodes) - len(self.inputs)} nodes",
            *(f"  {name} {self.nodes[name].type}" for name in self.inputs),
            *(f"  -> {o.name} {self.nodes[o.node].type}{' (training only)' * o.train_only}" for o in self.outputs),
            f"  {cost.params.total:,} parameters, {cost.macs:,} MACs at {sizes}",
        ]
        return "\n".join(lines)
