"""Sizes changed and values moved; nothing is trained and, bilinear interpolation aside, nothing computed."""

from __future__ import annotations

from fractions import Fraction
from math import prod
from typing import Annotated, ClassVar, Literal, final

from pydantic import Field

from cnnspec.ops.base import AbstractOp, Count, Padding, PerAxis, Whole, Windows
from cnnspec.ops.window import axis_name, per_axis, sides, spatial_axes
from cnnspec.tensor import Dim, ShapeError, Size, TensorType

Mode = Literal["nearest", "bilinear"]


class AbstractResampling(AbstractOp):
    """Value i of n lies at (i + 1/2) / n of an axis, on the old map and the new (torch's `align_corners=False`).

    Mode `nearest` takes value i*old // new; `bilinear` goes straight from a value to its neighbour along every axis,
    one, two or three.
    """

    mode: Mode = "nearest"

    @classmethod
    def text_fields(cls) -> frozenset[str]:
        return frozenset({"mode"})

    def other(self, y: TensorType, *xs: TensorType) -> int:
        """Bilinear: a weight for each of 2, 4 or 8 neighbours, and their sum."""
        return 0 if self.mode == "nearest" else y.elements * (2 * 2 ** (y.rank - 2) - 1)

    def field(self, *xs: TensorType) -> Windows | None:
        seen = 1 if self.mode == "nearest" else 2
        old, new = xs[0].spatial, self.infer(*xs).spatial
        steps = [Fraction(n, m) for n, m in zip(old, new, strict=True) if isinstance(n, int) and isinstance(m, int)]
        return tuple((1 if step == 1 else seen, step) for step in steps) if len(steps) == len(old) else None

    def shift(self, *xs: TensorType) -> tuple[int | Fraction, ...] | None:
        window = self.field(*xs)
        return None if window is None else tuple(step - 1 for _, step in window)


@final
class Upsample(AbstractResampling):
    """[N, C, H, W] -> [N, C, factor*H, factor*W]; likewise in one and three dimensions, one factor or one per axis.

    Long, Shelhamer and Darrell 2014 (arXiv 1411.4038), section 3.3; Dumoulin and Visin 2016 (1603.07285), chapter 4.
    """

    op: ClassVar[str] = "upsample"
    positional: ClassVar[tuple[str, ...]] = ("factor", "mode")

    factor: PerAxis

    def infer(self, *xs: TensorType) -> TensorType:
        (x,) = xs
        factors = per_axis(self.factor, spatial_axes(x, self.op), "factor")
        return x.with_spatial(x.channels, [n * factor for n, factor in zip(x.spatial, factors, strict=True)])


@final
class Resize(AbstractResampling):
    """The maps of x brought to the sizes of `like`, of which nothing else is used.

    [N, C, H', W'], [N, K, H, W] -> [N, C, H, W]; likewise in one and three dimensions. Long, Shelhamer and Darrell
    2014 (arXiv 1411.4038), section 3.3.
    """

    op: ClassVar[str] = "resize"
    operands: ClassVar[tuple[str, ...] | None] = ("x", "like")

    def infer(self, *xs: TensorType) -> TensorType:
        x, like = xs
        _same_axes(self.op, x, like)
        return x.with_spatial(x.channels, like.spatial)


