"""Normalization over the batch, over groups of maps, at one position, by given numbers; maps scaled and shifted."""

from __future__ import annotations

from typing import Annotated, ClassVar, final

from pydantic import Field

from cnnspec.ops.base import AbstractOp, Count, Kept, Shapes
from cnnspec.ops.window import spatial_axes
from cnnspec.tensor import ShapeError, TensorType


class AbstractScaled(AbstractOp):
    """Any shape in, the same shape out; every channel has trained numbers of its own."""

    keeps: ClassVar[Kept] = frozenset({"x"})

    def infer(self, *xs: TensorType) -> TensorType:
        (x,) = xs
        return x

    def params(self, *xs: TensorType) -> Shapes:
        (x,) = xs
        return {"weight": (x.channels,), "bias": (x.channels,)}


@final
class BatchNorm(AbstractScaled):
    """y = weight[c] * (x - mean[c]) / sqrt(var[c] + eps) + bias[c], for [N, C] and [N, C, ...].

    In training mean and variance (biased) are of the batch, and running = (1 - momentum) * running + momentum * batch
    (its variance unbiased): `momentum` is torch's, 0.1 being Keras's 0.9. In evaluation they are the running ones.
    Ioffe and Szegedy 2015 (arXiv 1502.03167), algorithms 1 and 2. Buffers are the two running statistics; torch's
    counter `num_batches_tracked` takes part in no formula here and is not counted.
    """

    op: ClassVar[str] = "batchnorm"
    positional: ClassVar[tuple[str, ...]] = ("eps", "momentum")

    eps: Annotated[float, Field(gt=0)] = 1e-5
    momentum: Annotated[float, Field(gt=0, le=1)] = 0.1

    def buffers(self, *xs: TensorType) -> Shapes:
        (x,) = xs
        return {"running_mean": (x.channels,), "running_var": (x.channels,)}

    def other(self, y: TensorType, *xs: TensorType) -> int:
        """Of evaluation: one multiplication and one addition per element."""
        return 2 * y.elements


@final
class Lrn(AbstractOp):
    """y[n, c] = x[n, c] / (k + alpha / size * sum over the `size` maps i around c of x[n, i]^2) ^ beta.

    [N, C, ...] -> the same; maps beyond the first and the last count as zeros. `alpha` is divided by `size`, as in
    torch and ONNX. Krizhevsky, Sutskever and Hinton 2012, section 3.3 (there alpha stands undivided: its 1e-4 with
    n = 5 is alpha=5e-4 here). `size` is odd, so that it has a middle.
    """

    op: ClassVar[str] = "lrn"
    positional: ClassVar[tuple[str, ...]] = ("size", "alpha", "beta", "k")
    keeps: ClassVar[Kept] = frozenset({"x", "mask"})

    size: Count = 5
    alpha: Annotated[float, Field(ge=0)] = 1e-4
    beta: Annotated[float, Field(gt=0)] = 0.75
    k: Annotated[float, Field(gt=0)] = 1.0

    def infer(self, *xs: TensorType) -> TensorType:
        (x,) = xs
        spatial_axes(x, self.op)
        if self.size % 2 == 0:
            raise ShapeError(
                f"size {self.size} is even: lrn looks at as many maps on both sides of its own",
                help=f"write {self.size - 1} or {self.size + 1}",
            )
        return x

    def other(self, y: TensorType, *xs: TensorType) -> int:
        """A square, `size` additions, scaling, shift, power and division per element."""
        return y.elements * (self.size + 5)


