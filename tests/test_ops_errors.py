"""Every way a shape rule fails, and the words it fails with."""

from __future__ import annotations

import pytest

from cnnspec.diagnostics import SpecError
from cnnspec.front import compile_text
from cnnspec.ops import activation, conv, dense, merge, norm, pool
from cnnspec.ops import shape as shapes
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
        conv.Conv(filters=2, kernel=3, weights=(((1, 0, 1),) * 2,) * 2, bias=False),
        (MAP,),
        "weights are [2, 2, 3], this convolution wants [2, 3, 3] or [2, 64, 3, 3]",
        None,
    ),
    (
        conv.Conv(filters=2, kernel=1, weights=(((1,),), ((2,),))),
        (MAP,),
        "given weights are not trained, and the bias would be",
        "write bias=false",
    ),
    (
        conv.Conv(filters=2, kernel=1, weights=(((1,),), ((2,),)), bias=False, init="he"),
        (MAP,),
        "weights and init exclude each other",
        "leave init out",
    ),
    (
        conv.Conv(filters=3, kernel=1, table=((0, 1), (63,))),
        (MAP,),
        "the table has 2 rows, one per filter, and there are 3 filters",
        None,
    ),
    (
        conv.Conv(filters=2, kernel=1, table=((0, 1), (63,)), groups=2),
        (MAP,),
        "a table and groups exclude each other",
        "leave groups out",
    ),
    (
        conv.Conv(filters=2, kernel=1, table=((0, 1), (64,))),
        (MAP,),
        "filter 1 of the table sees map 64: the 64 maps are 0 to 63",
        None,
    ),
    (
        conv.Conv(filters=2, kernel=1, table=((0, 1, 0), (5,))),
        (MAP,),
        "filter 0 of the table has map 0 twice",
        None,
    ),
    (
        conv.Conv(filters=2, kernel=1, table=((0, 1), ())),
        (MAP,),
        "filter 1 of the table sees no map",
        "every filter needs one at least",
    ),
    (
        conv.TransposedConv(filters=21, kernel=4, stride=2, init="bilinear"),
        (MAP,),
        "init bilinear wants a filter for every map, got 21 filters and 64 maps",
        "write 64 filters, or another init",
    ),
    (
        dense.Distance(codes=((1, -1), (1, 1))),
        (shape(N, 84),),
        "codes are [2, 2], this distance wants [classes, 84]",
        None,
    ),
    (
        dense.Distance(codes=((1, -1), (1, 1))),
        (MAP,),
        "distance takes [N, F], got [N, 64, 56, 56]: flatten or global_avgpool first",
        None,
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
    (
        shapes.Upsample(factor=(2, 2, 2)),
        (MAP,),
        "factor [2, 2, 2] has 3 numbers, the input has 2 spatial axes",
        "write 2, or one number for each axis",
    ),
    (
        shapes.Resize(),
        (MAP, shape(N, 64)),
        "resize takes tensors of as many axes, got [N, 64, 56, 56] and [N, 64]",
        None,
    ),
    (
        shapes.Crop(offset=0),
        (MAP, shape(N, 64, 7)),
        "crop takes tensors of as many axes, got [N, 64, 56, 56] and [N, 64, 7]",
        None,
    ),
    (
        shapes.Crop(offset=(1, 19)),
        (MAP, shape(N, 3, 50, 40)),
        "crop of 40 at offset 19 does not fit into the width 56",
        "it is 3 too much: use a smaller offset, or pad before",
    ),
    (
        shapes.Crop(offset=1),
        (ROUND, ROUND),
        "crop of 32*h at offset 1 does not fit into the height 32*h",
        "it is 1 too much: use a smaller offset, or pad before",
    ),
    (
        shapes.Crop(offset=0),
        (shape(N, 1, Dim(2, "h", 90), 4), shape(N, 1, Dim(4, "h"), 4)),
        "crop of 4*h at offset 0 does not fit into the height 2*h + 90 where h is large: 4*h grows faster",
        "crop the larger to the smaller",
    ),
    (
        shapes.Crop(offset=0),
        (shape(N, 1, H, 4), shape(N, 1, W, 4)),
        "crop of w at offset 0 and the height h hold two symbols: which is larger is open",
        "declare the inputs with one symbol",
    ),
    (
        shapes.Pad(size=((1, 1),)),
        (MAP,),
        "padding has 1 entries, the input has 2 spatial axes",
        None,
    ),
    (  # B043
        shapes.Channels(start=4, stop=9),
        (shape(N, 8, H, W),),
        "channels(4, 9) of 8 maps: they are 0 to 7",
        "0 <= start < stop <= 8; stop itself is left out",
    ),
    (
        shapes.Channels(start=4, stop=4),
        (shape(N, 8, H, W),),
        "channels(4, 4) of 8 maps: they are 0 to 7",
        "0 <= start < stop <= 8; stop itself is left out",
    ),
    (
        shapes.ChannelShuffle(groups=3),
        (MAP,),
        "groups=3 must divide the 64 maps coming in",
        None,
    ),
    (  # B058
        shapes.PixelShuffle(factor=2),
        (shape(N, 3, H, W),),
        "factor 2 wants a multiple of 4 maps, got 3",
        "every map of the result is made of factor * factor maps",
    ),
    (
        shapes.PixelShuffle(factor=2),
        (shape(N, 4, H),),
        "pixel_shuffle takes [N, C, H, W], got [N, 4, h]",
        None,
    ),
    (  # B056
        shapes.Reshape(size=(12500,)),
        (shape(N, 256, 7, 7),),
        "reshape to [12500] holds 12500 values an image, [N, 256, 7, 7] has 12544",
        None,
    ),
    (
        shapes.Reshape(size=(5, -1)),
        (shape(N, 256, 7, 7),),
        "reshape to [5, -1] holds multiples of 5 values an image, [N, 256, 7, 7] has 12544",
        None,
    ),
    (  # B057
        shapes.Reshape(size=(-1, 7, -1)),
        (shape(N, 256, 7, 7),),
        "2 sizes are -1, entries 1 and 3: one follows from the others",
        "write all sizes but one",
    ),
    (
        shapes.Reshape(size=(64, -1)),
        (ROUND,),
        "reshape needs a fixed size, and [N, 64, 32*h, 32*w] depends on h and w",
        "declare the input with numbers",
    ),
    (
        shapes.Permute(order=(0, 2, 3)),
        (MAP,),
        "order [0, 2, 3] must hold the axes 0 to 3 of [N, 64, 56, 56] once each, 0 first",
        "[0, 1, 2, 3] would leave all where they are",
    ),
    (
        shapes.Permute(order=(1, 0, 2, 3)),
        (MAP,),
        "order [1, 0, 2, 3] must hold the axes 0 to 3 of [N, 64, 56, 56] once each, 0 first",
        "[0, 1, 2, 3] would leave all where they are",
    ),
    (
        shapes.Permute(order=(0, 2, 3, 1)),
        (ROUND,),
        "order [0, 2, 3, 1] makes 32*h the channels, which must be a plain number",
        None,
    ),
]


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
