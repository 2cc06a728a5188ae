"""Merges. Torch has none as modules, and every node is one, so that its path exists."""

from __future__ import annotations

from functools import reduce

import torch
from torch import Tensor, nn

from cnnspec.ops.merge import Add, Concat, Maximum, Multiply, Scale
from cnnspec.tensor import TensorType
from cnnspec_torch.lower.base import lower


class Sum(nn.Module):
    """x1 + x2 + ...; `into` is the operand that the sum is written over, None for a new tensor."""

    into: int | None = None

    def forward(self, *xs: Tensor) -> Tensor:
        if self.into is None:
            first, second, *rest = xs
            total = first + second
        else:
            total = xs[self.into]
            rest = [x for index, x in enumerate(xs) if index != self.into]
        for x in rest:
            total += x
        return total

    def extra_repr(self) -> str:
        return "" if self.into is None else f"into={self.into}"


class Largest(nn.Module):
    """The largest of all operands, value by value."""

    def forward(self, *xs: Tensor) -> Tensor:
        return reduce(torch.maximum, xs)


class Product(nn.Module):
    """x1 * x2 * ..."""

    def forward(self, *xs: Tensor) -> Tensor:
        return reduce(torch.mul, xs)


class Concatenation(nn.Module):
    """The maps of all operands, one after another."""

    def forward(self, *xs: Tensor) -> Tensor:
        return torch.cat(xs, dim=1)


class Gate(nn.Module):
    """Every map times its value; the gate is [N, C], or has the rank of x and sizes 1."""

    def forward(self, x: Tensor, gate: Tensor) -> Tensor:
        return x * gate.reshape(gate.shape[:2] + (1,) * (x.dim() - 2))


@lower.register
def add(op: Add, *xs: TensorType) -> nn.Module:
    return Sum()


@lower.register
def maximum(op: Maximum, *xs: TensorType) -> nn.Module:
    return Largest()


@lower.register
def multiply(op: Multiply, *xs: TensorType) -> nn.Module:
    return Product()


@lower.register
def concat(op: Concat, *xs: TensorType) -> nn.Module:
    return Concatenation()


@lower.register
def scale(op: Scale, x: TensorType, gate: TensorType) -> nn.Module:
    return Gate()
