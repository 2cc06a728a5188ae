"""Sizes that hold a symbol: every rule at 32*h is the concrete rule at every h; `equal` and `less` by enumeration."""

from __future__ import annotations

from itertools import product

import pytest

from cnnspec.ops.base import AbstractOp
from cnnspec.ops.conv import Conv, Depthwise, TransposedConv
from cnnspec.ops.pool import AdaptiveAvgPool, AvgPool, ChannelMaxPool, GlobalAvgPool, MaxPool
from cnnspec.ops.shape import ChannelShuffle, Pad, Upsample
from cnnspec.tensor import Dim, ShapeError, Size, affine, equal, less
from samples import SAMPLES, Sample, shape

PLAIN = [(3, "half"), (3, "same"), (2, "same"), (4, "same"), (3, "valid"), (2, 1), (5, ((0, 1), (2, 0)))]
OPS: list[AbstractOp] = [
    *(
        Conv(filters=2, kernel=k, stride=s, padding=p, dilation=d)  # type: ignore[arg-type]
        for (k, p), s, d in product(PLAIN, (1, 2, 4), (1, 2))
    ),
    *(
        kind(kernel=k, stride=s, padding=p, ceil=ceil)  # type: ignore[arg-type]
        for kind in (MaxPool, AvgPool)
        for (k, p), s, ceil in product(PLAIN[:6], (1, 2, 4), (False, True))
    ),
    *(Depthwise(kernel=k, stride=s, padding=p) for (k, p), s in product(PLAIN, (1, 2, 4))),  # type: ignore[arg-type]
    *(
        TransposedConv(filters=2, kernel=k, stride=s, padding=p, dilation=d)  # type: ignore[arg-type]
        for k, s, p, d in product((1, 2, 3, 5), (1, 2, 4), ("valid", "same", 1), (1, 2))
    ),
    TransposedConv(filters=2, kernel=3, stride=4, padding=((0, 1), (2, 0)), output_padding=(3, 0)),
    MaxPool(kernel=2),
    MaxPool(kernel=5, stride=4, padding=((2, 0), (1, 2)), ceil=True),
    GlobalAvgPool(keepdims=True),
    AdaptiveAvgPool(size=1),
    Upsample(factor=(2, 3)),
    Pad(size=((1, 2), (0, 3))),
    ChannelShuffle(groups=2),
    ChannelMaxPool(kernel=2),
]


@pytest.mark.parametrize("offset", [-9, -3, 0, 1, 6])
def test_infer_at_every_value(offset: int) -> None:
    for op, factor in product(OPS, (4, 12)):
        symbolic = shape(Dim(1, "N"), 2, Dim(factor, "h", offset), Dim(4, "w"))
        result = op.infer(symbolic)
        for h in range(1, 41):
            values = {"N": 3, "h": h, "w": 7}
            at = symbolic.at(values)
            if at.concrete[2] < 1:
                continue
            try:
                concrete = op.infer(at)
            except ShapeError:  # does not fit: the size is below its bound there
                assert result.at(values).concrete[2] < 1, (op, h)
            else:
                assert result.at(values) == concrete, (op, h)


@pytest.mark.parametrize("op", OPS[:6], ids=str)
def test_padding_and_weights_need_no_values(op: Conv) -> None:
    symbolic = shape(Dim(1, "N"), 2, Dim(8, "h", 3), Dim(4, "w"))
    for h in (1, 2, 40):
        at = symbolic.at({"N": 1, "h": h, "w": 1})
        assert op.pads(symbolic) == op.pads(at)
        assert op.params(symbolic) == op.params(at)


@pytest.mark.parametrize("sample", [s for s in SAMPLES if s.op.op not in {"dense", "flatten"}], ids=lambda s: s.id)
def test_a_symbolic_batch_goes_through(sample: Sample) -> None:
    batched = [shape(Dim(1, "N"), *x.shape[1:]) for x in sample.inputs]
    assert sample.op.infer(*batched).at({"N": 2}) == sample.output


SIZES: list[Size] = [
    *range(-3, 12),
    *(affine(factor, symbol, offset) for factor in (1, 2, 3, 4, -1, -2) for symbol in "hw" for offset in range(-4, 6)),
]
RANGE = range(1, 28)


