"""Dense layers as convolutions: a classifier becomes a network that gives a grid of predictions on larger images.

Over maps that are flattened, dense(f) is conv(f, [H, W], padding=valid) with the same weights in another shape; over a
vector it is conv(f, 1): Long, Shelhamer and Darrell 2014 (arXiv 1411.4038), section 3.1. Windows then share what they
have in common: Sermanet et al. 2013 (1312.6229), section 3.5.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import Any

from cnnspec.diagnostics import Diagnostic, SpecError, UsageError
from cnnspec.graph import Graph, Node
from cnnspec.ops.activation import AbstractActivation
from cnnspec.ops.base import AbstractOp, PerAxis
from cnnspec.ops.conv import Conv
from cnnspec.ops.dense import Dense
from cnnspec.ops.pool import AbstractGlobalPool, AdaptiveAvgPool, AvgPool, GlobalAvgPool, MaxPool
from cnnspec.ops.window import axis_name, per_axis
from cnnspec.passes.anysize import any_size, misfit
from cnnspec.passes.bounds import bounds
from cnnspec.passes.rewrite import Tensors, rewritten
from cnnspec.tensor import ShapeError, TensorType

BY_VALUE = {"dropout", "stochastic_depth", "add", "maximum", "multiply"}
"""What treats all values of a vector alike, besides the activations but for two."""
BY_CHANNEL = {"batchnorm", "channel_affine", "channels", "concat", "layernorm", "normalize", "prelu", "softmax"}
"""What tells the values of a vector apart by their numbers, which are other ones before maps are flattened."""


def convolutionalize(graph: Graph, tensors: Tensors = MappingProxyType({}), **symbols: int) -> tuple[Graph, Tensors]:
    """The graph of inference as a fully convolutional one, and its tensors by the same names, reshaped.

        grid, state = cnnspec.convolutionalize(graph, model.state_dict())
        net = grid.lower("torch")
        net.load_state_dict(state)

    At the input's size (where it has symbols: at these values, or the typical ones) [N, F] becomes [N, F, 1, 1] with
    the same numbers; larger images give a grid. Raises SpecError with every node that has no such form, UsageError
    where there is nothing to do.
    """
    graph = graph.inference()
    if len(graph.inputs) != 1 or graph.nodes[graph.inputs[0]].type.rank < 3:
        types = " and ".join(f"{name} {graph.nodes[name].type}" for name in graph.inputs)
        raise UsageError(f"{graph.name} takes {types}, a grid of predictions wants one image")
    if all(_spread(graph.nodes[output.node].type) for output in graph.outputs):
        what = ", ".join(f"{output.name} {graph.nodes[output.node].type}" for output in graph.outputs)
        raise UsageError(f"{graph.name} gives grids already: {what}")
    nodes, moved = _converted(graph, graph.at(**symbols))
    fixed, changed = rewritten(graph, nodes, moved, tensors)
    weights = {
        f"{path}.weight": tensors[f"{path}.weight"].reshape(node.op.filters, *fixed.input_types(node)[0].shape[1:])
        for path, node in fixed.nodes.items()
        if isinstance(node.op, Conv) and isinstance(graph.nodes[path].op, Dense) and tensors
    }
    return _renamed(bounds(any_size(fixed, graph)), graph), {**changed, **weights}


def _renamed(grid: Graph, graph: Graph) -> Graph:
    """Under a name of its own, without what was said of vectors: their heads, published weights, expectations."""
    ranks = {output.name: graph.nodes[output.node].type.rank for output in graph.outputs}
    heads = {name: head for name, head in graph.heads.items() if all(ranks[output] > 2 for output in head.of)}
    about = f"{graph.about}; dense layers as convolutions" if graph.about else ""
    name, nothing = f"{graph.name[:60]}-fcn", MappingProxyType[str, Any]({})
    fresh = replace(grid, name=name, about=about, heads=MappingProxyType(heads))
    return replace(fresh, weights=nothing, expected=nothing, warnings=(), source=None)


def _converted(graph: Graph, old: Graph) -> tuple[dict[str, Node], dict[str, str]]:
    """The nodes at the old size, and what stands for those that go; raises SpecError."""
    gates, axes = _gates(graph), graph.nodes[graph.inputs[0]].type.rank - 2
    nodes: dict[str, Node] = {}
    moved: dict[str, str] = {}
    faults: list[Diagnostic] = []
    for path, node in old.nodes.items():
        sources = [moved.get(source, source) for source in node.inputs]
        if not sources:
            nodes[path] = node
        elif all(source in nodes for source in sources):
            xs = [nodes[source].type for source in sources]
            try:
                op = node.op if path in gates else _form(node.op, old.input_types(node)[0], xs[0])
                if op is None:
                    moved[path] = sources[0]
                else:
                    nodes[path] = replace(node, op=op, type=op.infer(*xs))
            except ShapeError as error:
                faults.append(misfit(graph.nodes[path], error))
    for output in old.outputs:
        value = nodes.get(moved.get(output.node, output.node))
        if value is not None and old.nodes[output.node].type.rank == 2 and value.type.concrete[2:] != (1,) * axes:
            message = f"'{output.name}' would be {value.type}, no grid of vectors"
            wrong = ShapeError(message, help="an output is maps, or comes from a dense layer or a pool over whole maps")
            faults.append(misfit(graph.nodes[output.node], wrong))
    if faults:
        raise SpecError(faults)
    return nodes, moved


def _gates(graph: Graph) -> set[str]:
    """The nodes of gates, back to their pools: a gate looks at the whole image, however large that is."""
    found: set[str] = set()
    ahead = [node.inputs[1] for node in graph.nodes.values() if node.op.op == "scale"]
    while ahead:
        node = graph.nodes[ahead.pop()]
        if node.path not in found:
            found.add(node.path)
            ahead += () if isinstance(node.op, AbstractGlobalPool | AdaptiveAvgPool) else node.inputs
    return found


def _form(op: AbstractOp, old: TensorType, x: TensorType) -> AbstractOp | None:
    """The operator over maps x that were `old`; None where x stands for the result. Raises ShapeError without one."""
    if op.op == "flatten":
        return None
    if op.op == "reshape":
        raise ShapeError("reshape wants images of one size", help="flatten before a dense layer has a form for all")
    if old.rank > 2:
        return _over_windows(op, x)
    if x.rank == 2:
        raise ShapeError(
            f"{op.op} reads what gates maps, one vector of the whole image", help="give it a pool of its own"
        )
    if isinstance(op, Dense):
        kernel = _short(x.concrete[2:])
        padding: Any = {} if kernel == 1 else {"padding": "valid"}
        return Conv(filters=op.features, kernel=kernel, bias=op.bias, init=op.init, **padding)
    if op.op in BY_CHANNEL and _spread(x):
        help = "put it before flatten, or behind the dense layer"
        raise ShapeError(f"{op.op} takes every value of flattened maps {x} for a channel", help=help)
    if op.op in BY_VALUE | BY_CHANNEL or isinstance(op, AbstractActivation):
        return op
    raise ShapeError(f"{op.op} of a vector has no form for a grid of them", help="make what it reads the output")


def _over_windows(op: AbstractOp, x: TensorType) -> AbstractOp | None:
    """A pool over the whole of the old maps becomes one over windows of their size, a step apart."""
    sizes = x.concrete[2:]
    if isinstance(op, AbstractGlobalPool):
        return (AvgPool if isinstance(op, GlobalAvgPool) else MaxPool)(kernel=_short(sizes), stride=1)
    if not isinstance(op, AdaptiveAvgPool):
        return op
    counts = per_axis(op.size, len(sizes), "size")
    for axis, (n, count) in enumerate(zip(sizes, counts, strict=True)):
        if n % count:
            message = f"adaptive_avgpool to {count} has uneven windows: the {axis_name(x, axis)} is {n}"
            raise ShapeError(message, help="pool to 1 or to a divisor, or give an image that makes it a multiple")
    kernel = tuple(n // count for n, count in zip(sizes, counts, strict=True))
    stride = tuple(1 if count == 1 else k for k, count in zip(kernel, counts, strict=True))
    return AvgPool(kernel=_short(kernel), stride=_short(stride)) if max(kernel) > 1 else None


def _spread(x: TensorType) -> bool:
    """Whether there is more than one position; such maps in place of a vector are maps flattened."""
    return any(size != 1 for size in x.spatial)


def _short(sizes: tuple[int, ...]) -> PerAxis:
    return sizes[0] if len(set(sizes)) == 1 else sizes