@final
class Crop(AbstractOp):
    """y[n, c, i, j] = x[n, c, i + offset, j + offset], as far as the map of `like` reaches: what FCN cuts off.

    [N, C, H, W], [N, K, H', W'] -> [N, C, H', W']; H' + offset must not exceed H. One offset for all axes or one per
    axis; likewise in one and three dimensions. Long, Shelhamer and Darrell 2014 (arXiv 1411.4038), section 4.2.
    """

    op: ClassVar[str] = "crop"
    operands: ClassVar[tuple[str, ...] | None] = ("x", "like")
    positional: ClassVar[tuple[str, ...]] = ("offset",)
    aliases: ClassVar[bool] = True

    offset: Whole | tuple[Whole, ...]

    def infer(self, *xs: TensorType) -> TensorType:
        x, like = xs
        _same_axes(self.op, x, like)
        offsets = per_axis(self.offset, x.rank - 2, "offset")
        for axis, (size, offset, room) in enumerate(zip(like.spatial, offsets, self._room(x, like), strict=True)):
            if room is None:
                raise ShapeError(
                    f"crop of {size} at offset {offset} and the {axis_name(x, axis)} {x.spatial[axis]} hold two "
                    "symbols: which is larger is open",
                    help="declare the inputs with one symbol",
                )
            wanted = f"crop of {size} at offset {offset} does not fit into the {axis_name(x, axis)} {x.spatial[axis]}"
            if isinstance(room, int) and room < 0:
                raise ShapeError(wanted, help=f"it is {-room} too much: use a smaller offset, or pad before")
            if isinstance(room, Dim) and room.factor < 0:
                raise ShapeError(
                    f"{wanted} where {room.symbol} is large: {size} grows faster", help="crop the larger to the smaller"
                )
        return x.with_spatial(x.channels, like.spatial)

    def passes(self) -> bool:
        return False  # what was cut off has a gradient of zero

    def bounded(self, *xs: TensorType) -> tuple[Size, ...]:
        return tuple(room + 1 for room in self._room(*xs) if room is not None)

    def shift(self, *xs: TensorType) -> tuple[int | Fraction, ...] | None:
        return tuple(2 * offset for offset in per_axis(self.offset, xs[0].rank - 2, "offset"))

    def _room(self, x: TensorType, like: TensorType) -> tuple[Size | None, ...]:
        """What is left of every axis behind the crop; None where that would hold two symbols."""
        offsets = per_axis(self.offset, x.rank - 2, "offset")
        return tuple(
            None if len(TensorType((n, size)).symbols) > 1 else n - offset - size
            for n, offset, size in zip(x.spatial, offsets, like.spatial, strict=True)
        )


@final
class Pad(AbstractOp):
    """The map with `value` around it: [N, C, H, W] -> [N, C, before + H + after, before + W + after].

    `size` is a number for all sides, a list of one per axis, or of [before, after] per axis; in one, two or three
    dimensions. LeCun et al. 1998, section II.B (28x28 digits on a 32x32 field).
    """

    op: ClassVar[str] = "pad"
    positional: ClassVar[tuple[str, ...]] = ("size", "value")

    size: Padding
    value: float = 0.0

    def infer(self, *xs: TensorType) -> TensorType:
        (x,) = xs
        spatial_axes(x, self.op)
        return x.with_spatial(x.channels, [n + sum(pair) for n, pair in zip(x.spatial, self.pads(x), strict=True)])

    def pads(self, x: TensorType) -> tuple[tuple[int, int], ...]:
        """Values (before, after) on every spatial axis."""
        ones = (1,) * (x.rank - 2)
        return sides(self.size, x, ones, ones, ones)

    def shift(self, *xs: TensorType) -> tuple[int | Fraction, ...] | None:
        return tuple(-2 * before for before, _ in self.pads(xs[0]))


@final
class Channels(AbstractOp):
    """The maps from `start` to `stop` - 1, counted from 0: [N, C, ...] -> [N, stop - start, ...]; no copy."""

    op: ClassVar[str] = "channels"
    positional: ClassVar[tuple[str, ...]] = ("start", "stop")
    aliases: ClassVar[bool] = True

    start: Whole
    stop: Count

    def infer(self, *xs: TensorType) -> TensorType:
        (x,) = xs
        if not self.start < self.stop <= x.channels:
            message = f"channels({self.start}, {self.stop}) of {x.channels} maps: they are 0 to {x.channels - 1}"
            raise ShapeError(message, help=f"0 <= start < stop <= {x.channels}; stop itself is left out")
        return x.with_spatial(self.stop - self.start, x.spatial)

    def passes(self) -> bool:
        return False  # what was cut off has a gradient of zero


@final
class ChannelShuffle(AbstractOp):
    """Map g*(C / groups) + k goes to k*groups + g: from `groups` groups one after another to one of each in turn.

    [N, C, ...] -> the same. Zhang et al. 2017 (arXiv 1707.01083), section 3.1.
    """

    op: ClassVar[str] = "channel_shuffle"
    positional: ClassVar[tuple[str, ...]] = ("groups",)

    groups: Count

    def infer(self, *xs: TensorType) -> TensorType:
        (x,) = xs
        if x.channels % self.groups:
            raise ShapeError(f"groups={self.groups} must divide the {x.channels} maps coming in")
        return x


