"""Where a graph begins."""

from __future__ import annotations

from typing import ClassVar, final

from cnnspec.ops.base import AbstractOp
from cnnspec.tensor import TensorType


@final
class Input(AbstractOp):
    """A tensor given from outside; the spec's `input` section declares its type. No expression can call it."""

    op: ClassVar[str] = "input"
    operands: ClassVar[tuple[str, ...] | None] = ()

    def infer(self, *xs: TensorType) -> TensorType:
        """Raises TypeError always: the type is declared."""
        raise TypeError("the type of an input is declared, not inferred")
