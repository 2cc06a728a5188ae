"""What torch lacks as a module. A generated file carries the text of those that it uses.

Those of two spatial axes (`2d`) stand for one and three as well: `2d` and the axes `(2, 3)` are replaced in the text.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812  as everybody writes it
from torch import Tensor, nn


def chain(**steps: nn.Module) -> nn.Sequential:
    """The steps one after another, under their names."""
    return nn.Sequential(OrderedDict(steps))


class Alone(nn.Module):
    """One module, of several inputs or outputs, under its name."""

    def __init__(self, **named: nn.Module) -> None:
        super().__init__()
        ((self._only, module),) = named.items()
        self.add_module(self._only, module)

    def forward(self, *xs: Tensor) -> Any:
        return self.get_submodule(self._only)(*xs)


def numbered(name: str, modules: Iterable[nn.Module], start: int = 1) -> dict[str, nn.Module]:
    """Modules under the names `name`, `name_2`, `name_3` and so on."""
    return {name if number == 1 else f"{name}_{number}": module for number, module in enumerate(modules, start)}


def he(layer: Any) -> Any:
    """The layer with weights drawn as in He et al. 2015 (arXiv 1502.01852), equation 10, and biases of 0."""
    return normal(layer, 2.0)


def lecun(layer: Any) -> Any:
    """The layer with weights drawn as in LeCun et al. 1998 (Efficient BackProp), equation 16, and biases of 0."""
    return normal(layer, 1.0)


def normal(layer: Any, variance: float) -> Any:
    """The layer with normal weights of this variance divided by what one output sees."""
    nn.init.normal_(layer.weight, 0, (variance / fans(layer)[0]) ** 0.5)
    return unbiased(layer)


def glorot(layer: Any) -> Any:
    """The layer with weights drawn as in Glorot and Bengio 2010, equation 16, and biases of 0."""
    bound = (6 / sum(fans(layer))) ** 0.5
    nn.init.uniform_(layer.weight, -bound, bound)
    return unbiased(layer)


def filled(layer: Any, value: float) -> Any:
    """The layer with all weights of one value, and biases of 0."""
    nn.init.constant_(layer.weight, value)
    return unbiased(layer)


def bilinear(layer: Any) -> Any:
    """The layer with weights that interpolate: a tent for the map of the filter's own number, 0 for all others."""
    weight = layer.weight
    tent = torch.ones(())
    for kernel in weight.shape[2:]:
        step = (kernel + 1) // 2
        middle = step - 1 if kernel % 2 else step - 0.5
        tent = tent[..., None] * (1 - (torch.arange(kernel) - middle).abs() / step)
    nn.init.zeros_(weight)
    with torch.no_grad():
        for number in range(len(weight)):
            weight[number, number % weight.shape[1]] = tent
    return unbiased(layer)


def unbiased(layer: Any) -> Any:
    """The layer with biases of 0, where it has any."""
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def fans(layer: Any) -> tuple[float, float]:
    """Numbers of weights that meet in one output and that leave one input."""
    if isinstance(layer, TableConv2d):
        seen = layer.weight.numel()
        return seen / layer.filters, seen / layer.maps
    groups = getattr(layer, "groups", 1)
    first, second = layer.weight.shape[:2]
    kernel = layer.weight[0, 0].numel()
    if isinstance(layer, nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d):
        return first * kernel // groups, second * kernel
    return second * kernel, first * kernel // groups


class PaddedConv2d(nn.Conv2d):
    """A convolution after zero padding that differs between the sides; `pads` are as F.pad takes them."""

    def __init__(self, *args: Any, pads: tuple[int, ...], **options: Any) -> None:
        super().__init__(*args, **options)
        self.pads = pads

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        return super().forward(F.pad(input, self.pads))


