"""Convolution (cross-correlation, as all frameworks mean it) in one, two or three dimensions."""

from __future__ import annotations

from math import prod
from typing import ClassVar, Literal, final

from cnnspec.ops.base import AbstractOp, Count, Kept, Padding, PerAxis, Shapes, Sides
from cnnspec.ops.window import per_axis, sides, spatial_axes, windows
from cnnspec.tensor import ShapeError, TensorType


@final
class Conv(AbstractOp):
    """y[n, o, i, j] = bias[o] + sum over c, u, v of weight[o, c, u, v] * x[n, c, i*s + u*d, j*s + v*d].

    [N, C, H, W] -> [N, filters, H', W'] with C / groups maps under each filter; likewise [N, C, W] and
    [N, C, D, H, W]. Sizes by cnnspec.ops.window. LeCun et al. 1998, section II.A; groups: Krizhevsky et al. 2012.
    """

    op: ClassVar[str] = "conv"
    positional: ClassVar[tuple[str, ...]] = ("filters", "kernel", "stride")
    keeps: ClassVar[Kept] = frozenset({"x"})

    filters: Count
    kernel: PerAxis
    stride: PerAxis = 1
    padding: Padding | Literal["half", "valid", "same"] = "half"
    dilation: PerAxis = 1
    groups: Count = 1
    bias: bool = True

    def infer(self, *xs: TensorType) -> TensorType:
        (x,) = xs
        axes = spatial_axes(x, "conv")
        if x.channels % self.groups or self.filters % self.groups:
            raise ShapeError(
                f"groups={self.groups} must divide the {x.channels} maps coming in and the {self.filters} filters"
            )
        kernel, stride, dilation = self._geometry(axes)
        return x.with_spatial(self.filters, windows(x, kernel, stride, dilation, self.pads(x)))

    def pads(self, x: TensorType) -> Sides:
        """Zeros (before, after) on every spatial axis, as plain numbers."""
        return sides(self.padding, x, *self._geometry(x.rank - 2))

    def params(self, *xs: TensorType) -> Shapes:
        (x,) = xs
        weight = (self.filters, x.channels // self.groups, *per_axis(self.kernel, x.rank - 2, "kernel"))
        return {"weight": weight, "bias": (self.filters,)} if self.bias else {"weight": weight}

    def macs(self, y: TensorType, *xs: TensorType) -> int:
        return y.elements * prod(self.params(*xs)["weight"][1:])

    def other(self, y: TensorType, *xs: TensorType) -> int:
        return y.elements if self.bias else 0

    def field(self, *xs: TensorType) -> tuple[tuple[int, int, int], ...] | None:
        (x,) = xs
        kernel, stride, dilation = self._geometry(x.rank - 2)
        before = (side[0] for side in self.pads(x))
        return tuple((d * (k - 1) + 1, s, p) for k, s, d, p in zip(kernel, stride, dilation, before, strict=True))

    def _geometry(self, axes: int) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
        return (
            per_axis(self.kernel, axes, "kernel"),
            per_axis(self.stride, axes, "stride"),
            per_axis(self.dilation, axes, "dilation"),
        )
