"""Functions of every value by itself, and softmax over the channels."""

from __future__ import annotations

from typing import ClassVar, final

from cnnspec.ops.base import AbstractOp, Kept
from cnnspec.tensor import TensorType


class AbstractActivation(AbstractOp):
    """Any shape in, the same shape out; no weights."""

    steps: ClassVar[int] = 1
    """Arithmetic per element, an exponential counted as one."""

    def infer(self, *xs: TensorType) -> TensorType:
        (x,) = xs
        return x

    def other(self, y: TensorType, *xs: TensorType) -> int:
        return self.steps * y.elements


@final
class Relu(AbstractActivation):
    """y = max(x, 0). Nair and Hinton 2010 (ICML); Krizhevsky et al. 2012, section 3.1."""

    op: ClassVar[str] = "relu"
    keeps: ClassVar[Kept] = frozenset({"y"})
    overwrites: ClassVar[bool] = True


@final
class Relu6(AbstractActivation):
    """y = min(max(x, 0), 6). Krizhevsky 2010 (deep belief networks on CIFAR-10); Sandler et al. 2018, section 4."""

    op: ClassVar[str] = "relu6"
    keeps: ClassVar[Kept] = frozenset({"x"})
    overwrites: ClassVar[bool] = True
    steps: ClassVar[int] = 2


@final
class Tanh(AbstractActivation):
    """y = tanh(x). Goodfellow, Bengio and Courville 2016, section 6.3.2."""

    op: ClassVar[str] = "tanh"
    keeps: ClassVar[Kept] = frozenset({"y"})


@final
class Sigmoid(AbstractActivation):
    """y = 1 / (1 + exp(-x)). Goodfellow, Bengio and Courville 2016, section 6.3.2."""

    op: ClassVar[str] = "sigmoid"
    keeps: ClassVar[Kept] = frozenset({"y"})
    steps: ClassVar[int] = 3


@final
class Softmax(AbstractActivation):
    """y[n, c] = exp(x[n, c]) / sum over k of exp(x[n, k]), at every position of a map: over axis 1.

    Goodfellow, Bengio and Courville 2016, section 6.2.2.3.
    """

    op: ClassVar[str] = "softmax"
    keeps: ClassVar[Kept] = frozenset({"y"})
    steps: ClassVar[int] = 3


@final
class Identity(AbstractActivation):
    """y = x."""

    op: ClassVar[str] = "identity"
    aliases: ClassVar[bool] = True
    steps: ClassVar[int] = 0
