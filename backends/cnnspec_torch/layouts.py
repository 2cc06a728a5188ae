"""Layouts of maps on the CPU: what oneDNN takes for a moment around a convolution in float32, and who runs how.

Torch's usual layout is NCHW. oneDNN keeps channels in blocks, 16 where the processor has AVX-512, else 8: operand,
kernel and result are laid anew. With AVX-512 a kernel of 1 x 1 needs no blocks; with a stride it needs an image without
what it skips.
Maps that lie channels last are taken as they are, and the kernel alone is laid anew. Other ranks and types are left
out, as is the scratch memory of oneDNN's kernels, which depends on the processor and the threads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from cnnspec.graph import Graph
from cnnspec.liveness import Call
from cnnspec.ops import activation, conv, merge, norm, pool, shape
from cnnspec.ops import dense as dense_ops
from cnnspec.ops.conv import Conv, TransposedConv
from cnnspec.ops.window import per_axis
from cnnspec.tensor import TensorType
from cnnspec_torch.sides import said

KEEP = (
    *(activation.Relu, activation.Relu6, activation.LeakyRelu, activation.Prelu, activation.Elu, activation.Selu),
    *(activation.Gelu, activation.Silu, activation.Mish, activation.HardSwish, activation.HardSigmoid),
    *(activation.Sigmoid, activation.Tanh, activation.ScaledTanh, activation.Identity),
    *(conv.Conv, conv.Depthwise, conv.TransposedConv, pool.MaxPool, pool.AvgPool, pool.AdaptiveAvgPool),
    *(
        norm.BatchNorm,
        norm.Lrn,
        norm.LayerNorm,
        norm.ChannelAffine,
        norm.Normalize,
        dense_ops.Dropout,
        dense_ops.StochasticDepth,
    ),
    *(merge.Add, merge.Maximum, merge.Multiply, merge.Concat, merge.Scale, shape.Upsample, shape.Resize, shape.Pad),
)
"""Operators whose result lies as their operands do; what any other makes lies as usual."""


BLOCKS = {"AVX-512": 16, "AVX2": 8}
"""Channels in one of oneDNN's blocks, by instruction set."""


def last_of(graph: Graph, types: Mapping[str, TensorType]) -> frozenset[str]:
    """The values that lie channels last, apart from the usual layout, where the inputs of two spatial axes do."""
    found: set[str] = set()
    for path, node in graph.nodes.items():
        kept = isinstance(node.op, KEEP) and any(name in found for name in node.inputs)
        if types[path].rank == 4 and (kept or path in graph.inputs):
            found.add(path)
    return frozenset(found)


def apart(type: TensorType) -> bool:
    """Whether the two layouts of maps of this type differ."""
    return type.channels > 1 and prod(type.concrete[2:]) > 1


def taken(op: Conv | TransposedConv, x: TensorType, width: int, block: int, threads: int) -> bool:
    """Whether oneDNN convolves maps or volumes of this concrete type; torch's own kernels do the rest.

    As `use_mkldnn` of ATen's Convolution.cpp decides: small single images, kernels of 1 x 1 in one thread, what is
    neither float32 nor, with AVX-512, half as wide, and more output_padding than a stride are left out.
    """
    kernel, stride, dilation = (per_axis(sizes, x.rank - 2, "kernel") for sizes in (op.kernel, op.stride, op.dilation))
    if isinstance(op, TransposedConv) and any(added >= s for (_, added, _), s in zip(said(op, x), stride, strict=True)):
        return False
    if width != 4:
        return width == 2 and block > BLOCKS["AVX2"]
    images = x.concrete[0]
    moved = {*stride, *dilation} != {1} or images >= 16
    large = op.groups > 1 or min(kernel[-2:]) > 3 or images > 1 or prod(x.concrete[:4]) > 20_480
    return large and (moved or set(kernel[-2:]) != {1} or threads > 1)


@dataclass(frozen=True, slots=True)
class Scratch:
    forward: int
    backward: int
    """Beside the gradients."""


def scratch(op: Conv, call: Call, x: int, last: bool) -> Scratch:
    """Bytes around one convolution; `x` are those of its operand as padded, `last` whether it lies channels last."""
    maps, block = call.xs[0], call.block
    kernel = per_axis(op.kernel, maps.rank - 2, "kernel")
    if maps.rank != 4 or call.width != 4 or not block:
        return Scratch(0, 0)
    y, groups = call.y.elements * 4, op.groups
    inside, outside = maps.channels // groups, op.filters // groups
    weight = op.filters * inside * prod(kernel) * 4
    if last:
        blocked = _blocked(weight, outside, block) if inside < block else _both(weight, inside, outside, block)
        return Scratch((0 if set(kernel) == {1} or inside == 1 else weight) + blocked, 0)
    alone, steps = set(kernel) == {1}, set(per_axis(op.stride, 2, "stride")) != {1}
    if not taken(op, maps, 4, block, call.threads):
        columns = 0 if alone and not steps else inside * prod(kernel) * prod(call.y.concrete[2:]) * 4
        return Scratch(columns, columns)
    if alone and not steps and block > 8:
        return Scratch(0, 0)
    if alone and steps:
        met = maps.channels * prod(call.y.concrete[2:]) * 4
        return Scratch(max(x + weight + met, y), max(x + y + met, 2 * x - weight if any(call.needs) else 0))
    if inside == outside == 1:
        rx, ry, rw = (_blocked(size, groups, block) for size in (x, y, weight))
    elif groups > 1 and (inside % block or outside % block):
        return Scratch(max(x + weight, y), y)
    else:
        rx, ry = _blocked(x, inside, block), _blocked(y, outside, block)
        rw = _both(weight, inside, outside, block)
    first = groups == 1 and inside < block  # few maps stay as they are
    fx, fw = (0, _blocked(weight, outside, block)) if first else (rx, rw)
    slopes = max(fx + ry + fw - weight, fw)
    if any(call.needs):
        slopes = max(slopes, ry + rw + rx - x - weight, rx - weight)
    return Scratch(max(fx + fw + ry - y, ry), slopes)


def _both(weight: int, inside: int, outside: int, block: int) -> int:
    return _blocked(_blocked(weight, inside, block), outside, block)


def _blocked(size: int, channels: int, block: int) -> int:
    """Bytes of what has so many channels with these in whole blocks."""
    return size // channels * (-(-channels // block) * block)
