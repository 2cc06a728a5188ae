"""What torch holds on the CPU besides the graph's tensors, in bytes, node by node; no torch is needed to tell.

Kept for backward: exact, as torch.autograd.graph.saved_tensors_hooks sees it. Scratch: what the operator's own tensors
take for a moment, not what its kernels do in their libraries' memory. `Call.width` is the bytes of one number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, singledispatch
from itertools import accumulate
from math import prod
from operator import or_

from cnnspec.graph import Graph
from cnnspec.liveness import Call, Extra, Flow, flow, inference
from cnnspec.ops import activation, conv, dense, merge, norm, pool, shape
from cnnspec.ops.base import AbstractOp
from cnnspec.ops.window import per_axis
from cnnspec.tensor import TensorType
from cnnspec.vectors import instruction_set, threads
from cnnspec.views import roots_of
from cnnspec_torch.layouts import apart, last_of
from cnnspec_torch.onednn import BLOCKS, scratch, taken
from cnnspec_torch.sides import narrow, said, symmetric

INDEX = 8
"""Bytes of the int64 that says where a maximum was, and of the counter of a batch norm."""


@dataclass(frozen=True, slots=True)
class TorchMemory:
    """The torch backend's answers to cnnspec.memory, on the CPU or on `cuda`, where workspaces of cuDNN come on top."""

    device: str = "cpu"

    def laid(self, run: Flow) -> Flow:
        """Inference runs channels last where that needs less, training as usual."""
        block = BLOCKS[instruction_set()] if self.device == "cpu" else 0
        return in_layout(run, not run.training and channels_last(run.graph), block, threads())

    def weights(self, graph: Graph, width: int) -> int:
        """Batch norms count batches; the connections of a table are int64."""
        ops = [node.op for node in graph.nodes.values()]
        tables = [len(maps) for op in ops if isinstance(op, conv.Conv) for maps in op.table or ()]
        return INDEX * sum(isinstance(op, norm.BatchNorm) for op in ops) + 2 * (INDEX - width) * sum(tables)

    def state(self, graph: Graph, optimizer: str) -> int:
        """Adam counts its steps for every trained tensor in a float32."""
        return 4 * len(_trained(graph)) if optimizer == "adam" else 0

    def step(self, graph: Graph, optimizer: str, width: int) -> int:
        """Adam's divisor and the root it is made of, of one trained tensor at a time."""
        return 2 * max(_trained(graph), default=0) * width if optimizer == "adam" else 0


def in_layout(run: Flow, last: bool, block: int, threads: int = 2) -> Flow:
    """The flow with torch's table, its maps channels last or in the usual layout."""
    run = replace(run, table=rule, block=block, threads=threads, met={})
    run = replace(run, room=_room(run)) if block else run
    values = last_of(run, last)
    if not values:
        return run
    moved = frozenset(path for path in values if apart(run.types[path]))
    roots = roots_of(run.graph, run.over, run.types, training=run.training, last=moved)
    return replace(run, last=values, copied=moved & {*run.graph.inputs}, roots=roots)


def _room(run: Flow) -> dict[str, int]:
    """Transposed volumes that oneDNN leaves to torch: their memory is made as large as the operand.

    What torch's padding cannot say is cut from the result, into memory of its own.
    """
    found = {}
    for path, node in run.graph.nodes.items():
        if isinstance(node.op, conv.TransposedConv) and run.types[path].rank == 5:
            x, width = run.types[node.inputs[0]], run.widths.get(path, run.width)
            cut = any(any(cuts) for _, _, cuts in said(node.op, *run.graph.input_types(node)))
            if not cut and not taken(node.op, x, width, run.block, run.threads):
                found[path] = max(x.elements, run.types[path].elements) * width
    return found


def channels_last(graph: Graph) -> bool:
    """Whether inference of the graph runs channels last, the same on every machine.

    It is quicker, and taken where the peak in float32 at the typical sizes is no higher then for one image and for a
    batch of 8 with AVX2, whose usual layout takes the least. Maps of one channel have no other layout.
    """
    graph = graph.inference()
    values = graph.sizes()
    typical = {type: type.at(values) for type in {node.type for node in graph.nodes.values()}}
    types = {path: typical[node.type] for path, node in graph.nodes.items()}
    inputs = [types[name] for name in graph.inputs]
    convolves = any(isinstance(node.op, conv.Conv | conv.Depthwise) for node in graph.nodes.values())
    if not convolves or all(type.rank != 4 for type in inputs) or any(type.channels == 1 for type in inputs):
        return False
    run = flow(graph, types, 4, training=False)
    layouts = [in_layout(run, last, BLOCKS["AVX2"]) for last in (False, True)]
    for batch in (1, 8):
        sized = {type: TensorType((batch, *typical[type].shape[1:])) for type in typical}
        wide = {path: sized[node.type] for path, node in graph.nodes.items()}
        usual, last = (inference(replace(layout, types=wide, met={})).bytes for layout in layouts)
        if last > usual:
            return False
    return True


