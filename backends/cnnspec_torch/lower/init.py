"""What weights start from where a spec says so; the biases then start from 0. Draws from torch's own generator."""

from __future__ import annotations

from math import prod, sqrt

import torch
from torch import Tensor, nn


def start(module: nn.Module, init: str | float | None, fan_in: float, fan_out: float) -> None:
    """Fill `weight` and `bias`: `he` (He et al. 2015, 1502.01852, equation 10), `glorot` (Glorot and Bengio 2010,
    equation 16), `lecun` (LeCun et al. 1998, Efficient BackProp, equation 16), `bilinear`, or a number.
    """
    if init is None:
        return
    weight, bias = module.weight, module.bias
    assert isinstance(weight, Tensor)
    with torch.no_grad():
        if init == "glorot":
            bound = sqrt(6 / (fan_in + fan_out))
            weight.uniform_(-bound, bound)
        elif init == "bilinear":
            weight.copy_(_bilinear(weight))
        elif isinstance(init, str):
            weight.normal_(0, sqrt({"he": 2, "lecun": 1}[init] / fan_in))
        else:
            weight.fill_(init)
        if isinstance(bias, Tensor):
            bias.zero_()


def fans(weight: Tensor) -> tuple[int, int]:
    """Numbers of weights that meet in one output and that leave one input, for [out, in, kernel...]."""
    return prod(weight.shape[1:]), weight.shape[0] * prod(weight.shape[2:])


def _bilinear(weight: Tensor) -> Tensor:
    """[in, out / groups, kernel...]: a tent along every axis for the map of the same number, 0 for all others."""
    tent = weight.new_ones(())
    for kernel in weight.shape[2:]:
        step = (kernel + 1) // 2
        middle = step - 1 if kernel % 2 else step - 0.5
        side = 1 - (torch.arange(kernel, dtype=weight.dtype, device=weight.device) - middle).abs() / step
        tent = tent[..., None] * side
    filled = torch.zeros_like(weight)
    for number in range(weight.shape[0]):
        filled[number, number % weight.shape[1]] = tent
    return filled
