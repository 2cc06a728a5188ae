"""Convolutions (cross-correlation, as all frameworks mean it) in one, two or three dimensions."""

from __future__ import annotations

from fractions import Fraction
from math import gcd, prod
from typing import Annotated, ClassVar, Literal, final

from pydantic import Field

from cnnspec.ops.base import AbstractOp, Count, Init, Kept, Padding, PerAxis, Shapes, Sides, Whole, Windows
from cnnspec.ops.given import Numbers, sizes_of
from cnnspec.ops.window import axis_name, per_axis, sides, spatial_axes, windows
from cnnspec.tensor import ShapeError, Size, TensorType


@final
class Conv(AbstractOp):
    """y[n, o, i, j] = bias[o] + sum over c, u, v of weight[o, c, u, v] * x[n, c, i*s + u*d, j*s + v*d].

    [N, C, H, W] -> [N, filters, H', W'] with C / groups maps under each filter; likewise [N, C, W] and
    [N, C, D, H, W]. Sizes by cnnspec.ops.window. LeCun et al. 1998, section II.A; groups: Krizhevsky et al. 2012.

    `weights` are given numbers instead of trained ones: [filters, rows, columns] for every map alike, or [filters,
    C / groups, rows, columns]; a TensorFlow kernel [rows, columns, maps, filters] is that with its axes in the order
    3, 2, 0, 1. `table` lists for each filter the maps that it sees; weights outside it do not exist (LeCun et al. 1998,
    table I). `init` says what the weights start from, the biases then from 0: `he` (normal, variance 2 / fan-in),
    `glorot` (uniform, variance 2 / (fan-in + fan-out)), `lecun` (normal, variance 1 / fan-in), or a number for all.
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
    weights: Numbers | None = None
    table: Annotated[tuple[tuple[Whole, ...], ...], Field(min_length=1)] | None = None
    init: Init | float | None = None

    @classmethod
    def text_fields(cls) -> frozenset[str]:
        return frozenset({"init"})

    def infer(self, *xs: TensorType) -> TensorType:
        (x,) = xs
        axes = spatial_axes(x, "conv")
        if x.channels % self.groups or self.filters % self.groups:
            raise ShapeError(
                f"groups={self.groups} must divide the {x.channels} maps coming in and the {self.filters} filters"
            )
        kernel, stride, dilation = self._geometry(axes)
        if self.weights is not None:
            self._check_weights(x, kernel)
        if self.table is not None:
            self._check_table(x, self.table)
        return x.with_spatial(self.filters, windows(x, kernel, stride, dilation, self.pads(x)))

    def pads(self, x: TensorType) -> Sides:
        """Zeros (before, after) on every spatial axis, as plain numbers."""
        return sides(self.padding, x, *self._geometry(x.rank - 2))

    def params(self, *xs: TensorType) -> Shapes:
        """The weight is [filters, C / groups, kernel...]; of a table [connections, kernel...], filter by filter."""
        (x,) = xs
        weight = {} if self.weights is not None else {"weight": self._weight(x)}
        return {**weight, "bias": (self.filters,)} if self.bias else weight

    def buffers(self, *xs: TensorType) -> Shapes:
        """Given weights; of a table the filter and the map of every connection."""
        (x,) = xs
        if self.weights is not None:
            return {"weight": self._weight(x)}
        return {} if self.table is None else {"connections": (2, sum(map(len, self.table)))}

    def macs(self, y: TensorType, *xs: TensorType) -> int:
        (x,) = xs
        return y.elements // self.filters * prod(self._weight(x))

    def other(self, y: TensorType, *xs: TensorType) -> int:
        return y.elements if self.bias else 0

    def field(self, *xs: TensorType) -> Windows | None:
        (x,) = xs
        return tuple((d * (k - 1) + 1, s) for k, s, d in zip(*self._geometry(x.rank - 2), strict=True))

    def shift(self, *xs: TensorType) -> tuple[int | Fraction, ...] | None:
        (x,) = xs
        kernel, _, dilation = self._geometry(x.rank - 2)
        return tuple(d * (k - 1) - 2 * b for k, d, (b, _) in zip(kernel, dilation, self.pads(x), strict=True))

    def _weight(self, x: TensorType) -> tuple[int, ...]:
        kernel = per_axis(self.kernel, x.rank - 2, "kernel")
        if self.table is not None:
            return (sum(map(len, self.table)), *kernel)
        return (self.filters, x.channels // self.groups, *kernel)

    def _check_weights(self, x: TensorType, kernel: tuple[int, ...]) -> None:
        given = sizes_of(self.weights)
        shared, full = [self.filters, *kernel], [*self._weight(x)]
        if [*given] not in (shared, full):
            raise ShapeError(f"weights are {[*given]}, this convolution wants {shared} or {full}")
        if self.bias:
            raise ShapeError("given weights are not trained, and the bias would be", help="write bias=false")
        if self.init is not None or self.table is not None:
            other = "init" if self.init is not None else "table"
            raise ShapeError(f"weights and {other} exclude each other", help=f"leave {other} out")

    def _check_table(self, x: TensorType, table: tuple[tuple[int, ...], ...]) -> None:
        if len(table) != self.filters:
            raise ShapeError(f"the table has {len(table)} rows, one per filter, and there are {self.filters} filters")
        if self.groups > 1:
            raise ShapeError("a table and groups exclude each other", help="leave groups out")
        for number, maps in enumerate(table):
            if not maps:
                raise ShapeError(f"filter {number} of the table sees no map", help="every filter needs one at least")
            if len(set(maps)) < len(maps):
                twice = next(m for m in maps if maps.count(m) > 1)
                raise ShapeError(f"filter {number} of the table has map {twice} twice")
            if max(maps) >= x.channels:
                there = f"the {x.channels} maps are 0 to {x.channels - 1}"
                raise ShapeError(f"filter {number} of the table sees map {max(maps)}: {there}")

    def _geometry(self, axes: int) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
        return (
            per_axis(self.kernel, axes, "kernel"),
            per_axis(self.stride, axes, "stride"),
            per_axis(self.dilation, axes, "dilation"),
        )


@final
class Depthwise(AbstractOp):
    """y[n, c*m + k, i, j] = bias[c*m + k] + sum over u, v of weight[c*m + k, 0, u, v] * x[n, c, i*s + u*d, j*s + v*d].

    m = `multiplier` filters for every map and none across maps: [N, C, H, W] -> [N, C*m, H', W'], likewise in one and
    three dimensions. It is conv with groups = C; followed by conv(filters, 1) it is a separable convolution. Sifre 2014
    (thesis, section 6.2); Chollet 2016 (arXiv 1610.02357), section 1; Howard et al. 2017 (1704.04861), section 3.1.
    """

    op: ClassVar[str] = "depthwise"
    positional: ClassVar[tuple[str, ...]] = ("kernel", "stride", "multiplier")
    keeps: ClassVar[Kept] = frozenset({"x"})

    kernel: PerAxis
    stride: PerAxis = 1
    multiplier: Count = 1
    padding: Padding | Literal["half", "valid", "same"] = "half"
    dilation: PerAxis = 1
    bias: bool = True

    def as_conv(self, x: TensorType) -> Conv:
        """The convolution that it is for operands of this type."""
        fields = {name: getattr(self, name) for name in ("kernel", "stride", "padding", "dilation", "bias")}
        return Conv.model_construct(filters=x.channels * self.multiplier, groups=x.channels, **fields)

    def infer(self, *xs: TensorType) -> TensorType:
        (x,) = xs
        spatial_axes(x, self.op)
        return self.as_conv(x).infer(x)

    def params(self, *xs: TensorType) -> Shapes:
        (x,) = xs
        return self.as_conv(x).params(x)

    def macs(self, y: TensorType, *xs: TensorType) -> int:
        (x,) = xs
        return self.as_conv(x).macs(y, x)

    def other(self, y: TensorType, *xs: TensorType) -> int:
        return y.elements if self.bias else 0

    def field(self, *xs: TensorType) -> Windows | None:
        (x,) = xs
        return self.as_conv(x).field(x)

    def shift(self, *xs: TensorType) -> tuple[int | Fraction, ...] | None:
        (x,) = xs
        return self.as_conv(x).shift(x)


@final
class TransposedConv(AbstractOp):
    """y[n, o, i*s + u*d - p, j*s + v*d - p] sums weight[c, o, u, v] * x[n, c, i, j] over c, i, j, u, v; plus bias[o].

    It spreads what conv of the same weights gathers: like inserting s - 1 zeros between the values of x, then
    convolving with the kernel turned by half a circle. With e = d * (kernel - 1) + 1, padding `valid` gives
    (n - 1) * s + e values along an axis, `same` n * s (of e - s too many the odd one goes at the end; missing ones are
    added there), and a number p takes p away on both sides, as torch has it; `output_padding` adds values at the end.
    With groups, the filters / groups filters of a group see its maps alone. Long, Shelhamer and Darrell 2014 (arXiv
    1411.4038), section 3.3; Dumoulin and Visin 2016 (1603.07285), chapter 4.

    `init` is as in conv, or `bilinear`: each filter interpolates the map of its own number between values a stride of
    (kernel + 1) // 2 apart. So kernel 4, stride 2 and `same` double a map as upsample(2, 'bilinear') does.
    """

    op: ClassVar[str] = "transposed_conv"
    positional: ClassVar[tuple[str, ...]] = ("filters", "kernel", "stride")
    keeps: ClassVar[Kept] = frozenset({"x"})

    filters: Count
    kernel: PerAxis
    stride: PerAxis = 1
    padding: Padding | Literal["valid", "same"] = "valid"
    output_padding: Whole | tuple[Whole, ...] = 0
    dilation: PerAxis = 1
    groups: Count = 1
    bias: bool = True
    init: Init | Literal["bilinear"] | float | None = None

    @classmethod
    def text_fields(cls) -> frozenset[str]:
        return frozenset({"init"})

    def infer(self, *xs: TensorType) -> TensorType:
        (x,) = xs
        axes = spatial_axes(x, self.op)
        if self.init == "bilinear" and self.filters != x.channels:
            raise ShapeError(
                f"init bilinear wants a filter for every map, got {self.filters} filters and {x.channels} maps",
                help=f"write {x.channels} filters, or another init",
            )
        if x.channels % self.groups or self.filters % self.groups:
            raise ShapeError(
                f"groups={self.groups} must divide the {x.channels} maps coming in and the {self.filters} filters"
            )
        extents, strides = self._reach(axes)
        for stride, dilation, added in zip(
            strides, per_axis(self.dilation, axes, "dilation"), self._added(axes), strict=True
        ):
            if added >= max(stride, dilation):
                raise ShapeError(
                    f"output_padding {added} must be less than the stride {stride}"
                    + (f" or the dilation {dilation}" if dilation > 1 else ""),
                    help="more would be rows that no input reaches",
                )
        sizes: list[Size] = []
        for axis, (before, after) in enumerate(self.cuts(x)):
            size = (x.spatial[axis] - 1) * strides[axis] + extents[axis] - before - after
            if isinstance(size, int) and size < 1:
                raise ShapeError(
                    f"padding {before} and {after} takes all of the {axis_name(x, axis)}: "
                    f"it is {size + before + after} without",
                    help="use less padding, or padding=same",
                )
            sizes.append(size)
        return x.with_spatial(self.filters, sizes)

    def cuts(self, x: TensorType) -> Sides:
        """What is taken (before, after) from the full result of every axis; below zero where values are added."""
        axes = x.rank - 2
        extents, strides = self._reach(axes)
        if self.padding == "same":
            if any(self._added(axes)):
                raise ShapeError(
                    "output_padding is for padding in numbers: same has its size already", help="leave it out"
                )
            total = [extent - stride for extent, stride in zip(extents, strides, strict=True)]
            return tuple((max(t, 0) // 2, t - max(t, 0) // 2) for t in total)
        taken = sides(self.padding, x, extents, strides, (1,) * axes)
        return tuple((b, a - added) for (b, a), added in zip(taken, self._added(axes), strict=True))

    def params(self, *xs: TensorType) -> Shapes:
        (x,) = xs
        weight = (x.channels, self.filters // self.groups, *per_axis(self.kernel, x.rank - 2, "kernel"))
        return {"weight": weight, "bias": (self.filters,)} if self.bias else {"weight": weight}

    def macs(self, y: TensorType, *xs: TensorType) -> int:
        """One for every input value and weight that it meets, those cut off by padding included."""
        (x,) = xs
        return x.elements * prod(self.params(x)["weight"][1:])

    def other(self, y: TensorType, *xs: TensorType) -> int:
        return y.elements if self.bias else 0

    def field(self, *xs: TensorType) -> Windows | None:
        """Of the weights along an axis every s / gcd(s, d)-th meets one output; they lie d / gcd(s, d) values apart."""
        (x,) = xs
        axes = x.rank - 2
        kernel, dilation = per_axis(self.kernel, axes, "kernel"), per_axis(self.dilation, axes, "dilation")
        met = zip(kernel, per_axis(self.stride, axes, "stride"), dilation, strict=True)
        return tuple(((k - 1) // (s // gcd(s, d)) * (d // gcd(s, d)) + 1, Fraction(1, s)) for k, s, d in met)

    def shift(self, *xs: TensorType) -> tuple[int | Fraction, ...] | None:
        """Output o and weight u meet value (o + cut - u * dilation) / stride; on average over the kernel."""
        (x,) = xs
        met = zip(*self._reach(x.rank - 2), self.cuts(x), strict=True)
        return tuple(Fraction(2 * before - extent + 1, stride) for extent, stride, (before, _) in met)

    def _reach(self, axes: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The dilated kernel and the stride of every axis."""
        kernel, dilation = per_axis(self.kernel, axes, "kernel"), per_axis(self.dilation, axes, "dilation")
        extents = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
        return extents, per_axis(self.stride, axes, "stride")

    def _added(self, axes: int) -> tuple[int, ...]:
        return per_axis(self.output_padding, axes, "output_padding")
