"""Convolutions; padding is always explicit."""

from __future__ import annotations

import numpy as np

from cnnspec.ops.conv import Conv, Depthwise, TransposedConv
from cnnspec.ops.given import sizes_of
from cnnspec.ops.window import per_axis
from cnnspec_onnx.lower.base import Place, lower, onnx_pads


@lower.register
def conv(op: Conv, at: Place) -> str:
    (x,) = at.types
    axes = x.rank - 2
    kernel = per_axis(op.kernel, axes, "kernel")
    return at.add(
        "Conv",
        at.xs[0],
        _weight(op, at, (op.filters, x.channels // op.groups, *kernel)),
        *([at.weight("bias")] if op.bias else []),
        kernel_shape=kernel,
        strides=per_axis(op.stride, axes, "stride"),
        pads=onnx_pads(op.pads(x)),
        dilations=per_axis(op.dilation, axes, "dilation"),
        group=op.groups,
    )


def _weight(op: Conv, at: Place, shape: tuple[int, ...]) -> str:
    if op.weights is not None:
        given = np.asarray(op.weights, np.float32)
        spread = given if len(sizes_of(op.weights)) == len(shape) else given[:, None]
        return at.buffer("weight", np.broadcast_to(spread, shape))
    if op.table is None:
        return at.weight("weight")
    pairs = [(number, source) for number, maps in enumerate(op.table) for source in maps]
    nothing = at.add("ConstantOfShape", at.whole("full", *shape))
    indices = at.add("Transpose", at.buffer("connections", list(zip(*pairs, strict=True)), np.int64), perm=[1, 0])
    return at.add("ScatterND", nothing, indices, at.weight("weight"))


@lower.register
def depthwise(op: Depthwise, at: Place) -> str:
    return conv(op.as_conv(at.types[0]), at)


@lower.register
def transposed_conv(op: TransposedConv, at: Place) -> str:
    """A cut below zero adds values at the end: as output_padding below the stride, else by a kernel of more zeros."""
    axes = at.types[0].rank - 2
    kernel, dilation = per_axis(op.kernel, axes, "kernel"), per_axis(op.dilation, axes, "dilation")
    stride = per_axis(op.stride, axes, "stride")
    weight, cuts = at.weight("weight"), op.cuts(at.types[0])
    longer = [-(after // d) if -after >= s else 0 for (_, after), d, s in zip(cuts, dilation, stride, strict=True)]
    if any(longer):
        weight = at.add("Pad", weight, at.whole("longer", *(0,) * (axes + 2), 0, 0, *longer))
        kernel = tuple(k + more for k, more in zip(kernel, longer, strict=True))
        cuts = tuple((b, a + d * more) for (b, a), d, more in zip(cuts, dilation, longer, strict=True))
    return at.add(
        "ConvTranspose",
        at.xs[0],
        weight,
        *([at.weight("bias")] if op.bias else []),
        kernel_shape=kernel,
        strides=stride,
        pads=onnx_pads(tuple((before, max(after, 0)) for before, after in cuts)),
        output_padding=[max(-after, 0) for _, after in cuts],
        dilations=dilation,
        group=op.groups,
    )
