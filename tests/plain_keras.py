"""The chapter's ResNet-34 as Keras computes it, in plain PyTorch: TensorFlow's padding, sums written out."""

from __future__ import annotations

from itertools import product

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from plain import Outputs, Weights, dense

EPSILON = 0.001
MOMENTUM = 0.99
"""Keras's defaults of BatchNormalization."""

STAGES = {"c2": 3, "c3": 4, "c4": 6, "c5": 3}


def resnet34(w: Weights, x: Tensor, training: bool) -> Outputs:
    x = convolved(w, "stem.conv_bn", x, 2, training).clamp(min=0)
    x = F.max_pool2d(same(x, 3, 2, -torch.inf), 3, 2)
    for stage, count in STAGES.items():
        for unit in range(1, count + 1):
            key = f"{stage}.stage.unit" + (f"_{unit}" if unit > 1 else "")
            x = residual(w, key, x, 2 if unit == 1 and stage != "c2" else 1, training)
    return {"logits": dense(w, "logits.dense", x.mean((2, 3)))}


def residual(w: Weights, key: str, x: Tensor, stride: int, training: bool) -> Tensor:
    main = convolved(w, f"{key}.main.conv_bn", x, stride, training).clamp(min=0)
    main = convolved(w, f"{key}.main.conv_bn_2", main, 1, training)
    skip = convolved(w, f"{key}.skip.conv_bn", x, stride, training) if stride > 1 else x
    return (main + skip).clamp(min=0)


def convolved(w: Weights, key: str, x: Tensor, stride: int, training: bool) -> Tensor:
    """A convolution as the sum of one product per place of its kernel, then batch normalization."""
    weight = w[f"{key}.conv.weight"]
    size = weight.shape[-1]
    rows, columns = (-(-n // stride) for n in x.shape[2:])
    x = same(x, size, stride)
    y = torch.zeros(())
    for i, j in product(range(size), repeat=2):
        seen = x[:, :, i::stride, j::stride][:, :, :rows, :columns]
        y = y + torch.einsum("nchw,oc->nohw", seen, weight[:, :, i, j])
    return normalized(w, f"{key}.batchnorm", y, training)


def same(x: Tensor, size: int, stride: int, value: float = 0.0) -> Tensor:
    """x with TensorFlow's padding: ceil(n / stride) windows fit, the odd row or column at the end."""
    sides: list[int] = []
    for n in reversed(x.shape[2:]):  # F.pad begins at the last axis
        total = max((-(-n // stride) - 1) * stride + size - n, 0)
        sides += [total // 2, total - total // 2]
    return F.pad(x, sides, value=value)


def normalized(w: Weights, key: str, x: Tensor, training: bool) -> Tensor:
    mean, variance = w[f"{key}.running_mean"], w[f"{key}.running_var"]
    if training:
        moving, (mean, variance) = (mean, variance), (x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0))
        values = x.numel() // x.shape[1]
        with torch.no_grad():
            for kept, found in zip(moving, (mean, variance * values / (values - 1)), strict=True):
                kept.mul_(MOMENTUM).add_((1 - MOMENTUM) * found)
            w[f"{key}.num_batches_tracked"].add_(1)
    scale = w[f"{key}.weight"] / (variance + EPSILON).sqrt()
    return x * scale[:, None, None] + (w[f"{key}.bias"] - mean * scale)[:, None, None]
