"""What torch's own layers do not take, as the lowering and its memory table ask it; no torch is needed to tell."""

from __future__ import annotations

from cnnspec.tensor import TensorType


def symmetric(pads: tuple[tuple[int, int], ...]) -> bool:
    return all(before == after for before, after in pads)


def narrow(x: TensorType, kernel: tuple[int, ...]) -> bool:
    """Whether a volume may be smaller than the kernel: torch's avg_pool3d refuses that, however it is padded."""
    least = (n if isinstance(n, int) else n.factor + n.offset for n in x.spatial)
    return x.rank == 5 and any(n < k for n, k in zip(least, kernel, strict=True))
