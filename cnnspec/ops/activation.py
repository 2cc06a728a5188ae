"""Functions of every value by itself, and softmax over the channels."""

from __future__ import annotations

from typing import Annotated, ClassVar, final

from pydantic import Field

from cnnspec.ops.base import AbstractOp, Kept, Shapes
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
class LeakyRelu(AbstractActivation):
    """y = x where x > 0, else slope * x. Maas, Hannun and Ng 2013 (ICML workshop), section 2."""

    op: ClassVar[str] = "leaky_relu"
    positional: ClassVar[tuple[str, ...]] = ("slope",)
    keeps: ClassVar[Kept] = frozenset({"x"})
    steps: ClassVar[int] = 2

    slope: Annotated[float, Field(ge=0)] = 0.01


@final
class Prelu(AbstractActivation):
    """y = x where x > 0, else weight[c] * x, trained with the rest; `shared` has one weight for all maps.

    The weights start from 0.25. He et al. 2015 (arXiv 1502.01852), section 2.1.
    """

    op: ClassVar[str] = "prelu"
    keeps: ClassVar[Kept] = frozenset({"x"})
    steps: ClassVar[int] = 2

    shared: bool = False

    def params(self, *xs: TensorType) -> Shapes:
        (x,) = xs
        return {"weight": (1 if self.shared else x.channels,)}


@final
class Elu(AbstractActivation):
    """y = x where x > 0, else alpha * (exp(x) - 1). Clevert, Unterthiner and Hochreiter 2015 (1511.07289), eq. 3."""

    op: ClassVar[str] = "elu"
    positional: ClassVar[tuple[str, ...]] = ("alpha",)
    keeps: ClassVar[Kept] = frozenset({"x"})
    steps: ClassVar[int] = 4

    alpha: Annotated[float, Field(gt=0)] = 1.0


@final
class Selu(AbstractActivation):
    """y = 1.0507 * x where x > 0, else 1.0507 * 1.67326 * (exp(x) - 1), both to 16 digits.

    Klambauer, Unterthiner, Mayr and Hochreiter 2017 (arXiv 1706.02515), equation 2.
    """

    op: ClassVar[str] = "selu"
    keeps: ClassVar[Kept] = frozenset({"x"})
    steps: ClassVar[int] = 4


@final
class Gelu(AbstractActivation):
    """y = x * P(X <= x) of a standard normal X = x / 2 * (1 + erf(x / sqrt 2)).

    With `approximate`, x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))). Hendrycks and Gimpel 2016 (arXiv
    1606.08415), section 2.
    """

    op: ClassVar[str] = "gelu"
    keeps: ClassVar[Kept] = frozenset({"x"})
    steps: ClassVar[int] = 5

    approximate: bool = False


@final
class Silu(AbstractActivation):
    """y = x / (1 + exp(-x)), also called swish. Elfwing, Uchibe and Doya 2017 (1702.03118), equation 1."""

    op: ClassVar[str] = "silu"
    keeps: ClassVar[Kept] = frozenset({"x"})
    steps: ClassVar[int] = 4


@final
class Mish(AbstractActivation):
    """y = x * tanh(log(1 + exp(x))). Misra 2019 (arXiv 1908.08681), equation 1."""

    op: ClassVar[str] = "mish"
    keeps: ClassVar[Kept] = frozenset({"x"})
    steps: ClassVar[int] = 5


@final
class HardSwish(AbstractActivation):
    """y = x * min(max(x + 3, 0), 6) / 6. Howard et al. 2019 (arXiv 1905.02244), section 5.2."""

    op: ClassVar[str] = "hard_swish"
    keeps: ClassVar[Kept] = frozenset({"x"})
    steps: ClassVar[int] = 5


@final
class HardSigmoid(AbstractActivation):
    """y = min(max(x + 3, 0), 6) / 6, as MobileNet-v3, torch and Keras 3 have it.

    Howard et al. 2019 (arXiv 1905.02244), section 5.2.
    """

    op: ClassVar[str] = "hard_sigmoid"
    keeps: ClassVar[Kept] = frozenset({"x"})
    steps: ClassVar[int] = 4


@final
class ScaledTanh(AbstractActivation):
    """y = 1.7159 * tanh(2 / 3 * x), so that f(1) is nearly 1. LeCun et al. 1998, appendix A."""

    op: ClassVar[str] = "scaled_tanh"
    keeps: ClassVar[Kept] = frozenset({"mask"})
    steps: ClassVar[int] = 3


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
