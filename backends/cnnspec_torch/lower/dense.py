"""Dense layers, flatten and dropout as torch's own."""

from __future__ import annotations

from torch import nn

from cnnspec.ops.dense import Dense, Dropout, Flatten
from cnnspec.tensor import TensorType
from cnnspec_torch.lower.base import lower


@lower.register
def dense(op: Dense, x: TensorType) -> nn.Module:
    return nn.Linear(x.channels, op.features, bias=op.bias)


@lower.register
def flatten(op: Flatten, x: TensorType) -> nn.Module:
    return nn.Flatten()


@lower.register
def dropout(op: Dropout, x: TensorType) -> nn.Module:
    return nn.Dropout(op.rate)
