"""Convolutions as torch's own; only padding that differs between the sides needs a class of ours."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from cnnspec.ops.conv import Conv, Depthwise, TransposedConv
from cnnspec.ops.window import per_axis
from cnnspec.tensor import TensorType
from cnnspec_torch.lower.base import lower, symmetric, torch_pads


class PadFirst(nn.Module):
    """Mixed in before a convolution: pads with zeros, then convolves; the weights keep their names."""

    pads: tuple[int, ...] = ()

    def forward(self, x: Tensor) -> Any:
        return super().forward(functional.pad(x, self.pads))

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, pads={self.pads}"


class PaddedConv1d(PadFirst, nn.Conv1d):
    """nn.Conv1d whose padding differs between the sides."""


class PaddedConv2d(PadFirst, nn.Conv2d):
    """nn.Conv2d whose padding differs between the sides."""


class PaddedConv3d(PadFirst, nn.Conv3d):
    """nn.Conv3d whose padding differs between the sides."""


class CutAfter(nn.Module):
    """Mixed in before a transposed convolution: pads its result by `cuts`, which are below zero."""

    cuts: tuple[int, ...] = ()

    def forward(self, x: Tensor, output_size: Any = None) -> Any:
        whole: Any = super()
        return functional.pad(whole.forward(x, output_size), self.cuts)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, cuts={self.cuts}"


class CutTransposedConv1d(CutAfter, nn.ConvTranspose1d):
    """nn.ConvTranspose1d that loses more at one side than at the other."""


class CutTransposedConv2d(CutAfter, nn.ConvTranspose2d):
    """nn.ConvTranspose2d that loses more at one side than at the other."""


class CutTransposedConv3d(CutAfter, nn.ConvTranspose3d):
    """nn.ConvTranspose3d that loses more at one side than at the other."""


TRANSPOSED = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
CUT = {1: CutTransposedConv1d, 2: CutTransposedConv2d, 3: CutTransposedConv3d}
CONVS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
PADDED = {1: PaddedConv1d, 2: PaddedConv2d, 3: PaddedConv3d}


@lower.register
def conv(op: Conv, x: TensorType) -> nn.Module:
    axes = x.rank - 2
    pads = op.pads(x)
    even = symmetric(pads)
    build: Any = CONVS[axes] if even else PADDED[axes]
    module: nn.Module = build(
        x.channels,
        op.filters,
        per_axis(op.kernel, axes, "kernel"),
        stride=per_axis(op.stride, axes, "stride"),
        padding=tuple(before for before, _ in pads) if even else 0,
        dilation=per_axis(op.dilation, axes, "dilation"),
        groups=op.groups,
        bias=op.bias,
    )
    if isinstance(module, PadFirst):
        module.pads = torch_pads(pads)
    return module


@lower.register
def depthwise(op: Depthwise, x: TensorType) -> nn.Module:
    return conv(op.as_conv(x), x)


@lower.register
def transposed_conv(op: TransposedConv, x: TensorType) -> nn.Module:
    axes = x.rank - 2
    stride, dilation = per_axis(op.stride, axes, "stride"), per_axis(op.dilation, axes, "dilation")
    said = [_said(*sides, max(s, d)) for sides, s, d in zip(op.cuts(x), stride, dilation, strict=True)]
    padding, added, cuts = zip(*said, strict=True)
    build: Any = CUT[axes] if any(map(any, cuts)) else TRANSPOSED[axes]
    module: nn.Module = build(
        x.channels,
        op.filters,
        per_axis(op.kernel, axes, "kernel"),
        stride=stride,
        padding=padding,
        output_padding=added,
        dilation=dilation,
        groups=op.groups,
        bias=op.bias,
    )
    if isinstance(module, CutAfter):
        module.cuts = torch_pads(cuts)
    return module


def _said(before: int, after: int, most: int) -> tuple[int, int, tuple[int, int]]:
    """Torch's padding and output_padding (less than `most`) of one axis, and what to pad its result by, below zero."""
    if 0 <= before - after < most:
        return before, before - after, (0, 0)
    padding, added = max(min(before, after), 0), max(-after, 0)
    return padding, added, (padding - before, padding - added - after)
