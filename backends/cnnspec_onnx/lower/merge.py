"""Merges."""

from __future__ import annotations

from functools import reduce

from cnnspec.ops.merge import Add, Concat, Maximum, Multiply, Scale
from cnnspec_onnx.lower.base import Place, lower


@lower.register
def add(op: Add, at: Place) -> str:
    return reduce(lambda a, b: at.add("Add", a, b), at.xs)


@lower.register
def maximum(op: Maximum, at: Place) -> str:
    return at.add("Max", *at.xs)


@lower.register
def multiply(op: Multiply, at: Place) -> str:
    return reduce(lambda a, b: at.add("Mul", a, b), at.xs)


@lower.register
def concat(op: Concat, at: Place) -> str:
    return at.add("Concat", *at.xs, axis=1)


@lower.register
def scale(op: Scale, at: Place) -> str:
    (x, gate), rank = at.xs, at.types[0].rank
    if at.types[1].rank < rank:
        gate = at.add("Reshape", gate, at.whole("spread", 0, 0, *(1,) * (rank - 2)))
    return at.add("Mul", x, gate)
