"""Every way a shape rule fails, and the words it fails with."""

from __future__ import annotations

import pytest

import refused_values
import refused_windows
from cnnspec.diagnostics import SpecError
from cnnspec.front import compile_text
from cnnspec.ops import activation, conv, dense, merge, norm, pool
from cnnspec.ops.base import AbstractOp
from cnnspec.tensor import Dim, ShapeError, TensorType
from samples import shape

N, H, W = Dim(1, "N"), Dim(1, "h"), Dim(1, "w")
MAP = shape(N, 64, 56, 56)
ROUND = shape(N, 64, Dim(32, "h"), Dim(32, "w"))

CASES = [*refused_windows.CASES, *refused_values.CASES]


@pytest.mark.parametrize(("op", "inputs", "message", "help"), CASES)
def test_message(op: AbstractOp, inputs: tuple[TensorType, ...], message: str, help: str | None) -> None:
    with pytest.raises(ShapeError) as caught:
        op.infer(*inputs)
    assert (caught.value.message, caught.value.help) == (message, help)


@pytest.mark.parametrize(
    ("step", "code", "message"),
    [
        (
            "adaptive_avgpool(0)",  # B062
            "value.argument",
            "adaptive_avgpool: size: want at least 1, got 0",
        ),
        (
            "upsample(1000000000)",  # B066
            "value.argument",
            "upsample: factor: want at most 16777216, got 1000000000",
        ),
        (
            "upsample(1000000)",
            "shape.upsample",
            "the result would be [N, 3, 224000000, 224000000]: a size is from 1 to 16777216",
        ),
        (
            "upsample(5000)",
            "shape.upsample",
            "the result would be [N, 3, 1120000, 1120000]: 3763200000000 elements, the limit is 1099511627776",
        ),
        (
            "upsample(2, 'cubic')",
            "value.argument",
            "upsample: mode: want one of 'nearest' or 'bilinear', got the text 'cubic'",
        ),
        (
            "reshape([3, -2])",
            "value.argument",
            "reshape: size: want at least 1, got -2",
        ),
    ],
)
def test_what_the_compiler_adds(step: str, code: str, message: str) -> None:
    text = f"cnnspec: 1\nname: net\ninput: {{image: [N, 3, 224, 224]}}\nnet:\n  y: image -> {step}\noutputs: [y]\n"
    with pytest.raises(SpecError) as caught:
        compile_text(text)
    assert [(d.code, d.message) for d in caught.value.diagnostics] == [(code, message)]


def test_what_agrees_for_no_value_differs() -> None:
    """4*h and 4*w + 2 are never equal: that is a difference, not a question."""
    with pytest.raises(ShapeError, match="operands of add differ in height"):
        merge.Add().infer(shape(N, 1, Dim(4, "h"), 1), shape(N, 1, Dim(4, "w", 2), 1))


def test_symbols_pass_where_sizes_do_not_matter() -> None:
    for op in (activation.Relu(), norm.BatchNorm(), norm.Lrn(), dense.Dropout(), activation.Softmax()):
        assert op.infer(ROUND) == ROUND
    assert pool.GlobalAvgPool().infer(ROUND) == shape(N, 64)
    assert pool.GlobalMaxPool(keepdims=True).infer(ROUND) == shape(N, 64, 1, 1)
    assert merge.Scale().infer(ROUND, shape(N, 64, 1, 1)) == ROUND
    assert merge.Concat().infer(ROUND, ROUND).channels == 128


def test_huge_weights_stay_exact() -> None:
    """Number of elements beyond 2^64 in Python's own integers; the compiler compares them with its limit."""
    op = conv.Conv(filters=2**24, kernel=2**13 + 1)
    assert op.params(shape(N, 2**24, 2**14, 2**14))["weight"] == (2**24, 2**24, 2**13 + 1, 2**13 + 1)
