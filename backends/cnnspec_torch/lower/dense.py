"""Dense layers, flatten and dropout as torch's own; stochastic depth and distances as ours."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cnnspec.ops.dense import Dense, Distance, Dropout, Flatten, StochasticDepth
from cnnspec.tensor import TensorType
from cnnspec_torch.lower.base import lower
from cnnspec_torch.lower.init import fans, start


class DropImages(nn.Module):
    """In training some images become 0 and the others are scaled up."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        kept = x.new_empty((x.shape[0],) + (1,) * (x.dim() - 1)).bernoulli_(1 - self.rate)
        return x * kept.div_(1 - self.rate)

    def extra_repr(self) -> str:
        return f"rate={self.rate}"


class SquaredDistance(nn.Module):
    """Squared Euclidean distance to every code."""

    codes: Tensor

    def __init__(self, codes: Tensor) -> None:
        super().__init__()
        self.register_buffer("codes", codes)

    def forward(self, x: Tensor) -> Tensor:
        return (x.unsqueeze(1) - self.codes).square().sum(2)

    def extra_repr(self) -> str:
        return f"codes={tuple(self.codes.shape)}"


@lower.register
def dense(op: Dense, x: TensorType) -> nn.Module:
    module = nn.Linear(x.channels, op.features, bias=op.bias)
    start(module, op.init, *fans(module.weight))
    return module


@lower.register
def flatten(op: Flatten, x: TensorType) -> nn.Module:
    return nn.Flatten()


@lower.register
def dropout(op: Dropout, x: TensorType) -> nn.Module:
    return nn.Dropout(op.rate)


@lower.register
def stochastic_depth(op: StochasticDepth, x: TensorType) -> nn.Module:
    return DropImages(op.rate)


@lower.register
def distance(op: Distance, x: TensorType) -> nn.Module:
    return SquaredDistance(torch.tensor(op.codes, dtype=torch.get_default_dtype()))
