"""Normalization as torch's own; small classes of ours for what torch has not as a module over channels."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812  as everybody writes it
from torch import Tensor, nn

from cnnspec.ops.norm import BatchNorm, ChannelAffine, GroupNorm, LayerNorm, Lrn, Normalize
from cnnspec.tensor import TensorType
from cnnspec_torch.lower.base import lower

BATCH_NORMS = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}


class ChannelLayerNorm(nn.LayerNorm):
    """nn.LayerNorm over axis 1, the channels, at every position."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  the name in the base class
        return super().forward(input.movedim(1, -1)).movedim(-1, 1)


class VolumeLrn(nn.LocalResponseNorm):
    """nn.LocalResponseNorm for volumes in any layout; torch's own refuses one that a permutation left."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  the name in the base class
        squares = input.mul(input).unsqueeze(1).flatten(4)
        around = F.pad(squares, (0, 0, 0, 0, self.size // 2, (self.size - 1) // 2))
        means = F.avg_pool3d(around, (self.size, 1, 1), stride=1).view(input.shape)
        return input / means.mul(self.alpha).add(self.k).pow(self.beta)


class Affine(nn.Module):
    """Every channel times its weight, plus its bias where there is one."""

    bias: nn.Parameter | None

    def __init__(self, channels: int, start: float, bias: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels,), start))
        self.register_parameter("bias", nn.Parameter(torch.zeros(channels)) if bias else None)

    def forward(self, x: Tensor) -> Tensor:
        y = x * _along(self.weight, x)
        return y if self.bias is None else y + _along(self.bias, x)

    def extra_repr(self) -> str:
        return f"{len(self.weight)}, bias={self.bias is not None}"


class Standardize(nn.Module):
    """Every channel less its mean, divided by its standard deviation, both given."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)

    def forward(self, x: Tensor) -> Tensor:
        return (x - _along(self.mean, x)) / _along(self.std, x)

    def extra_repr(self) -> str:
        return f"mean={self.mean.tolist()}, std={self.std.tolist()}"


def _along(values: Tensor, x: Tensor) -> Tensor:
    """One value per channel, shaped to spread over x."""
    return values.reshape(-1, *(1,) * (x.dim() - 2))


@lower.register
def batchnorm(op: BatchNorm, x: TensorType) -> nn.Module:
    return BATCH_NORMS[x.rank](x.channels, eps=op.eps, momentum=op.momentum)


@lower.register
def lrn(op: Lrn, x: TensorType) -> nn.Module:
    build = VolumeLrn if x.rank == 5 else nn.LocalResponseNorm
    return build(op.size, op.alpha, op.beta, op.k)


@lower.register
def groupnorm(op: GroupNorm, x: TensorType) -> nn.Module:
    return nn.GroupNorm(op.groups, x.channels, eps=op.eps)


@lower.register
def layernorm(op: LayerNorm, x: TensorType) -> nn.Module:
    return nn.LayerNorm(x.channels, eps=op.eps) if x.rank == 2 else ChannelLayerNorm(x.channels, eps=op.eps)


@lower.register
def channel_affine(op: ChannelAffine, x: TensorType) -> nn.Module:
    return Affine(x.channels, op.start, op.bias)


@lower.register
def normalize(op: Normalize, x: TensorType) -> nn.Module:
    mean, std = (given if isinstance(given, tuple) else (given,) * x.channels for given in (op.mean, op.std))
    return Standardize(
        torch.tensor(mean, dtype=torch.get_default_dtype()), torch.tensor(std, dtype=torch.get_default_dtype())
    )
