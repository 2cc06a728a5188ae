"""What oneDNN takes for a moment around a convolution of maps in float32 on the CPU: operand, kernel, result laid anew.

oneDNN keeps channels in blocks, 16 where the processor has AVX-512. Torch's maps are copied into that layout, and the
result out of it again. A kernel of 1 x 1 needs no blocks, and with a stride an image without what it skips. Other ranks
and types are left out, as is the scratch memory of oneDNN's kernels, which depends on the processor and the threads.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from cnnspec.liveness import Call
from cnnspec.ops.conv import Conv
from cnnspec.ops.window import per_axis

BLOCK = 16


@dataclass(frozen=True, slots=True)
class Scratch:
    forward: int
    backward: int
    """Beside the gradients."""


def scratch(op: Conv, call: Call, x: int) -> Scratch:
    """Bytes around one convolution; `x` are those of its operand as padded."""
    maps = call.xs[0]
    kernel = per_axis(op.kernel, maps.rank - 2, "kernel")
    if maps.rank != 4 or call.width != 4:
        return Scratch(0, 0)
    y, groups = call.y.elements * 4, op.groups
    inside, outside = maps.channels // groups, op.filters // groups
    weight = op.filters * inside * prod(kernel) * 4
    if set(kernel) == {1}:
        if set(per_axis(op.stride, 2, "stride")) == {1}:
            return Scratch(0, 0)
        met = maps.channels * prod(call.y.concrete[2:]) * 4
        return Scratch(max(x + weight + met, y), max(x + y + met, 2 * x - weight if any(call.needs) else 0))
    if maps.concrete[0] == groups == 1 and min(kernel) <= 3 and maps.elements <= 20_480:
        columns = inside * prod(kernel) * prod(call.y.concrete[2:]) * 4  # too small for oneDNN: torch's own
        return Scratch(columns, columns)
    if inside == outside == 1:
        rx, ry, rw = (_blocked(size, groups) for size in (x, y, weight))
    elif groups > 1 and (inside % BLOCK or outside % BLOCK):
        return Scratch(max(x + weight, y), y)
    else:
        rx, ry = _blocked(x, inside), _blocked(y, outside)
        rw = _blocked(_blocked(weight, inside), outside)
    first = groups == 1 and inside < BLOCK  # few maps stay as they are
    fx, fw = (0, _blocked(weight, outside)) if first else (rx, rw)
    slopes = max(fx + ry + fw - weight, fw)
    if any(call.needs):
        slopes = max(slopes, ry + rw + rx - x - weight, rx - weight)
    return Scratch(max(fx + fw + ry - y, ry), slopes)


def _blocked(size: int, channels: int) -> int:
    """Bytes of what has so many channels with these in whole blocks."""
    return size // channels * (-(-channels // BLOCK) * BLOCK)
