"""Activations as torch's own."""

from __future__ import annotations

from torch import nn

from cnnspec.ops.activation import Identity, Relu, Relu6, Sigmoid, Softmax, Tanh
from cnnspec.tensor import TensorType
from cnnspec_torch.lower.base import lower


@lower.register
def relu(op: Relu, x: TensorType) -> nn.Module:
    return nn.ReLU()


@lower.register
def relu6(op: Relu6, x: TensorType) -> nn.Module:
    return nn.ReLU6()


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
