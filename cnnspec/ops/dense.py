"""The fully connected part: dense layers, what leads to them, what is left out in training, distances."""

from __future__ import annotations

from math import prod
from typing import Annotated, ClassVar, final

from pydantic import Field

from cnnspec.ops.base import AbstractOp, Count, Init, Kept, Shapes
from cnnspec.ops.given import Numbers, sizes_of
from cnnspec.tensor import ShapeError, TensorType


@final
class Dense(AbstractOp):
    """y[n, o] = bias[o] + sum over i of weight[o, i] * x[n, i]: [N, F] -> [N, features].

    `init` says what the weights start from, the biases then from 0: `he` (normal, variance 2 / F), `glorot` (uniform,
    variance 2 / (F + features)), `lecun` (normal, variance 1 / F), or a number for all. LeCun et al. 1998, section II.B
    (layers F6 and output). Goodfellow, Bengio and Courville 2016, chapter 6.
    """

    op: ClassVar[str] = "dense"
    positional: ClassVar[tuple[str, ...]] = ("features",)
    keeps: ClassVar[Kept] = frozenset({"x"})

    features: Count
    bias: bool = True
    init: Init | float | None = None

    @classmethod
    def text_fields(cls) -> frozenset[str]:
        return frozenset({"init"})

    def infer(self, *xs: TensorType) -> TensorType:
        (x,) = xs
        if x.rank != 2:
            unfixed = _symbols(x)
            raise ShapeError(
                f"dense takes [N, F], got {x}: flatten or global_avgpool first",
                help=f"here global_avgpool: flatten needs a fixed size, not {unfixed}" if unfixed else None,
            )
        return TensorType((x.shape[0], self.features))

    def params(self, *xs: TensorType) -> Shapes:
        (x,) = xs
        weight = (self.features, x.channels)
        return {"weight": weight, "bias": (self.features,)} if self.bias else {"weight": weight}

    def macs(self, y: TensorType, *xs: TensorType) -> int:
        (x,) = xs
        return y.elements * x.channels

    def other(self, y: TensorType, *xs: TensorType) -> int:
        return y.elements if self.bias else 0


@final
class Flatten(AbstractOp):
    """[N, C, H, W] -> [N, C*H*W], channels first and the last axis fastest; any rank; no copy."""

    op: ClassVar[str] = "flatten"
    aliases: ClassVar[bool] = True

    def infer(self, *xs: TensorType) -> TensorType:
        (x,) = xs
        if unfixed := _symbols(x):
            raise ShapeError(
                f"flatten needs a fixed size, and {x} depends on {unfixed}",
                help="use global_avgpool, or declare the input with numbers",
            )
        return TensorType((x.shape[0], prod(size for size in x.shape[1:] if isinstance(size, int))))


@final
class Dropout(AbstractOp):
    """In training every value is 0 with probability `rate`, else divided by 1 - rate; in evaluation y = x.

    Srivastava et al. 2014 (JMLR 15), section 10, "inverted" as all frameworks have it.
    """

    op: ClassVar[str] = "dropout"
    positional: ClassVar[tuple[str, ...]] = ("rate",)
    keeps: ClassVar[Kept] = frozenset({"mask"})
    aliases: ClassVar[bool] = True

    rate: Annotated[float, Field(ge=0, lt=1)] = 0.5

    def infer(self, *xs: TensorType) -> TensorType:
        (x,) = xs
        return x

    def shares(self, training: bool) -> bool:
        return not training or self.rate == 0


@final
class StochasticDepth(AbstractOp):
    """In training each image is 0 altogether with probability `rate`, else divided by 1 - rate; in evaluation y = x.

    It stands at the end of a residual branch. Huang et al. 2016 (arXiv 1603.09382), section 3; one draw per image as in
    EfficientNet and ConvNeXt (torchvision's mode "row").
    """

    op: ClassVar[str] = "stochastic_depth"
    positional: ClassVar[tuple[str, ...]] = ("rate",)
    keeps: ClassVar[Kept] = frozenset({"mask"})
    aliases: ClassVar[bool] = True

    rate: Annotated[float, Field(ge=0, lt=1)]

    def infer(self, *xs: TensorType) -> TensorType:
        (x,) = xs
        return x

    def shares(self, training: bool) -> bool:
        return not training or self.rate == 0


@final
class Distance(AbstractOp):
    """y[n, k] = sum over i of (x[n, i] - codes[k, i])^2: [N, F] -> [N, classes].

    The smaller, the nearer. `codes` are given numbers [classes, F], constants and not trained. LeCun et al. 1998,
    section II.B, equation 7 (the output layer).
    """

    op: ClassVar[str] = "distance"
    positional: ClassVar[tuple[str, ...]] = ("codes",)
    keeps: ClassVar[Kept] = frozenset({"mask"})

    codes: Numbers

    def infer(self, *xs: TensorType) -> TensorType:
        (x,) = xs
        if x.rank != 2:
            raise ShapeError(f"distance takes [N, F], got {x}: flatten or global_avgpool first")
        sizes = sizes_of(self.codes)
        if len(sizes) != 2 or sizes[1] != x.channels:
            raise ShapeError(f"codes are {[*sizes]}, this distance wants [classes, {x.channels}]")
        return TensorType((x.shape[0], sizes[0]))

    def buffers(self, *xs: TensorType) -> Shapes:
        return {"codes": sizes_of(self.codes)}

    def other(self, y: TensorType, *xs: TensorType) -> int:
        """A difference, a square and an addition for every class and feature."""
        (x,) = xs
        return 3 * y.elements * x.channels


def _symbols(x: TensorType) -> str:
    """The symbols besides the batch, as text: 'h and w'."""
    return " and ".join(TensorType(x.shape[1:]).symbols)
