"""The fully connected part: dense layers, and what leads to them."""

from __future__ import annotations

from math import prod
from typing import Annotated, ClassVar, final

from pydantic import Field

from cnnspec.ops.base import AbstractOp, Count, Kept, Shapes
from cnnspec.tensor import ShapeError, TensorType


@final
class Dense(AbstractOp):
    """y[n, o] = bias[o] + sum over i of weight[o, i] * x[n, i]: [N, F] -> [N, features].

    LeCun et al. 1998, section II.B (layers F6 and output). Goodfellow, Bengio and Courville 2016, chapter 6.
    """

    op: ClassVar[str] = "dense"
    positional: ClassVar[tuple[str, ...]] = ("features",)
    keeps: ClassVar[Kept] = frozenset({"x"})

    features: Count
    bias: bool = True

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


def _symbols(x: TensorType) -> str:
    """The symbols besides the batch, as text: 'h and w'."""
    return " and ".join(TensorType(x.shape[1:]).symbols)