class CutTransposedConv2d(nn.ConvTranspose2d):
    """A transposed convolution that loses more at one side than at the other; `cuts` are below zero."""

    def __init__(self, *args: Any, cuts: tuple[int, ...], **options: Any) -> None:
        super().__init__(*args, **options)
        self.cuts = cuts

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:  # noqa: A002
        return F.pad(super().forward(input, output_size), self.cuts)


class GivenConv2d(nn.Module):
    """A convolution by given numbers, which are not trained."""

    weight: Tensor

    def __init__(self, weight: Tensor, pads: tuple[int, ...] = (), **options: Any) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.pads, self.options = pads, options

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(F.pad(x, self.pads) if self.pads else x, self.weight, None, **self.options)


class TableConv2d(nn.Module):
    """A convolution of which only the listed weights exist: `weight` is [connections, kernel...], filter by filter.

    `table` lists the maps that each filter sees; `connections` holds the filter and the map of each weight.
    """

    connections: Tensor

    def __init__(
        self,
        maps: int,
        table: tuple[tuple[int, ...], ...],
        kernel: tuple[int, ...],
        *,
        bias: bool = True,
        pads: tuple[int, ...] = (),
        **options: Any,
    ) -> None:
        super().__init__()
        self.maps, self.filters, self.pads, self.options = maps, len(table), pads, options
        pairs = [(number, source) for number, row in enumerate(table) for source in row]
        self.weight = nn.Parameter(torch.empty(len(pairs), *kernel))
        self.bias = nn.Parameter(torch.empty(len(table))) if bias else None
        self.register_buffer("connections", torch.tensor(pairs).t().contiguous())
        with torch.no_grad():
            for weight, (number, _) in zip(self.weight, pairs, strict=True):
                bound = (len(table[number]) * weight.numel()) ** -0.5
                weight.uniform_(-bound, bound)
                if self.bias is not None:
                    self.bias[number].uniform_(-bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        full = self.weight.new_zeros((self.filters, self.maps, *self.weight.shape[1:]))
        weight = full.index_put(tuple(self.connections), self.weight)
        return F.conv2d(F.pad(x, self.pads) if any(self.pads) else x, weight, self.bias, **self.options)


class PaddedMaxPool2d(nn.Module):
    """Max pooling over a map padded with minus infinity; `pads` are as F.pad takes them."""

    def __init__(self, kernel: int | tuple[int, ...], stride: int | tuple[int, ...], pads: tuple[int, ...]) -> None:
        super().__init__()
        self.kernel, self.stride, self.pads = kernel, stride, pads

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(F.pad(x, self.pads, value=-torch.inf), self.kernel, self.stride)


class PaddedAvgPool2d(nn.Module):
    """Average pooling whose mean is over the map and the `counted` pads around it, of all `pads`."""

    def __init__(
        self,
        kernel: int | tuple[int, ...],
        stride: int | tuple[int, ...],
        counted: tuple[int, ...],
        pads: tuple[int, ...],
    ) -> None:
        super().__init__()
        self.kernel, self.stride, self.counted, self.pads = kernel, stride, counted, pads
        self.rest = tuple(whole - part for whole, part in zip(pads, counted, strict=True))

    def forward(self, x: Tensor) -> Tensor:
        ones = F.pad(x.new_ones((1, 1, *x.shape[2:])), self.counted, value=1.0)
        total = F.avg_pool2d(F.pad(x, self.pads), self.kernel, self.stride)
        return total / F.avg_pool2d(F.pad(ones, self.rest), self.kernel, self.stride)


class GlobalAvgPool2d(nn.Module):
    """The mean of every map."""

    def __init__(self, keepdim: bool = False) -> None:
        super().__init__()
        self.keepdim = keepdim

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3), keepdim=self.keepdim)


class GlobalMaxPool2d(nn.Module):
    """The maximum of every map."""

    def __init__(self, keepdim: bool = False) -> None:
        super().__init__()
        self.keepdim = keepdim

    def forward(self, x: Tensor) -> Tensor:
        return x.amax((2, 3), keepdim=self.keepdim)


