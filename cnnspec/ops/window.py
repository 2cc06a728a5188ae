"""The window arithmetic that convolutions and pools share.

For one axis of n values, padding (before, after), kernel k, dilation d and stride s the dilated kernel is
e = d * (k - 1) + 1 and the output has (n + before + after - e) // s + 1 values: Dumoulin and Visin 2016
(arXiv 1603.07285), relationship 6, dilation by section 5.1.
"""

from __future__ import annotations

from cnnspec.ops.base import Padding, PerAxis, Sides
from cnnspec.tensor import Dim, ShapeError, Size, TensorType


def per_axis(value: PerAxis, axes: int, name: str) -> tuple[int, ...]:
    """One number for every axis, or a list of one per axis."""
    if isinstance(value, int):
        return (value,) * axes
    if len(value) != axes:
        count = f"{len(value)} number{'s' if len(value) != 1 else ''}"
        raise ShapeError(
            f"{name} {list(value)} has {count}, the input has {axes} spatial axes",
            help=f"write {value[0] if value else 3}, or one number for each axis",
        )
    return value


def spatial_axes(x: TensorType, op: str) -> int:
    if not 3 <= x.rank <= 5:
        raise ShapeError(
            f"{op} takes [N, C, ...] with 1 to 3 spatial axes, got {x}",
            help="a [N, F] tensor has no spatial axes left" if x.rank == 2 else None,
        )
    return x.rank - 2


def sides(
    padding: Padding | str, x: TensorType, kernel: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]
) -> Sides:
    """Padding as plain numbers (before, after) for every axis; each form of design `padding` in turn."""
    axes = len(kernel)
    extents = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    if padding == "valid":
        return ((0, 0),) * axes
    if padding == "half":
        if even := [k for k in kernel if k % 2 == 0]:
            raise ShapeError(
                f"padding half wants odd kernels, got {even[0]}", help="write padding=same, valid or a number"
            )
        return tuple((e // 2, e // 2) for e in extents)
    if padding == "same":
        _check_strides(x, stride)
        return tuple(_same(n, e, s) for n, e, s in zip(x.spatial, extents, stride, strict=True))
    if isinstance(padding, int):
        return ((padding, padding),) * axes
    assert not isinstance(padding, str)
    if len(padding) != axes:
        raise ShapeError(f"padding has {len(padding)} entries, the input has {axes} spatial axes")
    return tuple((p, p) if isinstance(p, int) else p for p in padding)


def _same(n: Size, extent: int, stride: int) -> tuple[int, int]:
    """TensorFlow's `same`: ceil(n / stride) outputs, the odd value of padding at the end."""
    outputs = -(-n // stride)
    total = (outputs - 1) * stride + extent - n
    assert isinstance(total, int)  # the stride divides the symbol's factor
    return max(total, 0) // 2, max(total, 0) - max(total, 0) // 2


def windows(
    x: TensorType,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
    pads: Sides,
    *,
    ceil: bool = False,
) -> tuple[Size, ...]:
    """Number of windows on every spatial axis; raises ShapeError where one does not fit."""
    _check_strides(x, stride)
    results: list[Size] = []
    for axis, n in enumerate(x.spatial):
        k, d, (before, after) = kernel[axis], dilation[axis], pads[axis]
        extent = d * (k - 1) + 1
        count = _count(n, before, after, extent, stride[axis], ceil)
        if isinstance(count, int) and count < 1:
            dilated = f" (dilated to {extent})" if d > 1 else ""
            padded = f", {n + before + after} with padding" if before or after else ""
            raise ShapeError(
                f"kernel {k}{dilated} is larger than its input: {axis_name(x, axis)} is {n}{padded}",
                help="use a smaller kernel, more padding, or a larger image",
            )
        results.append(count)
    return tuple(results)


def _count(n: Size, before: int, after: int, extent: int, stride: int, ceil: bool) -> Size:
    free = n + before + after - extent
    if not ceil:
        return free // stride + 1
    count = -(-free // stride) + 1
    last = (count - 1) * stride - before - n  # where the last window begins, counted from the end of the input
    assert isinstance(last, int)
    return count - 1 if last >= 0 else count


def _check_strides(x: TensorType, stride: tuple[int, ...]) -> None:
    """A stride divides the factor of a symbol: so every size stays affine, and `same` means constant padding."""
    for axis, (n, s) in enumerate(zip(x.spatial, stride, strict=True)):
        if isinstance(n, Dim) and n.factor % s:
            raise ShapeError(f"stride {s} does not divide the {axis_name(x, axis)} {n}", help=_declare(n, s))


def axis_name(x: TensorType, axis: int) -> str:
    return {1: ("width",), 2: ("height", "width"), 3: ("depth", "height", "width")}[x.rank - 2][axis]


def _declare(n: Dim, stride: int) -> str:
    return (
        f"declare the input with a factor of {n.symbol} that the strides divide: {stride} times what it has "
        f"now is enough here (an input of 32*{n.symbol} becomes {32 * stride}*{n.symbol})"
    )
