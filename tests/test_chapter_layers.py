"""What the chapter says of its layers, in numbers: one operator against others, written out."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.testing import assert_close

from cnnspec.ops.base import AbstractOp, number_of
from cnnspec.ops.conv import Conv, Depthwise, TransposedConv
from cnnspec.ops.dense import Dense, Distance, StochasticDepth
from cnnspec.ops.norm import ChannelAffine, GroupNorm, LayerNorm, Lrn, Normalize
from cnnspec.ops.pool import AdaptiveAvgPool, ChannelAvgPool, ChannelMaxPool, GlobalAvgPool, MaxPool
from cnnspec.ops.shape import ChannelShuffle, Pad, PixelShuffle, Upsample
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


# Given numbers


def test_fixed_filters_find_lines() -> None:
    """The chapter's two 7x7 filters, a column and a row of ones, over three maps alike; nothing is trained."""
    vertical = tuple(tuple(float(c == 3) for c in range(7)) for _ in range(7))
    horizontal = tuple(zip(*vertical, strict=True))
    op = Conv(filters=2, kernel=7, padding="same", weights=(vertical, horizontal), bias=False)
    x = torch.zeros(1, 3, 20, 20)
    x[:, :, :, 10] = 1
    layer = module(op, x)
    assert list(layer.parameters()) == []
    assert (op.params(shape(1, 3, 20, 20)), op.buffers(shape(1, 3, 20, 20))) == ({}, {"weight": (2, 3, 7, 7)})
    y = layer(x)
    assert y[0, 0, 10].argmax() == 10
    assert (y[0, 0, 10, 10], y[0, 1, 10, 10]) == (21, 3)


def test_tensorflows_layout_is_transposed() -> None:
    """[rows, columns, maps, filters] in TensorFlow; its axes in the order 3, 2, 0, 1 are ours."""
    theirs = torch.randn(3, 2, 4, 5)
    ours: Any = theirs.permute(3, 2, 0, 1).tolist()
    x = torch.randn(1, 4, 6, 7)
    y = module(Conv(filters=5, kernel=(3, 2), padding="valid", weights=ours, bias=False), x)(x)
    patch = x[0, :, 2:5, 3:5]
    assert_close(y[0, :, 2, 3], torch.einsum("cuv,uvco->o", patch, theirs))


C3 = (
    *(tuple((k + i) % 6 for i in range(3)) for k in range(6)),
    *(tuple((k + i) % 6 for i in range(4)) for k in range(6)),
    *(tuple((k + i) % 6 for i in (0, 1, 3, 4)) for k in range(3)),
    tuple(range(6)),
)
"""LeCun et al. 1998, table I: the maps of S2 that each map of C3 sees."""


def test_lenets_table_has_1516_weights() -> None:
    x = torch.randn(2, 6, 14, 14)
    op = Conv(filters=16, kernel=5, padding="valid", table=C3)
    kind = shape(*x.shape)
    assert number_of(op.params(kind)) == 1_516
    assert op.macs(op.infer(shape(1, 6, 14, 14)), shape(1, 6, 14, 14)) + 1_600 == 151_600  # its connections
    layer = module(op, x)
    rows = iter(weight(layer))
    full = torch.zeros(16, 6, 5, 5)
    for number, maps in enumerate(C3):
        for source in maps:
            full[number, source] = next(rows)
    bias: Any = layer.bias
    assert_close(layer(x), functional.conv2d(x, full, bias))
    assert (layer.load_state_dict(layer.state_dict()), sorted(layer.state_dict())) == (
        nn.Module().load_state_dict({}),
        ["bias", "connections", "weight"],
    )


def test_a_table_pads_and_starts_as_any_convolution() -> None:
    x = torch.randn(2, 2, 7, 7)
    op = Conv(filters=2, kernel=2, stride=2, padding="same", table=((0, 1), (0, 1)), init=0.5)
    full = Conv(filters=2, kernel=2, stride=2, padding="same", init=0.5)
    assert_close(module(op, x)(x), module(full, x)(x))
    drawn = weight(module(Conv(filters=2, kernel=5, table=((0,), (0, 1))), x))
    assert 0.15 < drawn[0].abs().max() <= 1 / 5
    assert 0.1 < drawn[1:].abs().max() <= 1 / 50**0.5


def test_distance_is_squared_and_euclidean() -> None:
    codes = torch.randn(10, 84).sign()
    x = torch.randn(3, 84)
    layer = module(Distance(codes=codes.tolist()), x)
    assert_close(layer(x), torch.cdist(x, codes).square())
    assert layer(codes).argmin(1).tolist() == list(range(10))
    assert list(layer.parameters()) == []


def test_lenets_input_and_subsampling() -> None:
    digit = torch.zeros(1, 1, 28, 28)
    field = module(Pad(size=2), digit)(digit)
    assert field.shape == (1, 1, 32, 32)
    white = module(Normalize(mean=0.1 / 1.275, std=1 / 1.275), field)(field)
    assert_close(white, torch.full_like(white, -0.1))
    black = module(Normalize(mean=0.1 / 1.275, std=1 / 1.275), field)(torch.ones_like(field))
    assert_close(black, torch.full_like(black, 1.175))
    assert number_of(ChannelAffine().params(shape(1, 6, 14, 14))) == 12
    x = torch.randn(2, 3, 4)
    assert_close(module(ChannelAffine(start=0.25), x)(x), x / 4)


# Start weights


