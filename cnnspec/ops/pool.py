"""Pools over windows, over whole maps and over channels, in one, two or three dimensions."""

from __future__ import annotations

from fractions import Fraction
from math import prod
from typing import ClassVar, Literal, final

from cnnspec.ops.base import AbstractOp, Count, Kept, Padding, PerAxis, Sides, Windows
from cnnspec.ops.window import axis_name, per_axis, sides, spatial_axes, windows
from cnnspec.tensor import ShapeError, TensorType


class AbstractPool(AbstractOp):
    """One value for every window of every map: [N, C, H, W] -> [N, C, H', W'], likewise in one and three dimensions.

    The stride defaults to the kernel. Sizes by cnnspec.ops.window; `ceil` adds a window that sticks out at the end, if
    it begins inside the input or the padding before it (as torch does).
    """

    positional: ClassVar[tuple[str, ...]] = ("kernel", "stride")

    kernel: PerAxis
    stride: PerAxis | None = None
    padding: Padding | Literal["half", "valid", "same"] = "valid"
    ceil: bool = False

    def infer(self, *xs: TensorType) -> TensorType:
        (x,) = xs
        axes = spatial_axes(x, self.op)
        kernel, stride = self.geometry(axes)
        pads = self.pads(x)
        for axis, (k, (before, after)) in enumerate(zip(kernel, pads, strict=True)):
            if max(before, after) > k // 2:
                raise ShapeError(
                    f"padding {max(before, after)} is more than half the kernel {k} along the {axis_name(x, axis)}",
                    help=f"a window must touch the map: at most {k // 2}",
                )
        return x.with_spatial(x.channels, windows(x, kernel, stride, (1,) * axes, pads, ceil=self.ceil))

    def pads(self, x: TensorType) -> Sides:
        """Padding (before, after) of every spatial axis, as plain numbers."""
        kernel, stride = self.geometry(x.rank - 2)
        return sides(self.padding, x, kernel, stride, (1,) * len(kernel))

    def geometry(self, axes: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Kernel and stride along every axis."""
        kernel = per_axis(self.kernel, axes, "kernel")
        return kernel, kernel if self.stride is None else per_axis(self.stride, axes, "stride")

    def other(self, y: TensorType, *xs: TensorType) -> int:
        return y.elements * prod(per_axis(self.kernel, y.rank - 2, "kernel"))

    def field(self, *xs: TensorType) -> Windows | None:
        (x,) = xs
        return tuple(zip(*self.geometry(x.rank - 2), strict=True))

    def shift(self, *xs: TensorType) -> tuple[int | Fraction, ...] | None:
        (x,) = xs
        kernel, _ = self.geometry(x.rank - 2)
        return tuple(k - 1 - 2 * before for k, (before, _) in zip(kernel, self.pads(x), strict=True))


@final
class MaxPool(AbstractPool):
    """y[n, c, i, j] = max over u, v of x[n, c, i*s + u, j*s + v]; padding counts as minus infinity.

    Goodfellow, Bengio and Courville 2016, section 9.3; overlapping windows: Krizhevsky et al. 2012, section 3.4.
    """

    op: ClassVar[str] = "maxpool"
    keeps: ClassVar[Kept] = frozenset({"x", "mask"})


@final
class AvgPool(AbstractPool):
    """y[n, c, i, j] = mean over u, v of x[n, c, i*s + u, j*s + v].

    Under padding `same` the mean is over the values inside the map, as TensorFlow takes it; otherwise padding counts
    as zeros in the mean, as torch takes it, save what sticks out beyond it by `ceil`. LeCun et al. 1998, section II.B
    (there with a trained coefficient and bias).
    """

    op: ClassVar[str] = "avgpool"
    keeps: ClassVar[Kept] = frozenset({"x"})


class AbstractGlobalPool(AbstractOp):
    """One value per map: [N, C, ...] -> [N, C], or [N, C, 1, 1] with `keepdims`. Sizes may hold symbols."""

    keepdims: bool = False

    def infer(self, *xs: TensorType) -> TensorType:
        (x,) = xs
        axes = spatial_axes(x, self.op)
        return x.with_spatial(x.channels, (1,) * axes if self.keepdims else ())

    def other(self, y: TensorType, *xs: TensorType) -> int:
        return xs[0].elements

    def field(self, *xs: TensorType) -> Windows | None:
        """The whole map."""
        (x,) = xs
        return tuple((n, n) for n in x.spatial if isinstance(n, int)) if not TensorType(x.spatial).symbols else None

    def shift(self, *xs: TensorType) -> tuple[int | Fraction, ...] | None:
        (x,) = xs
        known = [n - 1 for n in x.spatial if isinstance(n, int)]
        return tuple(known) if len(known) == x.rank - 2 else None


@final
class GlobalAvgPool(AbstractGlobalPool):
    """y[n, c] = mean of the map x[n, c]. Lin, Chen and Yan 2014 (arXiv 1312.4400), section 3.2."""

    op: ClassVar[str] = "global_avgpool"


@final
class GlobalMaxPool(AbstractGlobalPool):
    """y[n, c] = max of the map x[n, c]. Oquab, Bottou, Laptev and Sivic 2015 (CVPR), section 3."""

    op: ClassVar[str] = "global_maxpool"
    keeps: ClassVar[Kept] = frozenset({"x", "y"})


@final
class AdaptiveAvgPool(AbstractOp):
    """y[n, c, i] = mean of x[n, c, i*n // size] to x[n, c, ceil((i + 1)*n / size) - 1], along every axis.

    [N, C, ...] -> [N, C, size, ...] whatever the sizes coming in; more than 1 wants them fixed. Windows overlap where
    `size` does not divide them. As torch has it; He et al. 2014 (arXiv 1406.4729), section 2.2 (spatial pyramids).
    """

    op: ClassVar[str] = "adaptive_avgpool"
    positional: ClassVar[tuple[str, ...]] = ("size",)
    keeps: ClassVar[Kept] = frozenset({"x"})

    size: PerAxis

    def infer(self, *xs: TensorType) -> TensorType:
        (x,) = xs
        sizes = per_axis(self.size, spatial_axes(x, self.op), "size")
        for axis, (n, size) in enumerate(zip(x.spatial, sizes, strict=True)):
            if size > 1 and not isinstance(n, int):
                raise ShapeError(
                    f"adaptive_avgpool to {size} needs a fixed size, and the {axis_name(x, axis)} is {n}",
                    help="pool to 1, or declare the input with numbers",
                )
        return x.with_spatial(x.channels, sizes)

    def other(self, y: TensorType, *xs: TensorType) -> int:
        (x,) = xs
        return prod(y.concrete[:2]) * prod(
            sum(stop - start for start, stop in _adaptive(n, size))
            for n, size in zip(x.concrete[2:], y.concrete[2:], strict=True)
        )

    def field(self, *xs: TensorType) -> Windows | None:
        (x,) = xs
        windows: list[tuple[int, int | Fraction]] = []
        for n, size in zip(x.spatial, per_axis(self.size, x.rank - 2, "size"), strict=True):
            if not isinstance(n, int):
                return None
            windows.append((max(stop - start for start, stop in _adaptive(n, size)), Fraction(n, size)))
        return tuple(windows)

    def shift(self, *xs: TensorType) -> tuple[int | Fraction, ...] | None:
        window = self.field(*xs)
        return None if window is None else tuple(step - 1 for _, step in window)


def _adaptive(n: int, size: int) -> list[tuple[int, int]]:
    """Where each of `size` windows over n values begins and ends."""
    return [(i * n // size, -(-(i + 1) * n // size)) for i in range(size)]


class AbstractChannelPool(AbstractOp):
    """One value for every window of maps, at each position by itself.

    [N, C, ...] -> [N, (C - kernel) // stride + 1, ...]. The stride defaults to the kernel; maps that fill no window
    are left out.
    """

    positional: ClassVar[tuple[str, ...]] = ("kernel", "stride")

    kernel: Count
    stride: Count | None = None

    def infer(self, *xs: TensorType) -> TensorType:
        (x,) = xs
        if self.kernel > x.channels:
            raise ShapeError(
                f"kernel {self.kernel} is larger than the {x.channels} maps coming in",
                help=f"{self.op} pools over channels; over positions it is {self.op.removeprefix('channel_')}",
            )
        return x.with_spatial((x.channels - self.kernel) // (self.stride or self.kernel) + 1, x.spatial)

    def other(self, y: TensorType, *xs: TensorType) -> int:
        return y.elements * self.kernel


@final
class ChannelMaxPool(AbstractChannelPool):
    """y[n, c] = max over u < kernel of x[n, c*s + u], at every position: what is the same in several maps' eyes.

    Goodfellow et al. 2013 (arXiv 1302.4389), section 3 (maxout).
    """

    op: ClassVar[str] = "channel_maxpool"
    keeps: ClassVar[Kept] = frozenset({"x", "y"})


@final
class ChannelAvgPool(AbstractChannelPool):
    """y[n, c] = mean over u < kernel of x[n, c*s + u], at every position."""

    op: ClassVar[str] = "channel_avgpool"
