"""What oneDNN takes for a moment around a convolution of maps in float32 on the CPU, and which it takes at all.

It keeps channels in blocks, 16 where the processor has AVX-512, else 8: operand, kernel and result are laid anew; for
a kernel of 1 x 1 with a stride also an image without what it skips. Maps that lie channels last are taken as they are,
and the kernel alone is laid anew. Other ranks and types are left out, as is the scratch memory inside its kernels,
which depends on the processor and the threads. Measured with torch 2.14; `benchmarks/memory.py` holds it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from cnnspec.liveness import Call
from cnnspec.ops.conv import Conv, TransposedConv
from cnnspec.ops.window import per_axis
from cnnspec.tensor import TensorType
from cnnspec_torch.sides import said

BLOCKS = {"AVX-512": 16, "AVX2": 8}
"""Channels in one of oneDNN's blocks, by instruction set."""


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


def scratch(op: Conv, call: Call, maps: TensorType, last: bool) -> Scratch:
    """Bytes around one convolution; `maps` is its operand as padded, `last` whether it lies channels last."""
    block = call.block
    kernel = per_axis(op.kernel, maps.rank - 2, "kernel")
    if maps.rank != 4 or call.width != 4 or not block:
        return Scratch(0, 0)
    x, y, groups = maps.elements * 4, call.y.elements * 4, op.groups
    inside, outside = maps.channels // groups, op.filters // groups
    weight = op.filters * inside * prod(kernel) * 4
    alone, steps = set(kernel) == {1}, set(per_axis(op.stride, 2, "stride")) != {1}
    if not taken(op, maps, 4, block, call.threads):
        columns = 0 if alone and not steps else inside * prod(kernel) * prod(call.y.concrete[2:]) * 4
        return Scratch(columns, columns)
    if last:
        return _channels_last(op, weight, inside, outside, kernel, block)
    deep = inside == outside == 1
    if alone and steps and not deep:
        met = maps.channels * prod(call.y.concrete[2:]) * 4
        return Scratch(max(x + weight + met, y), max(x + y + met, weight, 2 * x - weight if any(call.needs) else 0))
    if deep:
        rx, ry, rw = (_blocked(size, groups, block) for size in (x, y, weight))
    elif groups > 1 and (inside % block or outside % block):
        return Scratch(max(x + weight, y), y)
    else:
        rx, ry = _blocked(x, inside, block), _blocked(y, outside, block)
        rw = _both(weight, inside, outside, block)
    first = groups == 1 and inside < block  # few maps stay as they are
    fx, fw = (0, _blocked(weight, outside, block)) if first else (rx, rw)
    slopes = 0 if deep and (kernel[-1] > 3 or (alone and steps)) else max(fx + ry + fw - weight, fw)
    if any(call.needs):
        slopes = max(slopes, ry + rw + rx - x - weight, rx - weight + (x if steps and not deep else 0))
    return Scratch(max(fx + fw + ry - y, ry), slopes)


def _channels_last(op: Conv, weight: int, inside: int, outside: int, kernel: tuple[int, ...], block: int) -> Scratch:
    """Maps are taken as they are. The kernel is laid as they lie, unless that is the same, and in blocks; the slopes of
    a depthwise one of more than three columns have a block of blocks for each of its maps."""
    alike = set(kernel) == {1} or inside == 1
    if inside == outside == 1:
        blocked = _blocked(weight, op.groups, block)
        slopes = weight * block * block if kernel[-1] > 3 else blocked
    elif op.groups > 1 and (inside % block or outside % block):
        blocked = slopes = weight
    else:
        blocked = slopes = _blocked(weight, outside, block) if inside < block else _both(weight, inside, outside, block)
    laid = 0 if alike else weight
    return Scratch(laid + blocked, laid + slopes + weight + (op.filters * 4 if op.bias else 0))


def _both(weight: int, inside: int, outside: int, block: int) -> int:
    return _blocked(_blocked(weight, inside, block), outside, block)


def _blocked(size: int, channels: int, block: int) -> int:
    """Bytes of what has so many channels with these in whole blocks."""
    return size // channels * (-(-channels // block) * block)
