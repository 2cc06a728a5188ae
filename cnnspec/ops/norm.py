"""Normalization: of every map over the batch, and of every position over its neighbouring maps."""

from __future__ import annotations

from typing import Annotated, ClassVar, final

from pydantic import Field

from cnnspec.ops.base import AbstractOp, Count, Kept, Shapes
from cnnspec.ops.window import spatial_axes
from cnnspec.tensor import ShapeError, TensorType


@final
class BatchNorm(AbstractOp):
    """y = weight[c] * (x - mean[c]) / sqrt(var[c] + eps) + bias[c], for [N, C] and [N, C, ...].

    In training mean and variance (biased) are of the batch, and running = (1 - momentum) * running + momentum * batch
    (its variance unbiased): `momentum` is torch's, 0.1 being Keras's 0.9. In evaluation they are the running ones.
    Ioffe and Szegedy 2015 (arXiv 1502.03167), algorithms 1 and 2. Buffers are the two running statistics; torch's
    counter `num_batches_tracked` takes part in no formula here and is not counted.
    """

    op: ClassVar[str] = "batchnorm"
    positional: ClassVar[tuple[str, ...]] = ("eps", "momentum")
    keeps: ClassVar[Kept] = frozenset({"x"})

    eps: Annotated[float, Field(gt=0)] = 1e-5
    momentum: Annotated[float, Field(gt=0, le=1)] = 0.1

    def infer(self, *xs: TensorType) -> TensorType:
        (x,) = xs
        return x

    def params(self, *xs: TensorType) -> Shapes:
        (x,) = xs
        return {"weight": (x.channels,), "bias": (x.channels,)}

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
