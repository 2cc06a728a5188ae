"""Sizes changed and values moved; torch has modules for few of these, and every node is one."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from cnnspec.ops.shape import (
    Channels,
    ChannelShuffle,
    Crop,
    Pad,
    Permute,
    PixelShuffle,
    Reshape,
    Resize,
    Upsample,
)
from cnnspec.ops.window import per_axis
from cnnspec.tensor import TensorType
from cnnspec_torch.lower.base import lower, torch_pads

LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}


class ResizeLike(nn.Module):
    """The maps of x at the sizes of the other operand."""

    def __init__(self, mode: str) -> None:
        super().__init__()
        self.mode = mode

    def forward(self, x: Tensor, like: Tensor) -> Tensor:
        return functional.interpolate(x, size=like.shape[2:], mode=self.mode)

    def extra_repr(self) -> str:
        return self.mode


class CropLike(nn.Module):
    """A view of x from the offsets on, of the sizes of the other operand."""

    def __init__(self, offsets: tuple[int, ...]) -> None:
        super().__init__()
        self.offsets = offsets

    def forward(self, x: Tensor, like: Tensor) -> Tensor:
        for axis, offset in enumerate(self.offsets, start=2):
            x = x.narrow(axis, offset, like.shape[axis])
        return x

    def extra_repr(self) -> str:
        return f"offsets={self.offsets}"


class Padded(nn.Module):
    """A map with a value around it."""

    def __init__(self, pads: tuple[int, ...], value: float) -> None:
        super().__init__()
        self.pads, self.value = pads, value

    def forward(self, x: Tensor) -> Tensor:
        return functional.pad(x, self.pads, value=self.value)

    def extra_repr(self) -> str:
        return f"pads={self.pads}, value={self.value}"


class Slice(nn.Module):
    """A view of some of the maps."""

    def __init__(self, start: int, stop: int) -> None:
        super().__init__()
        self.start, self.stop = start, stop

    def forward(self, x: Tensor) -> Tensor:
        return x[:, self.start : self.stop]

    def extra_repr(self) -> str:
        return f"{self.start}, {self.stop}"


class Shuffle(nn.Module):
    """One map of each group in turn; always a copy, of one group too."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        grouped = x.reshape(x.shape[0], self.groups, -1, *x.shape[2:]).transpose(1, 2)
        return grouped.clone(memory_format=torch.contiguous_format).flatten(1, 2)

    def extra_repr(self) -> str:
        return f"groups={self.groups}"


class View(nn.Module):
    """Every image in another shape."""

    def __init__(self, sizes: tuple[int, ...]) -> None:
        super().__init__()
        self.sizes = sizes

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(x.shape[0], *self.sizes)

    def extra_repr(self) -> str:
        return f"{self.sizes}"


class Transpose(nn.Module):
    """The axes in another order."""

    def __init__(self, order: tuple[int, ...]) -> None:
        super().__init__()
        self.order = order

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(self.order)

    def extra_repr(self) -> str:
        return f"{self.order}"


@lower.register
def upsample(op: Upsample, x: TensorType) -> nn.Module:
    factors = per_axis(op.factor, x.rank - 2, "factor")
    return nn.Upsample(scale_factor=tuple(map(float, factors)), mode=_mode(op.mode, x))


@lower.register
def resize(op: Resize, x: TensorType, like: TensorType) -> nn.Module:
    return ResizeLike(_mode(op.mode, x))


@lower.register
def crop(op: Crop, x: TensorType, like: TensorType) -> nn.Module:
    return CropLike(per_axis(op.offset, x.rank - 2, "offset"))


@lower.register
def pad(op: Pad, x: TensorType) -> nn.Module:
    return Padded(torch_pads(op.pads(x)), op.value)


@lower.register
def channels(op: Channels, x: TensorType) -> nn.Module:
    return Slice(op.start, op.stop)


@lower.register
def channel_shuffle(op: ChannelShuffle, x: TensorType) -> nn.Module:
    return Shuffle(op.groups)


@lower.register
def pixel_shuffle(op: PixelShuffle, x: TensorType) -> nn.Module:
    return nn.PixelShuffle(op.factor)


@lower.register
def reshape(op: Reshape, x: TensorType) -> nn.Module:
    return View(op.size)


@lower.register
def permute(op: Permute, x: TensorType) -> nn.Module:
    return Transpose(op.order)


def _mode(mode: str, x: TensorType) -> str:
    return mode if mode == "nearest" else LINEAR[x.rank - 2]