@final
class PixelShuffle(AbstractOp):
    """y[n, c, i*r + u, j*r + v] = x[n, c*r*r + u*r + v, i, j]: [N, C*r*r, H, W] -> [N, C, H*r, W*r], r = `factor`.

    Shi et al. 2016 (arXiv 1609.05158), equation 4.
    """

    op: ClassVar[str] = "pixel_shuffle"
    positional: ClassVar[tuple[str, ...]] = ("factor",)

    factor: Count

    def infer(self, *xs: TensorType) -> TensorType:
        (x,) = xs
        if x.rank != 4:
            raise ShapeError(f"pixel_shuffle takes [N, C, H, W], got {x}")
        square = self.factor**2
        if x.channels % square:
            raise ShapeError(
                f"factor {self.factor} wants a multiple of {square} maps, got {x.channels}",
                help="every map of the result is made of factor * factor maps",
            )
        return x.with_spatial(x.channels // square, [n * self.factor for n in x.spatial])

    def field(self, *xs: TensorType) -> Windows | None:
        return ((1, Fraction(1, self.factor)),) * 2

    def shift(self, *xs: TensorType) -> tuple[int | Fraction, ...] | None:
        return (Fraction(1, self.factor) - 1,) * 2


@final
class Reshape(AbstractOp):
    """The values of every image in their order (the last axis fastest) as another shape: [N, ...] -> [N, *size].

    One entry of `size` may be -1: what the others leave. Sizes must be fixed.
    """

    op: ClassVar[str] = "reshape"
    positional: ClassVar[tuple[str, ...]] = ("size",)
    aliases: ClassVar[bool] = True

    size: Annotated[tuple[Count | Literal[-1], ...], Field(min_length=1, max_length=4)]

    def infer(self, *xs: TensorType) -> TensorType:
        (x,) = xs
        if symbols := TensorType(x.shape[1:]).symbols:
            raise ShapeError(
                f"reshape needs a fixed size, and {x} depends on {' and '.join(symbols)}",
                help="declare the input with numbers",
            )
        open_at = [at + 1 for at, size in enumerate(self.size) if size == -1]
        if len(open_at) > 1:
            raise ShapeError(
                f"{len(open_at)} sizes are -1, entries {' and '.join(map(str, open_at))}: one follows from the others",
                help="write all sizes but one",
            )
        values = prod(size for size in x.shape[1:] if isinstance(size, int))
        held = prod(size for size in self.size if size != -1)
        if values % held or (not open_at and values != held):
            raise ShapeError(
                f"reshape to {list(self.size)} holds {'multiples of ' if open_at else ''}{held} values an image, "
                f"{x} has {values}"
            )
        return TensorType((x.shape[0], *(values // held if size == -1 else size for size in self.size)))


@final
class Permute(AbstractOp):
    """Axis i of the result is axis order[i] of x; the batch stays first: [0, 2, 3, 1] makes [N, H, W, C]; no copy.

    Axis 1 of the result counts as its channels from there on and must be a plain number.
    """

    op: ClassVar[str] = "permute"
    positional: ClassVar[tuple[str, ...]] = ("order",)
    aliases: ClassVar[bool] = True

    order: tuple[Whole, ...]

    def infer(self, *xs: TensorType) -> TensorType:
        (x,) = xs
        if sorted(self.order) != list(range(x.rank)) or self.order[0] != 0:
            raise ShapeError(
                f"order {list(self.order)} must hold the axes 0 to {x.rank - 1} of {x} once each, 0 first",
                help=f"{list(range(x.rank))} would leave all where they are",
            )
        shape = tuple(x.shape[axis] for axis in self.order)
        if not isinstance(shape[1], int):
            raise ShapeError(f"order {list(self.order)} makes {shape[1]} the channels, which must be a plain number")
        return TensorType(shape)


def _same_axes(op: str, x: TensorType, like: TensorType) -> None:
    spatial_axes(x, op)
    if like.rank != x.rank:
        raise ShapeError(f"{op} takes tensors of as many axes, got {x} and {like}")
