"""The one dispatch from operators to torch modules. Families register their functions here."""

from __future__ import annotations

from functools import singledispatch

from torch import nn

from cnnspec.ops.base import AbstractOp
from cnnspec.tensor import TensorType


@singledispatch
def lower(op: AbstractOp, *types: TensorType) -> nn.Module:
    """The module of an operator for operands of these types, with freshly drawn weights.

    Raises NotImplementedError for an operator that this backend does not know.
    """
    raise NotImplementedError(f"the torch backend has no lowering for the operator '{op.op}'")


def torch_pads(pads: tuple[tuple[int, int], ...]) -> tuple[int, ...]:
    """(before, after) per spatial axis in the order of torch.nn.functional.pad: the last axis first."""
    return tuple(side for pair in reversed(pads) for side in pair)