@final
class GroupNorm(AbstractScaled):
    """y = weight[c] * (x - mean[n, g]) / sqrt(var[n, g] + eps) + bias[c], over all values of a group g of maps.

    [N, C, ...] -> the same, in `groups` groups of C / groups maps one after another, each image by itself: groups = 1
    is layer normalization over all maps and positions, groups = C instance normalization. That its statistics see the
    whole map is left out of the receptive field. Wu and He 2018 (arXiv 1803.08494), equations 1 to 7.
    """

    op: ClassVar[str] = "groupnorm"
    positional: ClassVar[tuple[str, ...]] = ("groups",)

    groups: Count
    eps: Annotated[float, Field(gt=0)] = 1e-5

    def infer(self, *xs: TensorType) -> TensorType:
        (x,) = xs
        if x.channels % self.groups:
            raise ShapeError(
                f"groups={self.groups} must divide the {x.channels} maps coming in",
                help=f"{x.channels} maps make {_divisors(x.channels)} groups",
            )
        return x

    def other(self, y: TensorType, *xs: TensorType) -> int:
        """Sum, difference, square and its sum, two multiplications and an addition per element."""
        return 7 * y.elements


@final
class LayerNorm(AbstractScaled):
    """y = weight[c] * (x - mean) / sqrt(var + eps) + bias[c], mean and variance over the channels at each position.

    [N, C] and [N, C, ...] -> the same; the positions of a map stay apart, as ConvNeXt has it (its eps is 1e-6). Over
    all maps and positions together it is groupnorm(1). Ba, Kiros and Hinton 2016 (arXiv 1607.06450), section 3; Liu
    et al. 2022 (2201.03545), section 2.6.
    """

    op: ClassVar[str] = "layernorm"
    positional: ClassVar[tuple[str, ...]] = ("eps",)

    eps: Annotated[float, Field(gt=0)] = 1e-5

    def other(self, y: TensorType, *xs: TensorType) -> int:
        """Sum, difference, square and its sum, two multiplications and an addition per element."""
        return 7 * y.elements


@final
class ChannelAffine(AbstractScaled):
    """y = weight[c] * x + bias[c], both trained; without `bias` only scaled. [N, C] and [N, C, ...] -> the same.

    The weights start from `start`, the biases from 0. LeCun et al. 1998, section II.B (the coefficient and bias of a
    subsampling map); without bias Touvron et al. 2021 (arXiv 2103.17239), equation 4 (LayerScale).
    """

    op: ClassVar[str] = "channel_affine"

    bias: bool = True
    start: float = 1.0

    def params(self, *xs: TensorType) -> Shapes:
        (x,) = xs
        return {"weight": (x.channels,), "bias": (x.channels,)} if self.bias else {"weight": (x.channels,)}

    def other(self, y: TensorType, *xs: TensorType) -> int:
        return y.elements * (2 if self.bias else 1)


Deviation = Annotated[float, Field(gt=0)]


@final
class Normalize(AbstractOp):
    """y = (x - mean[c]) / std[c] by given numbers, one for all channels or a list of one per channel.

    [N, C] and [N, C, ...] -> the same. The numbers are constants (buffers), not trained. LeCun et al. 1998, section
    III.A (white to -0.1, black to 1.175).
    """

    op: ClassVar[str] = "normalize"
    positional: ClassVar[tuple[str, ...]] = ("mean", "std")

    mean: float | tuple[float, ...]
    std: Deviation | tuple[Deviation, ...]

    def infer(self, *xs: TensorType) -> TensorType:
        (x,) = xs
        for name, given in (("mean", self.mean), ("std", self.std)):
            if isinstance(given, tuple) and len(given) != x.channels:
                count = f"{len(given)} number{'s' if len(given) != 1 else ''}"
                raise ShapeError(
                    f"{name} has {count}, the input has {x.channels} channels",
                    help="write one number for all channels, or a list of one per channel",
                )
        return x

    def buffers(self, *xs: TensorType) -> Shapes:
        (x,) = xs
        return {"mean": (x.channels,), "std": (x.channels,)}

    def other(self, y: TensorType, *xs: TensorType) -> int:
        return 2 * y.elements


def _divisors(number: int) -> str:
    """Those up to 64, as text: `1, 2, 4 or 8`."""
    found = [str(d) for d in range(1, min(number, 64) + 1) if number % d == 0]
    return " or ".join(filter(None, [", ".join(found[:-1]), found[-1]]))