def test_text() -> None:
    sizes = [Dim(1, "h"), Dim(-1, "h", 5), Dim(2, "h", -3), Dim(-2, "h"), Dim(1, "h", 1)]
    assert [*map(str, sizes)] == ["h", "-h + 5", "2*h - 3", "-2*h", "h + 1"]


def test_arithmetic() -> None:
    for a, k, h in product([Dim(6, "h", 5), Dim(6, "h", -7), Dim(-12, "h", 4)], (1, 2, 3, 6), (1, 2, 9)):
        at = {"h": h}
        there = a.at(at)
        found = [a + k, k + a, a - k, k - a, a * k, k * a, a // k, a % k, a + a, a - Dim(1, "h", k), a - a]
        wanted = [there + k, k + there, there - k, k - there, there * k, k * there, there // k, there % k]
        assert [size if isinstance(size, int) else size.at(at) for size in found] == [
            *wanted,
            2 * there,
            there - h - k,
            0,
        ]


def test_least() -> None:
    for factor, offset in product((1, 2, 8), range(-17, 9)):
        size = Dim(factor, "h", offset)
        assert size.least() == next(h for h in range(1, 20) if size.at({"h": h}) >= 1)


def test_what_does_not_divide_says_what_would() -> None:
    for size, help in ((Dim(6, "h"), "that this size is a multiple of 12*h"), (Dim(6, "h", 1), "a larger factor of h")):
        with pytest.raises(ShapeError, match="4 does not divide the factor of h") as caught:
            size // 4
        assert (caught.value.help or "").endswith(help)


@pytest.mark.parametrize("size", [0, 2**24 + 1, Dim(-1, "h", 5), Dim(2**24 + 1, "h"), Dim(1, "h", -(2**24) - 1)])
def test_sizes_out_of_range(size: Size) -> None:
    with pytest.raises(ShapeError, match="the result would be"):
        shape(Dim(1, "N"), 3, 4, size).check_limits()


def test_sizes_up_to_the_limits() -> None:
    for sizes in ((1, 1), (2**24, 2**16), (Dim(2**24, "h", 2**24), Dim(1, "h", -(2**24)))):
        shape(Dim(1, "N"), *sizes).check_limits()
    with pytest.raises(ShapeError, match="1099528404992 elements, the limit is 1099511627776"):
        shape(Dim(1, "N"), 2**16 + 1, 2**24).check_limits()


def value(size: Size, h: int, w: int) -> int:
    return size if isinstance(size, int) else size.at({"h": h, "w": w})


def pairs(a: Size, b: Size) -> list[tuple[int, int]]:
    """Every value of the symbols that occur (each 1 to 27)."""
    symbols = {size.symbol for size in (a, b) if isinstance(size, Dim)}
    return list(product(RANGE if "h" in symbols else [1], RANGE if "w" in symbols else [1]))


def at(text: str) -> tuple[int, int]:
    given = dict(part.split(" = ") for part in text.split(", "))
    return int(given.get("h", 1)), int(given.get("w", 1))


def test_equal() -> None:
    for a, b in product(SIZES[::3], SIZES):
        found = equal(a, b)
        if found is True:
            assert all(value(a, h, w) == value(b, h, w) for h, w in pairs(a, b))
        elif found is False:
            assert not any(value(a, h, w) == value(b, h, w) for h, w in pairs(a, b)), (a, b)
        else:
            h, w = at(found)
            assert h >= 1, (a, b)
            assert w >= 1, (a, b)
            assert value(a, h, w) == value(b, h, w), (a, b, found)
            assert any(value(a, h, w) != value(b, h, w) for h, w in pairs(a, b))
            first = int(isinstance(a, Dim) and a.symbol == "w")
            least = min((pair for pair in pairs(a, b) if value(a, *pair) == value(b, *pair)), key=lambda p: p[first])
            assert (h, w)[first] <= least[first], (a, b, found)


def test_less() -> None:
    for a, b in product(SIZES[::3], SIZES):
        found = less(a, b)
        answers = {value(a, h, w) < value(b, h, w) for h, w in pairs(a, b)}
        if isinstance(found, bool):
            assert answers == {found}, (a, b)
        elif " = " in found:  # from the named value on the answer is another
            h, w = at(found)
            before = (h - 1, w) if "h" in found else (h, w - 1)
            assert min(before) >= 1, (a, b, found)
            assert (value(a, h, w) < value(b, h, w)) != (value(a, *before) < value(b, *before)), (a, b, found)
