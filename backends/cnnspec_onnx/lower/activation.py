"""Activations; those that ONNX lacks in the oldest opset of ours are written out."""

from __future__ import annotations

from math import sqrt

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
from cnnspec_onnx.lower.base import Place, lower


@lower.register
def relu(op: Relu, at: Place) -> str:
    return at.add("Relu", at.xs[0])


@lower.register
def relu6(op: Relu6, at: Place) -> str:
    return at.add("Clip", at.xs[0], at.constant("least", 0), at.constant("most", 6))


@lower.register
def leaky_relu(op: LeakyRelu, at: Place) -> str:
    return at.add("LeakyRelu", at.xs[0], alpha=op.slope)


@lower.register
def prelu(op: Prelu, at: Place) -> str:
    weight = at.weight("weight")
    return at.add("PRelu", at.xs[0], weight if op.shared else at.along(weight))


@lower.register
def elu(op: Elu, at: Place) -> str:
    return at.add("Elu", at.xs[0], alpha=op.alpha)


@lower.register
def selu(op: Selu, at: Place) -> str:
    return at.add("Selu", at.xs[0])


@lower.register
def gelu(op: Gelu, at: Place) -> str:
    if at.opset >= 20:
        return at.add("Gelu", at.xs[0], approximate="tanh" if op.approximate else "none")
    (x,) = at.xs
    if op.approximate:
        inner = at.add("Mul", x, at.add("Mul", x, x))
        inner = at.add("Add", x, at.add("Mul", inner, at.constant("cubic", 0.044715)))
        inner = at.add("Tanh", at.add("Mul", inner, at.constant("scale", sqrt(0.6366197723675814))))  # 2 / pi
    else:
        inner = at.add("Erf", at.add("Div", x, at.constant("root", sqrt(2))))
    return at.add("Mul", at.add("Mul", x, at.add("Add", inner, at.constant("one", 1))), at.constant("half", 0.5))


@lower.register
def silu(op: Silu, at: Place) -> str:
    return at.add("Mul", at.xs[0], at.add("Sigmoid", at.xs[0]))


@lower.register
def mish(op: Mish, at: Place) -> str:
    return at.add("Mish", at.xs[0])


@lower.register
def hard_swish(op: HardSwish, at: Place) -> str:
    return at.add("HardSwish", at.xs[0])


@lower.register
def hard_sigmoid(op: HardSigmoid, at: Place) -> str:
    return at.add("HardSigmoid", at.xs[0], alpha=1 / 6, beta=0.5)


@lower.register
def scaled_tanh(op: ScaledTanh, at: Place) -> str:
    inner = at.add("Tanh", at.add("Mul", at.xs[0], at.constant("slope", 2 / 3)))
    return at.add("Mul", inner, at.constant("height", 1.7159))


@lower.register
def tanh(op: Tanh, at: Place) -> str:
    return at.add("Tanh", at.xs[0])


@lower.register
def sigmoid(op: Sigmoid, at: Place) -> str:
    return at.add("Sigmoid", at.xs[0])


@lower.register
def softmax(op: Softmax, at: Place) -> str:
    return at.add("Softmax", at.xs[0], axis=1)


@lower.register
def identity(op: Identity, at: Place) -> str:
    return at.xs[0]
