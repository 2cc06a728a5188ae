"""What torch's own layers do not take, as the lowering and its memory table ask it; no torch is needed to tell."""

from __future__ import annotations

from cnnspec.ops.conv import TransposedConv
from cnnspec.ops.window import per_axis
from cnnspec.tensor import TensorType


def symmetric(pads: tuple[tuple[int, int], ...]) -> bool:
    return all(before == after for before, after in pads)


def narrow(x: TensorType, kernel: tuple[int, ...]) -> bool:
    """Whether a volume may be smaller than the kernel: torch's avg_pool3d refuses that, however it is padded."""
    least = (n if isinstance(n, int) else n.factor + n.offset for n in x.spatial)
    return x.rank == 5 and any(n < k for n, k in zip(least, kernel, strict=True))


def said(op: TransposedConv, x: TensorType) -> list[tuple[int, int, tuple[int, int]]]:
    """Per axis torch's padding and output_padding, and what to pad its result by, below zero."""
    axes = x.rank - 2
    stride, dilation = per_axis(op.stride, axes, "stride"), per_axis(op.dilation, axes, "dilation")
    return [_said(*sides, max(s, d)) for sides, s, d in zip(op.cuts(x), stride, dilation, strict=True)]


def _said(before: int, after: int, most: int) -> tuple[int, int, tuple[int, int]]:
    """Torch takes an output_padding less than `most`."""
    if 0 <= before - after < most:
        return before, before - after, (0, 0)
    padding, added = max(min(before, after), 0), max(-after, 0)
    return padding, added, (padding - before, padding - added - after)
