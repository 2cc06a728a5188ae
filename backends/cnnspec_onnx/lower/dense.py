"""Dense layers, flatten and distances. What acts in training alone gives its operand."""

from __future__ import annotations

from cnnspec.ops.dense import Dense, Distance, Dropout, Flatten, StochasticDepth
from cnnspec_onnx.lower.base import Place, lower


@lower.register
def dense(op: Dense, at: Place) -> str:
    tensors = [at.weight(name) for name in (("weight", "bias") if op.bias else ("weight",))]
    return at.add("Gemm", at.xs[0], *tensors, transB=1)


@lower.register
def flatten(op: Flatten, at: Place) -> str:
    return at.add("Flatten", at.xs[0])


@lower.register
def dropout(op: Dropout, at: Place) -> str:
    return at.xs[0]


@lower.register
def stochastic_depth(op: StochasticDepth, at: Place) -> str:
    return at.xs[0]


@lower.register
def distance(op: Distance, at: Place) -> str:
    column = at.add("Unsqueeze", at.xs[0], at.whole("axis", 1))
    return at.add(
        "ReduceSumSquare", at.add("Sub", column, at.buffer("codes", op.codes)), at.whole("last", 2), keepdims=0
    )
