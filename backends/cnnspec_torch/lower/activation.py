"""Activations as torch's own."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cnnspec.ops.activation import (
    Elu,
    Gelu,
    HardSigmoid,
    HardSwish,
    Identity,
    LeakyRelu,
    Mish,
    Prelu,
    Relu,
    Relu6,
    ScaledTanh,
    Selu,
    Sigmoid,
    Silu,
    Softmax,
    Tanh,
)
from cnnspec.tensor import TensorType
from cnnspec_torch.lower.base import lower


class ScaledTanhOf(nn.Module):
    """LeCun's 1.7159 tanh(2x / 3)."""

    def forward(self, x: Tensor) -> Tensor:
        return 1.7159 * torch.tanh(2 / 3 * x)


@lower.register
def relu(op: Relu, x: TensorType) -> nn.Module:
    return nn.ReLU()


@lower.register
def relu6(op: Relu6, x: TensorType) -> nn.Module:
    return nn.ReLU6()


@lower.register
def leaky_relu(op: LeakyRelu, x: TensorType) -> nn.Module:
    return nn.LeakyReLU(op.slope)


@lower.register
def prelu(op: Prelu, x: TensorType) -> nn.Module:
    return nn.PReLU(1 if op.shared else x.channels)


@lower.register
def elu(op: Elu, x: TensorType) -> nn.Module:
    return nn.ELU(op.alpha)


@lower.register
def selu(op: Selu, x: TensorType) -> nn.Module:
    return nn.SELU()


@lower.register
def gelu(op: Gelu, x: TensorType) -> nn.Module:
    return nn.GELU("tanh" if op.approximate else "none")


@lower.register
def silu(op: Silu, x: TensorType) -> nn.Module:
    return nn.SiLU()


@lower.register
def mish(op: Mish, x: TensorType) -> nn.Module:
    return nn.Mish()


@lower.register
def hard_swish(op: HardSwish, x: TensorType) -> nn.Module:
    return nn.Hardswish()


@lower.register
def hard_sigmoid(op: HardSigmoid, x: TensorType) -> nn.Module:
    return nn.Hardsigmoid()


@lower.register
def scaled_tanh(op: ScaledTanh, x: TensorType) -> nn.Module:
    return ScaledTanhOf()


@lower.register
def tanh(op: Tanh, x: TensorType) -> nn.Module:
    return nn.Tanh()


@lower.register
def sigmoid(op: Sigmoid, x: TensorType) -> nn.Module:
    return nn.Sigmoid()


@lower.register
def softmax(op: Softmax, x: TensorType) -> nn.Module:
    return nn.Softmax(dim=1)


@lower.register
def identity(op: Identity, x: TensorType) -> nn.Module:
    return nn.Identity()
