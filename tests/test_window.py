"""Window arithmetic against enumeration and against torch, over grids of kernel, stride, dilation and size."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import pytest
import torch
from torch.nn import functional

from cnnspec.ops.base import AbstractOp
from cnnspec.ops.conv import Conv, TransposedConv
from cnnspec.ops.pool import AdaptiveAvgPool, AvgPool, GlobalAvgPool, MaxPool
from cnnspec.ops.shape import PixelShuffle, Resize, Upsample
from cnnspec.ops.window import sides
from cnnspec.tensor import Dim, ShapeError
from cnnspec_torch.lower import lower
from samples import SAMPLES, Sample, shape

GRID = list(product(range(1, 8), range(1, 5), range(1, 4)))
"""Kernels 1 to 7, strides 1 to 4, dilations 1 to 3."""


def run(op: AbstractOp, x: torch.Tensor) -> torch.Tensor:
    y: torch.Tensor = lower(op, shape(*x.shape))(x)
    return y


# The chapter's figures


def test_zero_padding_of_a_5_by_7_input() -> None:
    x = shape(1, 1, 5, 7)
    assert Conv(filters=1, kernel=3, stride=2, padding="same").infer(x).spatial == (3, 4)
    assert Conv(filters=1, kernel=3, stride=2, padding="half").infer(x).spatial == (3, 4)


def test_valid_and_same_of_13_columns() -> None:
    x = shape(1, 1, 13)
    valid, same = (Conv(filters=1, kernel=6, stride=5, padding=padding) for padding in ("valid", "same"))
    assert (valid.infer(x).spatial, valid.pads(x)) == ((2,), ((0, 0),))
    assert (same.infer(x).spatial, same.pads(x)) == ((3,), ((1, 2),))


def test_200_maps_over_an_rgb_image() -> None:
    x = shape(1, 3, 150, 100)
    op = Conv(filters=200, kernel=5, padding="same")
    y = op.infer(x)
    assert sum(torch.Size(s).numel() for s in op.params(x).values()) == (5 * 5 * 3 + 1) * 200 == 15_200
    assert op.macs(y, x) == 225_000_000
    assert y.elements * 4 == 12_000_000


# `same` is TensorFlow's


def tensorflow_same(n: int, kernel: int, stride: int, dilation: int) -> tuple[int, int, int]:
    """Outputs, padding before and after, from TensorFlow's note on padding, case by case as it is written there:
    https://www.tensorflow.org/api_docs/python/tf/nn#notes_on_padding_2
    """
    reach = kernel + (kernel - 1) * (dilation - 1)
    total = max(reach - stride, 0) if n % stride == 0 else max(reach - n % stride, 0)
    starts = [start for start in range(n) if start % stride == 0]
    return len(starts), total // 2, total - total // 2


@pytest.mark.parametrize("stride", range(1, 5))
def test_same(stride: int) -> None:
    for kernel, dilation, n in product(range(1, 8), range(1, 4), range(1, 41)):
        x = shape(1, 1, n)
        outputs, before, after = tensorflow_same(n, kernel, stride, dilation)
        op = Conv(filters=1, kernel=kernel, stride=stride, dilation=dilation, padding="same")
        assert op.pads(x) == ((before, after),)
        assert op.infer(x).spatial == (outputs,), (kernel, stride, dilation, n)


def test_same_in_numbers() -> None:
    """The convolution itself, against one written out, where the padding differs between the sides."""
    torch.manual_seed(0)
    for (kernel, stride, dilation), n in product(GRID, (5, 8)):
        x, xs = torch.randn(1, 1, n), [0.0] * 40
        module = lower(Conv(filters=1, kernel=kernel, stride=stride, dilation=dilation, padding="same"), shape(1, 1, n))
        weight, bias = (p.detach().flatten().tolist() for p in module.parameters())
        outputs, before, _ = tensorflow_same(n, kernel, stride, dilation)
        xs[before : before + n] = x.flatten().tolist()
        y = [bias[0] + sum(weight[u] * xs[i * stride + u * dilation] for u in range(kernel)) for i in range(outputs)]
        torch.testing.assert_close(module(x).detach().flatten(), torch.tensor(y))


# Sizes are torch's


@pytest.mark.parametrize("padding", ["valid", "half", 1, ((2, 0),)])
def test_convolutions(padding: object) -> None:
    for (kernel, stride, dilation), n in product(GRID, range(1, 15)):
        if padding == "half" and kernel % 2 == 0:
            continue
        op = Conv(filters=1, kernel=kernel, stride=stride, dilation=dilation, padding=padding)  # type: ignore[arg-type]
        pads = sides(op.padding, shape(1, 1, n), (kernel,), (stride,), (dilation,))[0]
        padded = functional.pad(torch.zeros(1, 1, n, device="meta"), pads)
        try:
            weight = torch.zeros(1, 1, kernel, device="meta")
            size = functional.conv1d(padded, weight, stride=stride, dilation=dilation).shape[2:]
        except RuntimeError:
            with pytest.raises(ShapeError, match="is larger than its input"):
                op.infer(shape(1, 1, n))
        else:
            assert op.infer(shape(1, 1, n)).spatial == tuple(size)


@pytest.mark.parametrize("padding", range(3))
def test_transposed_convolutions(padding: int) -> None:
    for (kernel, stride, dilation), n in product(GRID, (1, 2, 5)):
        for added in range(max(stride, dilation)):
            op = TransposedConv(
                filters=1, kernel=kernel, stride=stride, padding=padding, output_padding=added, dilation=dilation
            )
            theirs = torch.nn.ConvTranspose1d(1, 1, kernel, stride, padding, added, dilation=dilation, device="meta")
            try:
                size = theirs(torch.zeros(1, 1, n, device="meta")).shape[2:]
            except RuntimeError:
                with pytest.raises(ShapeError, match="takes all of the width"):
                    op.infer(shape(1, 1, n))
            else:
                assert op.infer(shape(1, 1, n)).spatial == tuple(size), (op, n)


@pytest.mark.parametrize("ceil", [False, True])
@pytest.mark.parametrize("kind", [MaxPool, AvgPool])
def test_pools(kind: type[MaxPool | AvgPool], ceil: bool) -> None:
    for kernel, stride, n in product(range(1, 6), range(1, 6), range(1, 15)):
        for padding in range(kernel // 2 + 1):
            op = kind(kernel=kernel, stride=stride, padding=padding, ceil=ceil)
            module = lower(op, shape(1, 1, n))
            try:
                size = module(torch.zeros(1, 1, n)).shape[2:]
            except RuntimeError:
                with pytest.raises(ShapeError, match="is larger than its input"):
                    op.infer(shape(1, 1, n))
            else:
                assert op.infer(shape(1, 1, n)).spatial == tuple(size), (op, n)


# Pools of ours, value by value


def windows(op: MaxPool | AvgPool, values: list[float]) -> list[list[tuple[float, bool]]]:
    """Every window as (value, whether it is inside the map); what `ceil` adds beyond the padding is left out."""
    x = shape(1, 1, len(values))
    ((before, after),), ((kernel,), (stride,)) = op.pads(x), op.geometry(1)
    cells = [(0.0, False)] * before + [(value, True) for value in values] + [(0.0, False)] * after
    (count,) = op.infer(x).concrete[2:]
    return [cells[i * stride : i * stride + kernel] for i in range(count)]


PADDINGS = ["valid", "half", "same", ((0, 1),), ((1, 0),), ((1, 2),)]


@pytest.mark.parametrize("ceil", [False, True])
@pytest.mark.parametrize("padding", PADDINGS, ids=str)
def test_pools_in_numbers(padding: object, ceil: bool) -> None:
    torch.manual_seed(0)
    for kernel, stride, n in product(range(2, 6), range(1, 6), range(3, 11)):
        maximum = MaxPool(kernel=kernel, stride=stride, padding=padding, ceil=ceil)  # type: ignore[arg-type]
        mean = AvgPool(kernel=kernel, stride=stride, padding=padding, ceil=ceil)  # type: ignore[arg-type]
        x = torch.randn(1, 1, n) - 2  # mostly negative, so that a zero would win
        try:
            seen = windows(maximum, x.flatten().tolist())
        except ShapeError:
            continue
        y = [max(value for value, inside in window if inside) for window in seen]
        torch.testing.assert_close(run(maximum, x).flatten(), torch.tensor(y))
        counted = [[v for v, inside in window if inside or padding != "same"] for window in seen]
        y = [sum(values) / len(values) for values in counted]
        torch.testing.assert_close(run(mean, x).flatten(), torch.tensor(y))


def test_pools_pad_each_axis_on_its_own_side() -> None:
    x = torch.arange(12.0).reshape(1, 1, 3, 4) - 20
    first = run(MaxPool(kernel=2, padding=((1, 0), (0, 1))), x)
    assert first.tolist() == [[[[-19, -17], [-11, -9]]]]
    mean = run(AvgPool(kernel=2, padding=((1, 0), (0, 0))), x)
    assert mean.tolist() == [[[[-9.75, -8.75], [-13.5, -11.5]]]]


# What one output sees, probed: a NaN spreads to every output that looks at it


def seen(sample: Sample, axis: int) -> list[int]:
    """For each output along an axis, how far apart the first and the last row lie that it looks at."""
    module = lower(sample.op, *sample.inputs).eval()
    x, *others = (torch.zeros(type.concrete) for type in sample.inputs)
    touched: list[torch.Tensor] = []
    for row in range(x.shape[axis]):
        probe = x.clone()
        probe.select(axis, row).fill_(torch.nan)
        y = module(probe, *others).detach().isnan()
        touched.append(y.movedim(axis, 0).flatten(1).any(1))
    columns = torch.stack(touched).t()
    return [int(rows.nonzero().max() - rows.nonzero().min()) + 1 if rows.any() else 0 for rows in columns]


WINDOWED = [s for s in SAMPLES if s.op.field(*s.inputs) is not None and s.output.rank == s.inputs[0].rank]


@pytest.mark.parametrize("sample", WINDOWED, ids=lambda sample: sample.id)
def test_field_is_what_one_output_sees(sample: Sample) -> None:
    windows = sample.op.field(*sample.inputs)
    assert windows is not None
    for axis, (kernel, _) in enumerate(windows, start=2):
        assert max(seen(sample, axis)) == min(kernel, sample.inputs[0].concrete[axis])


def test_no_field_where_sizes_are_open() -> None:
    fixed, open_ = shape(2, 4, 9), shape(2, 4, Dim(4, "h"))
    assert [Resize().field(fixed, open_), Resize().field(open_, fixed), Upsample(factor=2).field(open_)] == [None] * 3
    assert [GlobalAvgPool().field(open_), AdaptiveAvgPool(size=1).field(open_)] == [None, None]
    assert Upsample(factor=2, mode="bilinear").field(fixed) == ((2, Fraction(1, 2)),)
    assert PixelShuffle(factor=3).field(shape(2, 9, 4, 4)) == ((1, Fraction(1, 3)),) * 2


NARROW = {"groupnorm", "reshape", "permute", "crop", "pad", "flatten"}
PLAIN = [s for s in SAMPLES if s.op.field(*s.inputs) is None and s.inputs[0].rank > 2 and s.op.op not in NARROW]


@pytest.mark.parametrize("sample", PLAIN, ids=lambda sample: sample.id)
def test_no_field_is_one_position(sample: Sample) -> None:
    for axis in range(2, sample.inputs[0].rank):
        assert set(seen(sample, axis)) == {1}
