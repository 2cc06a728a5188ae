"""What operators refuse: operator, inputs, message and help, word for word."""

from __future__ import annotations

from cnnspec.ops import conv, dense, norm, pool
from cnnspec.ops.base import AbstractOp
from cnnspec.tensor import Dim, TensorType
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
        conv.Conv(filters=2, kernel=1, table=((0, 1), (3, 64))),
        (MAP,),
        "filter 1 of the table sees map 64: the 64 maps are 0 to 63",
        None,
    ),
    (
        conv.Conv(filters=2, kernel=1, table=((5, 0, 1, 0), (5,))),
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
        conv.TransposedConv(filters=9, kernel=3, stride=2, padding="same", output_padding=(0, 1)),
        (MAP,),
        "output_padding is for padding in numbers: same has its size already",
        "leave it out",
    ),
    (
        conv.TransposedConv(filters=9, kernel=3, groups=2),
        (MAP,),
        "groups=2 must divide the 64 maps coming in and the 9 filters",
        None,
    ),
    (
        conv.TransposedConv(filters=9, kernel=3, groups=3),
        (MAP,),
        "groups=3 must divide the 64 maps coming in and the 9 filters",
        None,
    ),
    (
        conv.Conv(filters=9, kernel=3, groups=3),
        (MAP,),
        "groups=3 must divide the 64 maps coming in and the 9 filters",
        None,
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
        norm.GroupNorm(groups=3),
        (shape(N, 128),),
        "groups=3 must divide the 128 maps coming in",
        "128 maps make 1, 2, 4, 8, 16, 32 or 64 groups",
    ),
    (
        norm.GroupNorm(groups=2),
        (shape(N, 65),),
        "groups=2 must divide the 65 maps coming in",
        "65 maps make 1, 5 or 13 groups",
    ),
    (
        norm.GroupNorm(groups=2),
        (shape(N, 1),),
        "groups=2 must divide the 1 maps coming in",
        "1 maps make 1 groups",
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
]
