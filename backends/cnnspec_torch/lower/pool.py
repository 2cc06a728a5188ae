"""Pools as torch's own where torch has them; two classes of ours pad unequal sides, one reduces whole maps."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from cnnspec.ops.pool import (
    AbstractPool,
    AdaptiveAvgPool,
    AvgPool,
    ChannelAvgPool,
    ChannelMaxPool,
    GlobalAvgPool,
    GlobalMaxPool,
    MaxPool,
)
from cnnspec.ops.window import per_axis
from cnnspec.tensor import TensorType
from cnnspec_torch.lower.base import lower, torch_pads
from cnnspec_torch.sides import narrow, symmetric

MAX_POOLS = {1: nn.MaxPool1d, 2: nn.MaxPool2d, 3: nn.MaxPool3d}
AVG_POOLS = {1: nn.AvgPool1d, 2: nn.AvgPool2d, 3: nn.AvgPool3d}
ADAPTIVE = {1: nn.AdaptiveAvgPool1d, 2: nn.AdaptiveAvgPool2d, 3: nn.AdaptiveAvgPool3d}
_max_pool: dict[int, Any] = {1: functional.max_pool1d, 2: functional.max_pool2d, 3: functional.max_pool3d}
_avg_pool: dict[int, Any] = {1: functional.avg_pool1d, 2: functional.avg_pool2d, 3: functional.avg_pool3d}


class PaddedMaxPool(nn.Module):
    """Max pooling over a map padded with minus infinity; `reach` are the pads that make every window whole."""

    def __init__(self, kernel: tuple[int, ...], stride: tuple[int, ...], reach: tuple[int, ...]) -> None:
        super().__init__()
        self.kernel, self.stride, self.reach = kernel, stride, reach

    def forward(self, x: Tensor) -> Tensor:
        padded = functional.pad(x, self.reach, value=-torch.inf)
        pooled: Tensor = _max_pool[len(self.kernel)](padded, self.kernel, self.stride)
        return pooled

    def extra_repr(self) -> str:
        return f"kernel={self.kernel}, stride={self.stride}, pads={self.reach}"


class PaddedAvgPool(nn.Module):
    """Average pooling whose mean is over the map and the `counted` pads around it, of all that `reach` adds."""

    def __init__(
        self, kernel: tuple[int, ...], stride: tuple[int, ...], counted: tuple[int, ...], reach: tuple[int, ...]
    ) -> None:
        super().__init__()
        self.kernel, self.stride, self.counted, self.reach = kernel, stride, counted, reach

    def forward(self, x: Tensor) -> Tensor:
        ones = functional.pad(x.new_ones((1, 1, *x.shape[2:])), self.counted, value=1.0)
        rest = tuple(whole - part for whole, part in zip(self.reach, self.counted, strict=True))
        pool = _avg_pool[len(self.kernel)]
        total: Tensor = pool(functional.pad(x, self.reach), self.kernel, self.stride)
        share: Tensor = pool(functional.pad(ones, rest), self.kernel, self.stride)
        return total / share

    def extra_repr(self) -> str:
        return f"kernel={self.kernel}, stride={self.stride}, pads={self.reach}, counted={self.counted}"


class ChannelPool(nn.Module):
    """The mean or the maximum of every window of maps."""

    def __init__(self, kind: str, kernel: int, stride: int) -> None:
        super().__init__()
        self.kind, self.kernel, self.stride = kind, kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        windows = x.unfold(1, self.kernel, self.stride)
        return windows.mean(-1) if self.kind == "mean" else windows.amax(-1)

    def extra_repr(self) -> str:
        return f"{self.kind}, kernel={self.kernel}, stride={self.stride}"


class GlobalPool(nn.Module):
    """The mean or the maximum of every map, of any rank."""

    def __init__(self, kind: str, keepdims: bool) -> None:
        super().__init__()
        self.kind, self.keepdims = kind, keepdims

    def forward(self, x: Tensor) -> Tensor:
        axes = tuple(range(2, x.dim()))
        if self.kind == "mean":
            return x.mean(axes, keepdim=self.keepdims)
        return x.amax(axes, keepdim=self.keepdims)

    def extra_repr(self) -> str:
        return f"{self.kind}, keepdims={self.keepdims}"


@lower.register
def maxpool(op: MaxPool, x: TensorType) -> nn.Module:
    kernel, stride = op.geometry(x.rank - 2)
    pads = op.pads(x)
    if not symmetric(pads):
        return PaddedMaxPool(kernel, stride, torch_pads(_reach(op, x)))
    build: Any = MAX_POOLS[x.rank - 2]
    module: nn.Module = build(kernel, stride, tuple(before for before, _ in pads), ceil_mode=op.ceil)
    return module


@lower.register
def avgpool(op: AvgPool, x: TensorType) -> nn.Module:
    kernel, stride = op.geometry(x.rank - 2)
    pads = op.pads(x)
    inside = op.padding == "same"
    if not symmetric(pads) or narrow(x, kernel):
        counted = ((0, 0),) * len(pads) if inside else pads
        return PaddedAvgPool(kernel, stride, torch_pads(counted), torch_pads(_reach(op, x)))
    build: Any = AVG_POOLS[x.rank - 2]
    before = tuple(before for before, _ in pads)
    module: nn.Module = build(kernel, stride, before, ceil_mode=op.ceil, count_include_pad=not inside)
    return module


@lower.register
def channel_maxpool(op: ChannelMaxPool, x: TensorType) -> nn.Module:
    return ChannelPool("max", op.kernel, op.stride or op.kernel)


@lower.register
def channel_avgpool(op: ChannelAvgPool, x: TensorType) -> nn.Module:
    return ChannelPool("mean", op.kernel, op.stride or op.kernel)


@lower.register
def adaptive_avgpool(op: AdaptiveAvgPool, x: TensorType) -> nn.Module:
    build: Any = ADAPTIVE[x.rank - 2]
    module: nn.Module = build(per_axis(op.size, x.rank - 2, "size"))
    return module


@lower.register
def global_avgpool(op: GlobalAvgPool, x: TensorType) -> nn.Module:
    return GlobalPool("mean", op.keepdims)


@lower.register
def global_maxpool(op: GlobalMaxPool, x: TensorType) -> nn.Module:
    return GlobalPool("max", op.keepdims)


def _reach(op: AbstractPool, x: TensorType) -> tuple[tuple[int, int], ...]:
    """Pads that end where the last window ends; below zero where values at the end are in no window."""
    kernel, stride = op.geometry(x.rank - 2)
    reach = []
    for n, count, k, s, (before, _) in zip(x.spatial, op.infer(x).spatial, kernel, stride, op.pads(x), strict=True):
        after = (count - 1) * s + k - before - n
        assert isinstance(after, int)  # strides divide the factors of symbols
        reach.append((before, after))
    return tuple(reach)