class ChannelMaxPool(nn.Module):
    """The maximum of every window of maps."""

    def __init__(self, kernel: int, stride: int) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        return x.unfold(1, self.kernel, self.stride).amax(-1)


class ChannelAvgPool(nn.Module):
    """The mean of every window of maps."""

    def __init__(self, kernel: int, stride: int) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        return x.unfold(1, self.kernel, self.stride).mean(-1)


class ChannelLayerNorm(nn.LayerNorm):
    """Layer normalization over the channels, at every position by itself."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        return super().forward(input.movedim(1, -1)).movedim(-1, 1)


class VolumeLrn(nn.LocalResponseNorm):
    """Local response normalization of volumes in any layout."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        squares = input.mul(input).unsqueeze(1).flatten(4)
        around = F.pad(squares, (0, 0, 0, 0, self.size // 2, (self.size - 1) // 2))
        means = F.avg_pool3d(around, (self.size, 1, 1), stride=1).view(input.shape)
        return input / means.mul(self.alpha).add(self.k).pow(self.beta)


class ChannelAffine(nn.Module):
    """Every channel times its weight, plus its bias where there is one."""

    def __init__(self, channels: int, bias: bool = True, start: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels,), start))
        self.bias = nn.Parameter(torch.zeros(channels)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        spread = (-1, *(1,) * (x.dim() - 2))
        y = x * self.weight.reshape(spread)
        return y if self.bias is None else y + self.bias.reshape(spread)


class Standardize(nn.Module):
    """Every channel less its mean, divided by its standard deviation, both given."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("std", torch.tensor(std))

    def forward(self, x: Tensor) -> Tensor:
        spread = (-1, *(1,) * (x.dim() - 2))
        return (x - self.mean.reshape(spread)) / self.std.reshape(spread)


class StochasticDepth(nn.Module):
    """In training some images become 0 and the others are scaled up (Huang et al. 2016, arXiv 1603.09382)."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        kept = x.new_empty((x.shape[0],) + (1,) * (x.dim() - 1)).bernoulli_(1 - self.rate)
        return x * kept.div_(1 - self.rate)


class SquaredDistance(nn.Module):
    """The squared Euclidean distance to every code; the codes are given and not trained."""

    codes: Tensor

    def __init__(self, codes: tuple[tuple[float, ...], ...]) -> None:
        super().__init__()
        self.register_buffer("codes", torch.tensor(codes))

    def forward(self, x: Tensor) -> Tensor:
        return (x.unsqueeze(1) - self.codes).square().sum(2)


class ScaledTanh(nn.Module):
    """LeCun's 1.7159 tanh(2x / 3)."""

    def forward(self, x: Tensor) -> Tensor:
        return 1.7159 * torch.tanh(2 / 3 * x)


class Channels(nn.Module):
    """A view of the maps from `start` to `stop` - 1."""

    def __init__(self, start: int, stop: int) -> None:
        super().__init__()
        self.start, self.stop = start, stop

    def forward(self, x: Tensor) -> Tensor:
        return x[:, self.start : self.stop]


class ChannelShuffle(nn.Module):
    """One map of each group in turn."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        grouped = x.reshape(x.shape[0], self.groups, -1, *x.shape[2:]).transpose(1, 2)
        return grouped.clone(memory_format=torch.contiguous_format).flatten(1, 2)


class Reshape(nn.Module):
    """Every image in another shape."""

    def __init__(self, *sizes: int) -> None:
        super().__init__()
        self.sizes = sizes

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(x.shape[0], *self.sizes)


class Permute(nn.Module):
    """The axes in another order."""

    def __init__(self, *order: int) -> None:
        super().__init__()
        self.order = order

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(self.order)


PARTS = tuple(name for name, part in vars().copy().items() if getattr(part, "__module__", "") == __name__)
"""All of them by name, in the order of this file."""