@pytest.mark.parametrize(
    ("op", "fan_in", "fan_out"),
    [
        (Conv(filters=128, kernel=3, groups=2), 32 * 9, 64 * 9),
        (Dense(features=500), 64, 500),
        (TransposedConv(filters=96, kernel=4, groups=2), 32 * 16, 48 * 16),
    ],
    ids=lambda value: getattr(value, "op", str(value)),
)
@pytest.mark.parametrize("init", ["he", "glorot", "lecun"])
def test_variance_of_start_weights(op: AbstractOp, fan_in: int, fan_out: int, init: str) -> None:
    x = torch.zeros((1, 64) if op.op == "dense" else (1, 64, 8, 8))
    layer = module(op.model_copy(update={"init": init}), x)
    variance = {"he": 2 / fan_in, "glorot": 2 / (fan_in + fan_out), "lecun": 1 / fan_in}[init]
    assert weight(layer).var().item() == pytest.approx(variance, rel=0.05)
    bound = (3 * variance) ** 0.5
    assert (weight(layer).abs().max().item() <= bound) == (init == "glorot")
    bias: Any = layer.bias
    assert not bias.any()


@pytest.mark.parametrize(("factor", "kernel"), [(2, 4), (2, 3), (4, 8), (8, 16)])
def test_a_transposed_convolution_can_start_as_bilinear_interpolation(factor: int, kernel: int) -> None:
    x = torch.randn(1, 3, 6, 6)
    up = module(TransposedConv(filters=3, kernel=kernel, stride=factor, padding="same", init="bilinear"), x)
    assert_close(up(torch.ones_like(x))[:, :, factor:-factor, factor:-factor], torch.ones(1, 3, 4 * factor, 4 * factor))
    if kernel == 2 * factor:
        smooth = module(Upsample(factor=factor, mode="bilinear"), x)(x)
        assert_close(up(x)[:, :, factor:-factor, factor:-factor], smooth[:, :, factor:-factor, factor:-factor])
    grouped = TransposedConv(filters=3, kernel=kernel, stride=factor, padding="same", init="bilinear", groups=3)
    assert_close(module(grouped, x)(x), up(x))


# Pools and norms


def test_pooling_over_channels() -> None:
    """Kernel 3, stride 3 over channels: whichever of three maps answers, the result is the same."""
    x = torch.randn(2, 7, 4, 5)
    y = module(ChannelMaxPool(kernel=3), x)(x)
    assert_close(y, torch.stack([x[:, 0:3].amax(1), x[:, 3:6].amax(1)], 1))
    turned = x[:, [1, 2, 0, 5, 3, 4, 6]]
    assert_close(module(ChannelMaxPool(kernel=3), x)(turned), y)
    assert_close(module(ChannelAvgPool(kernel=2, stride=5), x)(x), torch.stack([x[:, :2].mean(1), x[:, 5:].mean(1)], 1))


def test_pooling_2x2_keeps_a_quarter() -> None:
    for sizes, kept in (((8,), 2), ((8, 6), 4), ((8, 6, 4), 8)):
        x = shape(1, 3, *sizes)
        assert MaxPool(kernel=2).infer(x).elements * kept == x.elements


@pytest.mark.parametrize("sizes", [(5,), (5, 7), (3, 4, 5)])
def test_adaptive_pooling_to_one_is_global(sizes: tuple[int, ...]) -> None:
    x = torch.randn(2, 3, *sizes)
    assert_close(module(AdaptiveAvgPool(size=1), x)(x), module(GlobalAvgPool(keepdims=True), x)(x))


def test_lrn_in_tensorflows_terms() -> None:
    """AlexNet's radius 2, alpha 0.00002, bias 1, beta 0.75 are size 5 and alpha 0.0001 here."""
    x = torch.randn(1, 8, 3, 3) * 100
    squares = functional.pad(x.square(), (0, 0, 0, 0, 2, 2)).unfold(1, 5, 1).sum(-1)
    assert_close(module(Lrn(size=5, alpha=1e-4, beta=0.75, k=1), x)(x), x / (1 + 0.00002 * squares) ** 0.75)


def test_layernorm_is_over_channels_and_groupnorm_over_positions_too() -> None:
    x = torch.randn(2, 6, 4, 5)
    theirs = functional.layer_norm(x.permute(0, 2, 3, 1), (6,), eps=1e-6).permute(0, 3, 1, 2)
    assert_close(module(LayerNorm(eps=1e-6), x)(x), theirs)
    assert_close(module(GroupNorm(groups=1), x)(x), functional.layer_norm(x, (6, 4, 5)))
    assert_close(module(GroupNorm(groups=6), x)(x), functional.instance_norm(x))


# Moved values


def test_shuffles() -> None:
    x = torch.randn(2, 12, 3, 4)
    assert_close(module(ChannelShuffle(groups=3), x)(x), nn.ChannelShuffle(3)(x))
    y = module(PixelShuffle(factor=2), x)(x)
    for c, i, j, u, v in product(range(3), range(3), range(4), range(2), range(2)):
        assert torch.equal(y[:, c, 2 * i + u, 2 * j + v], x[:, 4 * c + 2 * u + v, i, j])


def test_stochastic_depth_drops_whole_images() -> None:
    x = torch.ones(400, 3, 2, 2)
    layer = module(StochasticDepth(rate=0.25), x)
    share = layer(x).flatten(1)
    assert torch.equal(share.amin(1), share.amax(1))
    assert_close(share.unique(), torch.tensor([0, 4 / 3]))
    assert 0.65 < share.count_nonzero() / share.numel() < 0.85
    assert torch.equal(layer.eval()(x), x)
