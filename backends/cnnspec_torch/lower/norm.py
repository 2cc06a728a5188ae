"""Normalization as torch's own."""

from __future__ import annotations

from torch import nn

from cnnspec.ops.norm import BatchNorm, Lrn
from cnnspec.tensor import TensorType
from cnnspec_torch.lower.base import lower

BATCH_NORMS = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}


@lower.register
def batchnorm(op: BatchNorm, x: TensorType) -> nn.Module:
    return BATCH_NORMS[x.rank](x.channels, eps=op.eps, momentum=op.momentum)


@lower.register
def lrn(op: Lrn, x: TensorType) -> nn.Module:
    return nn.LocalResponseNorm(op.size, op.alpha, op.beta, op.k)
