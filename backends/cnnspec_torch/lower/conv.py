"""Convolutions as torch's own; only padding that differs between the sides needs a class of ours."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from cnnspec.ops.conv import Conv
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
