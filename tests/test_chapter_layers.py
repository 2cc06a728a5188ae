"""What the chapter says of its layers, in numbers: one operator against others, written out."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.testing import assert_close

from cnnspec.ops.base import AbstractOp
from cnnspec.ops.conv import Conv, Depthwise, TransposedConv
from cnnspec_torch.lower import lower
from samples import shape


def module(op: AbstractOp, *xs: Tensor) -> nn.Module:
    torch.manual_seed(0)
    return lower(op, *(shape(*x.shape) for x in xs))


def weight(of: nn.Module) -> Tensor:
    found: Any = of.weight
    return found.detach()  # type: ignore[no-any-return]


def spread(x: Tensor, steps: tuple[int, int]) -> Tensor:
    """Rows and columns of zeros between those of x."""
    rows, columns = ((n - 1) * s + 1 for n, s in zip(x.shape[2:], steps, strict=True))
    wide = x.new_zeros((*x.shape[:2], rows, columns))
    wide[:, :, :: steps[0], :: steps[1]] = x
    return wide


# Transposed convolution


@pytest.mark.parametrize(("kernel", "stride"), [*product([(3, 3), (2, 4), (1, 5)], [(1, 1), (2, 2), (3, 2)])])
def test_transposed_convolution_inserts_zeros_then_convolves(kernel: tuple[int, int], stride: tuple[int, int]) -> None:
    x = torch.randn(2, 3, 5, 4)
    up = module(TransposedConv(filters=6, kernel=kernel, stride=stride, bias=False), x)
    turned = weight(up).flip(2, 3).transpose(0, 1)
    margin = tuple(k - 1 for k in kernel)
    assert_close(up(x), functional.conv2d(spread(x, stride), turned, padding=margin))


def test_stride_2_doubles_the_size() -> None:
    x = torch.randn(1, 3, 5, 7)
    for kernel in range(1, 7):
        op = TransposedConv(filters=4, kernel=kernel, stride=2, padding="same")
        assert module(op, x)(x).shape == (1, 4, 10, 14)


@pytest.mark.parametrize(("kernel", "stride"), [*product(range(1, 7), range(1, 5))])
def test_same_is_the_middle_of_valid_and_the_gradient_of_a_same_convolution(kernel: int, stride: int) -> None:
    """Where the kernel is shorter than the stride, no input reaches the last values: they are the bias alone."""
    x = torch.randn(1, 2, 5)
    op = TransposedConv(filters=3, kernel=kernel, stride=stride, padding="same")
    up = module(op, x)
    whole = functional.conv_transpose1d(x, weight(up), stride=stride)
    (cut,) = op.cuts(shape(1, 2, 5))
    bias: Any = up.bias
    assert_close(up(x), functional.pad(whole, (-cut[0], -cut[1])) + bias[:, None])
    back = Conv(filters=2, kernel=kernel, stride=stride, padding="same", bias=False)
    y = torch.randn(1, 3, 5 * stride, requires_grad=True)
    down = module(back, y)
    down.load_state_dict({"weight": weight(up)})
    (gradient,) = torch.autograd.grad(down(y), y, x)
    assert_close(up(x) - bias[:, None], gradient)


@pytest.mark.parametrize("padding", [((0, 0),), ((2, 0),), ((0, 2),), ((3, 1),)], ids=str)
@pytest.mark.parametrize("added", [0, 1, 2])
def test_padding_takes_from_the_whole_result(padding: tuple[tuple[int, int]], added: int) -> None:
    x = torch.randn(1, 2, 6)
    op = TransposedConv(filters=2, kernel=4, stride=3, padding=padding, output_padding=added)
    up = module(op, x)
    ((before, after),) = padding
    bias: Any = up.bias
    whole = functional.pad(functional.conv_transpose1d(x, weight(up), stride=3), (0, added)) + bias[:, None]
    assert_close(up(x), whole[:, :, before : whole.shape[2] - after])


# Dilated, depthwise, separable


@pytest.mark.parametrize("dilation", [(2, 2), (3, 1)])
def test_dilation_is_a_filter_with_zeros_inserted(dilation: tuple[int, int]) -> None:
    x = torch.randn(2, 3, 11, 12)
    dilated = module(Conv(filters=4, kernel=3, dilation=dilation, padding="valid", bias=False), x)
    assert_close(dilated(x), functional.conv2d(x, spread(weight(dilated), dilation)))
    up = module(TransposedConv(filters=4, kernel=3, dilation=dilation, stride=2, bias=False), x)
    assert_close(up(x), functional.conv_transpose2d(x, spread(weight(up), dilation), stride=2))


def test_depthwise_filters_each_map_alone() -> None:
    x = torch.randn(2, 3, 8, 9)
    layer = module(Depthwise(kernel=3, multiplier=2, bias=False), x)
    maps = [functional.conv2d(x[:, c : c + 1], weight(layer)[2 * c : 2 * c + 2], padding=1) for c in range(3)]
    assert_close(layer(x), torch.cat(maps, 1))


def test_separable_is_depthwise_then_1x1() -> None:
    """A separable layer is a full convolution whose kernels are products; it has fewer weights."""
    x = torch.randn(2, 3, 8, 9)
    depthwise = module(Depthwise(kernel=3, bias=False), x)
    pointwise = module(Conv(filters=5, kernel=1, bias=False), x)
    full = weight(pointwise) * weight(depthwise).squeeze(1)[None]
    assert_close(pointwise(depthwise(x)), functional.conv2d(x, full, padding=1))
    kind = shape(2, 3, 8, 9)
    ops = (
        Depthwise(kernel=3, bias=False),
        Conv(filters=5, kernel=1, bias=False),
        Conv(filters=5, kernel=3, bias=False),
    )
    assert [sum(torch.Size(s).numel() for s in op.params(kind).values()) for op in ops] == [27, 15, 135]


@pytest.mark.parametrize("sizes", [(13,), (9, 11), (6, 7, 8)])
def test_convolution_in_every_dimension(sizes: tuple[int, ...]) -> None:
    """Output i, j, k = bias + the sum over kernel rows, columns, depths and input maps."""
    x = torch.randn(1, 2, *sizes)
    layer = module(Conv(filters=3, kernel=3, stride=2, padding="valid"), x)
    y = layer(x)
    bias: Any = layer.bias
    for at in product(*(range(n) for n in y.shape[2:])):
        window = x[0]
        for axis, i in enumerate(at):
            window = window.narrow(axis + 1, 2 * i, 3)
        seen: Any = (0, slice(None), *at)
        assert_close(y[seen], (weight(layer) * window).flatten(1).sum(1) + bias)