def _trained(graph: Graph) -> list[int]:
    return [prod(shape) for shapes in graph.params.values() for shape in shapes.values()]


@cache
def rule(kind: type[AbstractOp]) -> Callable[[AbstractOp, Call], Extra] | None:
    """What is registered for the operator's class below; None where it takes nothing."""
    found = extra.dispatch(kind)
    return None if found is extra.dispatch(object) else found


@singledispatch
def extra(op: AbstractOp, call: Call) -> Extra:
    """Nothing, of an operator that is one call of torch."""
    return Extra()


@extra.register(conv.Conv)
def _conv(op: conv.Conv, call: Call) -> Extra:
    """Zeros that differ between the sides are padded first, and the padded map is kept; so is a table's full kernel."""
    (x,) = call.xs
    pads = op.pads(x)
    around = [n + before + after for n, (before, after) in zip(x.concrete[2:], pads, strict=True)]
    maps = x if symmetric(pads) else TensorType((*x.concrete[:2], *around))
    padded = 0 if maps is x else maps.elements * call.width
    around_it = scratch(op, call, maps, call.last)
    full = 0
    if op.table is not None:
        full = op.filters * x.channels * prod(per_axis(op.kernel, x.rank - 2, "kernel")) * call.width
    if not call.training:
        return Extra(scratch=padded + full + around_it.forward)
    return Extra(around_it.forward, padded + full, around_it.backward, () if padded else None)


@extra.register(conv.Depthwise)
def _depthwise(op: conv.Depthwise, call: Call) -> Extra:
    return _conv(op.as_conv(call.xs[0]), call)


@extra.register(pool.MaxPool)
def _maxpool(op: pool.MaxPool, call: Call) -> Extra:
    """The index of every maximum; in one dimension only for backward."""
    (x,), asked = call.xs, any(call.needs)
    indices = call.y.elements * INDEX if asked or x.rank > 3 else 0
    padded = 0 if symmetric(op.pads(x)) else _reached(op, call)
    if not asked:
        return Extra(scratch=padded + indices)
    return Extra(saved=padded + indices, keeps=() if padded else None)


@extra.register(pool.AvgPool)
def _avgpool(op: pool.AvgPool, call: Call) -> Extra:
    """Of sides that differ, and of volumes that may be smaller than the kernel: sums over counts."""
    (x,) = call.xs
    if symmetric(op.pads(x)) and not narrow(call.declared[0], op.geometry(x.rank - 2)[0]):
        return Extra()
    size = _reached(op, call) + prod(call.y.concrete[2:]) * call.width
    return Extra(saved=size, keeps=()) if any(call.needs) else Extra(scratch=size)


def _reached(op: pool.AbstractPool, call: Call) -> int:
    """Bytes of the operand with pads up to where the last window ends."""
    windows = zip(call.y.concrete[2:], *op.geometry(call.y.rank - 2), strict=True)
    sizes = ((count - 1) * stride + kernel for count, kernel, stride in windows)
    return prod(call.y.concrete[:2]) * prod(sizes) * call.width


@extra.register(pool.AdaptiveAvgPool)
def _adaptive(op: pool.AdaptiveAvgPool, call: Call) -> Extra:
    """To one value it is a mean, which keeps nothing."""
    return Extra(keeps=() if set(call.y.concrete[2:]) == {1} else None)


@extra.register(norm.BatchNorm)
def _batchnorm(op: norm.BatchNorm, call: Call) -> Extra:
    """Mean and deviation of the batch; backward writes the gradient twice."""
    return _means(2 * call.y.channels * call.stats, call, call.y.elements * call.width) if call.training else Extra()


@extra.register(norm.GroupNorm)
def _groupnorm(op: norm.GroupNorm, call: Call) -> Extra:
    return _means(2 * call.y.concrete[0] * op.groups * call.stats, call, 0)


