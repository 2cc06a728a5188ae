"""Convolutions as torch's own; padding that differs between the sides and tables need classes of ours."""

from __future__ import annotations

from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from cnnspec.ops.conv import Conv, Depthwise, TransposedConv
from cnnspec.ops.window import per_axis
from cnnspec.tensor import TensorType
from cnnspec_torch.lower.base import lower, torch_pads
from cnnspec_torch.lower.init import fans, start
from cnnspec_torch.sides import said, symmetric


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


class TableConv(nn.Module):
    """A convolution of which only the listed weights exist: `weight` is [connections, kernel...], filter by filter.

    `connections` holds the filter and the map of each. They are spread over a full kernel of zeros as it runs.
    """

    connections: Tensor
    bias: nn.Parameter | None

    def __init__(self, full: Any, table: tuple[tuple[int, ...], ...], init: str | float | None) -> None:
        super().__init__()
        self.shape = tuple(full.weight.shape)
        pairs = [(number, source) for number, maps in enumerate(table) for source in maps]
        self.register_buffer("connections", torch.tensor(pairs).t().contiguous())
        kernel = self.shape[2:]
        self.weight = nn.Parameter(full.weight.new_empty((len(pairs), *kernel)))
        self.register_parameter("bias", full.bias)
        with torch.no_grad():  # as torch's layers do, by what each filter sees
            bounds = [(len(maps) * prod(kernel)) ** -0.5 for maps in table]
            for at, (number, _) in enumerate(pairs):
                self.weight[at].uniform_(-bounds[number], bounds[number])
            for number, bound in enumerate(bounds if self.bias is not None else ()):
                assert self.bias is not None
                self.bias[number].uniform_(-bound, bound)
        seen = len(pairs) * prod(kernel)
        start(self, init, seen / len(table), seen / self.shape[1])
        del full.weight, full.bias
        self.arguments = {name: getattr(full, name) for name in ("stride", "padding", "dilation")}
        self.pads = getattr(full, "pads", ())

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight.new_zeros(self.shape).index_put(tuple(self.connections), self.weight)
        convolve: Any = _conv[x.dim() - 2]
        if any(self.pads):
            x = functional.pad(x, self.pads)
        result: Tensor = convolve(x, weight, self.bias, **self.arguments)
        return result

    def extra_repr(self) -> str:
        filters, maps, *kernel = self.shape
        return f"{maps}, {filters}, kernel_size={tuple(kernel)}, connections={len(self.weight)}"


_conv = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
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
    if op.table is not None:
        return TableConv(module, op.table, op.init)
    if op.weights is not None:
        _give(module, torch.tensor(op.weights, dtype=torch.get_default_dtype()))
    else:
        start(module, op.init, *_fans(module, op.groups))
    return module


def _give(module: Any, given: Tensor) -> None:
    """Replace the trained weight by given numbers, which may leave out the axis of the maps."""
    sizes = module.weight.shape
    del module.weight
    weight = given if given.dim() == len(sizes) else given.unsqueeze(1)
    module.register_buffer("weight", weight.expand(sizes).clone())


def _fans(module: Any, groups: int) -> tuple[int, int]:
    fan_in, fan_out = fans(module.weight)
    return fan_in, fan_out // groups


@lower.register
def depthwise(op: Depthwise, x: TensorType) -> nn.Module:
    return conv(op.as_conv(x), x)


@lower.register
def transposed_conv(op: TransposedConv, x: TensorType) -> nn.Module:
    axes = x.rank - 2
    padding, added, cuts = zip(*said(op, x), strict=True)
    build: Any = CUT[axes] if any(map(any, cuts)) else TRANSPOSED[axes]
    module: nn.Module = build(
        x.channels,
        op.filters,
        per_axis(op.kernel, axes, "kernel"),
        stride=per_axis(op.stride, axes, "stride"),
        padding=padding,
        output_padding=added,
        dilation=per_axis(op.dilation, axes, "dilation"),
        groups=op.groups,
        bias=op.bias,
    )
    if isinstance(module, CutAfter):
        module.cuts = torch_pads(cuts)
    fan_out, fan_in = _fans(module, op.groups)  # the weight is [in, out / groups, kernel...]
    start(module, op.init, fan_in, fan_out)
    return module
