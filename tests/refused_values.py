"""What operators refuse: operator, inputs, message and help, word for word."""

from __future__ import annotations

from cnnspec.ops import dense, merge, norm
from cnnspec.ops import shape as shapes
from cnnspec.ops.base import AbstractOp
from cnnspec.tensor import Dim, TensorType
from samples import shape

N, H, W = Dim(1, "N"), Dim(1, "h"), Dim(1, "w")
MAP = shape(N, 64, 56, 56)
ROUND = shape(N, 64, Dim(32, "h"), Dim(32, "w"))

CASES: list[tuple[AbstractOp, tuple[TensorType, ...], str, str | None]] = [
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
