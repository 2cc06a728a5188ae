"""Every way a shape rule fails, and the words it fails with."""

from __future__ import annotations

import pytest

from cnnspec.ops import activation, conv, dense, merge, norm, pool
from cnnspec.ops.base import AbstractOp
from cnnspec.tensor import Dim, ShapeError, TensorType
from samples import shape

N, H, W = Dim(1, "N"), Dim(1, "h"), Dim(1, "w")
MAP = shape(N, 64, 56, 56)
ROUND = shape(N, 64, Dim(32, "h"), Dim(32, "w"))

CASES: list[tuple[AbstractOp, tuple[TensorType, ...], str, str | None]] = [
    (
        conv.Conv(filters=8, kernel=9, padding="valid"),
        (shape(N, 3, 20, 4),),
        "kernel 9 is larger than its input: width is 4",
        "use a smaller kernel, more padding, or a larger image",
    ),
    (
        conv.Conv(filters=8, kernel=5, padding=((0, 1), (1, 1)), dilation=2),
        (shape(N, 3, 4, 9),),
        "kernel 5 (dilated to 9) is larger than its input: height is 4, 5 with padding",
        "use a smaller kernel, more padding, or a larger image",
    ),
    (
        conv.Conv(filters=8, kernel=4),
        (MAP,),
        "padding half wants odd kernels, got 4",
        "write padding=same, valid or a number",
    ),
    (
        conv.Conv(filters=9, kernel=3, groups=2),
        (MAP,),
        "groups=2 must divide the 64 maps coming in and the 9 filters",
        None,
    ),
    (
        conv.Conv(filters=8, kernel=(3, 3, 3)),
        (MAP,),
        "kernel [3, 3, 3] has 3 numbers, the input has 2 spatial axes",
        "write 3, or one number for each axis",
    ),
    (
        conv.Conv(filters=8, kernel=3, padding=(1,)),
        (MAP,),
        "padding has 1 entries, the input has 2 spatial axes",
        None,
    ),
    (
        conv.Conv(filters=8, kernel=3),
        (shape(N, 64),),
        "conv takes [N, C, ...] with 1 to 3 spatial axes, got [N, 64]",
        "a [N, F] tensor has no spatial axes left",
    ),
    (
        conv.Conv(filters=8, kernel=3, stride=2),
        (shape(N, 3, Dim(5, "h"), 8),),
        "stride 2 does not divide the height 5*h",
        "declare the input with a factor of h that the strides divide: 2 times what it has now is enough here "
        "(an input of 32*h becomes 64*h)",
    ),
    (
        conv.Conv(filters=8, kernel=3, stride=2, padding="same"),
        (shape(N, 3, 8, W),),
        "stride 2 does not divide the width w",
        "declare the input with a factor of w that the strides divide: 2 times what it has now is enough here "
        "(an input of 32*w becomes 64*w)",
    ),
    (
        conv.Depthwise(kernel=3),
        (shape(N, 64),),
        "depthwise takes [N, C, ...] with 1 to 3 spatial axes, got [N, 64]",
        "a [N, F] tensor has no spatial axes left",
    ),
    (
        conv.TransposedConv(filters=9, kernel=3, groups=2),
        (MAP,),
        "groups=2 must divide the 64 maps coming in and the 9 filters",
        None,
    ),
    (  # B060
        conv.TransposedConv(filters=9, kernel=3, stride=2, padding=1, output_padding=2),
        (MAP,),
        "output_padding 2 must be less than the stride 2",
        "more would be rows that no input reaches",
    ),
    (
        conv.TransposedConv(filters=9, kernel=3, stride=2, dilation=3, output_padding=(0, 4)),
        (MAP,),
        "output_padding 4 must be less than the stride 2 or the dilation 3",
        "more would be rows that no input reaches",
    ),
    (
        conv.TransposedConv(filters=9, kernel=3, stride=2, padding="same", output_padding=1),
        (MAP,),
        "output_padding is for padding in numbers: same has its size already",
        "leave it out",
    ),
    (
        conv.TransposedConv(filters=9, kernel=3, padding=((1, 1), (2, 1))),
        (shape(N, 3, 4, 1),),
        "padding 2 and 1 takes all of the width: it is 3 without",
        "use less padding, or padding=same",
    ),
    (
        pool.MaxPool(kernel=3, padding=2),
        (MAP,),
        "padding 2 is more than half the kernel 3 along the height",
        "a window must touch the map: at most 1",
    ),
    (
        pool.AvgPool(kernel=(3, 2), padding=((0, 1), (0, 2))),
        (MAP,),
        "padding 2 is more than half the kernel 2 along the width",
        "a window must touch the map: at most 1",
    ),
    (
        pool.MaxPool(kernel=2),
        (shape(N, 64, 1, 1),),
        "kernel 2 is larger than its input: height is 1",
        "use a smaller kernel, more padding, or a larger image",
    ),
    (
        pool.GlobalAvgPool(),
        (shape(N, 64),),
        "global_avgpool takes [N, C, ...] with 1 to 3 spatial axes, got [N, 64]",
        "a [N, F] tensor has no spatial axes left",
    ),
    (
        pool.ChannelMaxPool(kernel=65),
        (MAP,),
        "kernel 65 is larger than the 64 maps coming in",
        "channel_maxpool pools over channels; over positions it is maxpool",
    ),
    (
        pool.AdaptiveAvgPool(size=(1, 7)),
        (ROUND,),
        "adaptive_avgpool to 7 needs a fixed size, and the width is 32*w",
        "pool to 1, or declare the input with numbers",
    ),
    (
        pool.AdaptiveAvgPool(size=(1, 7)),
        (shape(N, 3, 9),),
        "size [1, 7] has 2 numbers, the input has 1 spatial axes",
        "write 1, or one number for each axis",
    ),
    (  # B059
        norm.GroupNorm(groups=3),
        (shape(N, 8, H, W),),
        "groups=3 must divide the 8 maps coming in",
        "8 maps make 1, 2, 4 or 8 groups",
    ),
    (
        norm.Normalize(mean=(0.5,), std=1),
        (MAP,),
        "mean has 1 number, the input has 64 channels",
        "write one number for all channels, or a list of one per channel",
    ),
    (
        norm.Normalize(mean=0, std=(1, 2, 3)),
        (MAP,),
        "std has 3 numbers, the input has 64 channels",
        "write one number for all channels, or a list of one per channel",
    ),
    (
        norm.Lrn(size=4),
        (MAP,),
        "size 4 is even: lrn looks at as many maps on both sides of its own",
        "write 3 or 5",
    ),
    (
        norm.Lrn(),
        (shape(N, 64),),
        "lrn takes [N, C, ...] with 1 to 3 spatial axes, got [N, 64]",
        "a [N, F] tensor has no spatial axes left",
    ),
    (
        dense.Dense(features=10),
        (shape(N, 512, 7, 7),),
        "dense takes [N, F], got [N, 512, 7, 7]: flatten or global_avgpool first",
        None,
    ),
    (
        dense.Dense(features=10),
        (shape(N, 512, H, 7),),
        "dense takes [N, F], got [N, 512, h, 7]: flatten or global_avgpool first",
        "here global_avgpool: flatten needs a fixed size, not h",
    ),
    (
        dense.Flatten(),
        (shape(N, 512, H, W),),
        "flatten needs a fixed size, and [N, 512, h, w] depends on h and w",
        "use global_avgpool, or declare the input with numbers",
    ),
    (
        merge.Add(),
        (MAP, shape(N, 64, 55, 55)),
        "operands of add differ in height and width",
        None,
    ),
    (
        merge.Add(),
        (MAP, MAP, shape(Dim(1, "N", 1), 32, 55, 57)),
        "operands of add differ in batch, channels, height and width",
        None,
    ),
    (
        merge.Add(),
        (MAP, shape(N, 64)),
        "operands of add differ in the number of axes",
        None,
    ),
    (
        merge.Add(),
        (shape(N, 64, Dim(4, "h"), 8), shape(N, 64, Dim(2, "h", 6), 8)),
        "operands of add agree in height only for some values, such as h = 3",
        "sizes that hold a symbol must be identical; sizes that must agree want one symbol",
    ),
    (
        merge.Maximum(),
        (MAP, shape(N, 64, 56, 55)),
        "operands of maximum differ in width",
        None,
    ),
    (
        merge.Multiply(),
        (MAP, shape(N, 64, 1, 1)),
        "operands of multiply differ in height and width",
        None,
    ),
    (
        merge.Concat(),
        (ROUND, shape(N, 3, Dim(32, "a"), Dim(32, "a"))),
        "operands of concat agree in height and width only for some values, such as h = 1, a = 1",
        "sizes that hold a symbol must be identical; sizes that must agree want one symbol",
    ),
    (
        merge.Concat(),
        (shape(N, 1, 5, 6, 7), shape(N, 2, 4, 6, 7)),
        "operands of concat differ in depth",
        None,
    ),
    (
        merge.Scale(),
        (MAP, shape(N, 32)),
        "the gate of scale must be [N, 64] or [N, 64, 1, 1], one value per map of x, got [N, 32]",
        None,
    ),
    (
        merge.Scale(),
        (MAP, MAP),
        "the gate of scale must be [N, 64] or [N, 64, 1, 1], one value per map of x, got [N, 64, 56, 56]",
        "global_avgpool gives one value per map",
    ),
    (
        merge.Scale(),
        (shape(N, 8), shape(N, 9)),
        "the gate of scale must be [N, 8], one value per map of x, got [N, 9]",
        None,
    ),
]


@pytest.mark.parametrize(("op", "inputs", "message", "help"), CASES)
def test_message(op: AbstractOp, inputs: tuple[TensorType, ...], message: str, help: str | None) -> None:
    with pytest.raises(ShapeError) as caught:
        op.infer(*inputs)
    assert (caught.value.message, caught.value.help) == (message, help)


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
