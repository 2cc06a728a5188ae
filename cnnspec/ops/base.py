"""What an operator is: its fields are its arguments in YAML, its methods its meaning."""

from __future__ import annotations

from abc import ABC, abstractmethod
from fractions import Fraction
from math import prod
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from cnnspec.limits import DIMENSION
from cnnspec.tensor import Size, TensorType

Count = Annotated[int, Field(ge=1, le=DIMENSION)]
Whole = Annotated[int, Field(ge=0, le=DIMENSION)]
PerAxis = Count | tuple[Count, ...]
Padding = Whole | tuple[Whole, ...] | tuple[tuple[Whole, Whole], ...]
Init = Literal["he", "glorot", "lecun"]
Sides = tuple[tuple[int, int], ...]
Shapes = dict[str, tuple[int, ...]]
Kept = frozenset[Literal["x", "y", "mask"]]
Windows = tuple[tuple[int, int | Fraction], ...]
"""Per spatial axis (kernel, stride); what enlarges a map s times has stride 1/s."""


class AbstractOp(BaseModel, ABC):
    """One operator. Leaves are final; every call of one makes weights of its own and gives one tensor."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True, allow_inf_nan=False)

    op: ClassVar[str]
    positional: ClassVar[tuple[str, ...]] = ()
    """Fields that may be given without a keyword, in this order."""
    operands: ClassVar[tuple[str, ...] | None] = ("x",)
    """Names of the tensors it takes; None stands for two or more of equal standing."""
    keeps: ClassVar[Kept] = frozenset()
    """What backward needs: inputs (x), the output (y), or a mask of its own."""
    overwrites: ClassVar[bool] = False
    """Whether the result may be written over an operand of its type that nothing else needs."""
    aliases: ClassVar[bool] = False
    """Whether the result may be the operand's own memory."""

    @classmethod
    def text_fields(cls) -> frozenset[str]:
        """Fields that hold one of a choice of texts (`mode: nearest`), besides the words of the language."""
        return frozenset()

    @abstractmethod
    def infer(self, *xs: TensorType) -> TensorType:
        """The type of the result; raises ShapeError, to which the compiler adds the position."""

    def bounded(self, *xs: TensorType) -> tuple[Size, ...]:
        """Sizes besides those of the result that must be at least 1; each is a lower bound on its symbol."""
        return ()

    def params(self, *xs: TensorType) -> Shapes:
        """Trainable tensors by their state-dict name."""
        return {}

    def buffers(self, *xs: TensorType) -> Shapes:
        """Statistics and constants by their state-dict name; they are no parameters."""
        return {}

    def shares(self, training: bool) -> bool:
        """Whether the result is the first operand's own memory in this mode."""
        return self.aliases

    def passes(self) -> bool:
        """Whether the gradients of the operands are the memory of the result's gradient, or parts of it."""
        return self.shares(training=True)

    def kept(self, needs: tuple[bool, ...]) -> tuple[int, ...]:
        """Which operands backward needs, where `needs` says which of them need a gradient."""
        return tuple(range(len(needs))) if "x" in self.keeps else ()

    def macs(self, y: TensorType, *xs: TensorType) -> int:
        """Multiply-accumulates of convolutions and dense layers at concrete types, bias excluded."""
        return 0

    def other(self, y: TensorType, *xs: TensorType) -> int:
        """Arithmetic besides the MACs at concrete types, one per element and step."""
        return 0

    def field(self, *xs: TensorType) -> Windows | None:
        """What one output sees, the most where outputs differ; None: one position alone, or sizes not yet known."""
        return None

    def shift(self, *xs: TensorType) -> tuple[int | Fraction, ...] | None:
        """Per spatial axis how far behind the first input value the middle of what the first output sees lies, in half
        steps of the input; None: nowhere, or sizes not yet known."""
        return None


def number_of(shapes: Shapes) -> int:
    return sum(prod(shape) for shape in shapes.values())