@extra.register(norm.LayerNorm)
def _layernorm(op: norm.LayerNorm, call: Call) -> Extra:
    """Maps are copied so that the channels of a position lie together."""
    size = call.y.elements * call.width
    found = _means(2 * call.y.elements * call.stats // call.y.channels, call, size)
    return found if call.y.rank == 2 or call.last else found._replace(scratch=found.scratch + size)


def _means(size: int, call: Call, backward: int) -> Extra:
    return Extra(saved=size, backward=backward) if call.training else Extra(scratch=size)


@extra.register(norm.Lrn)
def _lrn(op: norm.Lrn, call: Call) -> Extra:
    """The squares with maps of zeros around them, the sums, and their power."""
    size = call.y.elements * call.width
    squares = size // call.y.channels * (call.y.channels + op.size - 1)
    if any(call.needs):
        return Extra(saved=squares + 2 * size, backward=3 * size)
    return Extra(scratch=max(squares, 2 * size))


@extra.register(norm.ChannelAffine)
def _affine(op: norm.ChannelAffine, call: Call) -> Extra:
    size = call.y.elements * call.width
    return Extra(scratch=size if op.bias else 0, backward=size)


@extra.register(merge.Scale)
def _scale(op: merge.Scale, call: Call) -> Extra:
    return Extra(backward=call.y.elements * call.width)


@extra.register(activation.Prelu)
def _prelu(op: activation.Prelu, call: Call) -> Extra:
    return Extra(backward=call.y.elements * call.width)


@extra.register(norm.Normalize)
def _normalize(op: norm.Normalize, call: Call) -> Extra:
    return Extra(scratch=call.y.elements * call.width)


@extra.register(dense.Dropout)
def _dropout(op: dense.Dropout, call: Call) -> Extra:
    """Zeros and factors, a number for every value."""
    if not call.training or op.rate == 0:
        return Extra()
    return _drawn(call.y.elements * call.width, call)


@extra.register(dense.StochasticDepth)
def _stochastic_depth(op: dense.StochasticDepth, call: Call) -> Extra:
    if not call.training or op.rate == 0:
        return Extra()
    return _drawn(call.y.concrete[0] * call.width, call)


def _drawn(size: int, call: Call) -> Extra:
    return Extra(saved=size) if any(call.needs) else Extra(scratch=size)


@extra.register(dense.Distance)
def _distance(op: dense.Distance, call: Call) -> Extra:
    """The difference from every code, and its square."""
    size = call.y.elements * call.xs[0].channels * call.width
    return Extra(saved=size, scratch=size) if any(call.needs) else Extra(scratch=2 * size - call.y.elements)


@extra.register(activation.ScaledTanh)
def _scaled_tanh(op: activation.ScaledTanh, call: Call) -> Extra:
    size = call.y.elements * call.width
    return Extra(saved=size, backward=size) if any(call.needs) else Extra(scratch=size)


@extra.register(activation.Relu6)
def _relu6(op: activation.Relu6, call: Call) -> Extra:
    """In place it keeps a copy of what it overwrites."""
    return Extra(saved=call.y.elements * call.width, keeps=()) if call.inplace and any(call.needs) else Extra()


@extra.register(merge.Maximum)
def _maximum(op: merge.Maximum, call: Call) -> Extra:
    """Two at a time; a pair is kept if either needs a gradient."""
    needs = [*accumulate(call.needs, or_)]
    keeps = tuple(i for i in range(len(needs)) if needs[max(i, 1)])
    return _folded(call, needs, keeps)


@extra.register(merge.Multiply)
def _multiply(op: merge.Multiply, call: Call) -> Extra:
    """Two at a time; a factor is kept if the other needs a gradient."""
    before = [call.needs[1], *accumulate(call.needs[:-1], or_)]
    return _folded(call, call.needs, tuple(i for i, needed in enumerate(before) if needed))


def _folded(call: Call, kept: Sequence[bool], keeps: tuple[int, ...]) -> Extra:
    """A merge of pairs; `kept` says of each operand if what was merged before it, as wide as its widest, is kept."""
    between = [call.y.elements * max(call.widths[:place]) for place in range(2, len(call.xs))]
    saved = sum(size for size, wanted in zip(between, kept[2:], strict=True) if wanted)
    return Extra(scratch=0 if saved else max(between, default=0), saved=saved, keeps=keeps)


@extra.register(shape.Upsample)
def _upsample(op: shape.Upsample, call: Call) -> Extra:
    return _resampled(call)


@extra.register(shape.Resize)
def _resize(op: shape.Resize, call: Call) -> Extra:
    return _resampled(call)


def _resampled(call: Call) -> Extra:
    """Maps are laid out channels last on both sides of the kernel."""
    sizes = (call.xs[0].elements + call.y.elements) * call.width
    return Extra(scratch=sizes if call.y.rank == 4 and not call.last else 0)
