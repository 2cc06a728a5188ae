"""The table: at least one row per operator. Each test file runs one property over all of it."""

from __future__ import annotations

from dataclasses import dataclass

from cnnspec.ops import activation, conv, dense, merge, norm, pool
from cnnspec.ops import shape as shapes
from cnnspec.ops.base import AbstractOp
from cnnspec.tensor import Size, TensorType


def shape(*sizes: Size) -> TensorType:
    return TensorType(sizes)


@dataclass(frozen=True)
class Sample:
    id: str
    op: AbstractOp
    inputs: tuple[TensorType, ...]

    @property
    def output(self) -> TensorType:
        return self.op.infer(*self.inputs)


LINE, SQUARE, CUBE = shape(2, 4, 13), shape(2, 4, 9, 11), shape(2, 4, 6, 7, 8)
VECTOR = shape(2, 12)
LINES = (((1,), (1,), (1,)), ((-1,), (0,), (1.5,)))
FULL = ((((1, 2),), ((3, 4),)), (((5, 6),), ((7, 8),)))


def row(name: str, op: AbstractOp, *inputs: TensorType) -> Sample:
    return Sample(name, op, inputs)


SAMPLES: tuple[Sample, ...] = (
    row("conv", conv.Conv(filters=6, kernel=3), SQUARE),
    row("conv-1d", conv.Conv(filters=6, kernel=3, stride=2), LINE),
    row("conv-3d", conv.Conv(filters=6, kernel=(3, 1, 3), stride=(1, 2, 2)), CUBE),
    row("conv-valid", conv.Conv(filters=6, kernel=(4, 3), padding="valid", bias=False), SQUARE),
    row("conv-same", conv.Conv(filters=6, kernel=3, stride=2, padding="same"), SQUARE),
    row("conv-same-even", conv.Conv(filters=6, kernel=2, padding="same"), SQUARE),
    row("conv-same-1d", conv.Conv(filters=6, kernel=4, padding="same"), LINE),
    row("conv-same-3d", conv.Conv(filters=6, kernel=4, stride=2, padding="same", bias=False), CUBE),
    row("conv-same-dilated", conv.Conv(filters=6, kernel=2, dilation=3, stride=2, padding="same"), SQUARE),
    row("conv-number", conv.Conv(filters=6, kernel=3, padding=2), SQUARE),
    row("conv-per-axis", conv.Conv(filters=6, kernel=(1, 3), padding=(0, 1)), SQUARE),
    row("conv-per-side", conv.Conv(filters=6, kernel=3, padding=((0, 1), (2, 1))), SQUARE),
    row("conv-dilated", conv.Conv(filters=6, kernel=3, dilation=(2, 1)), SQUARE),
    row("conv-groups", conv.Conv(filters=6, kernel=3, groups=2), SQUARE),
    row("conv-he", conv.Conv(filters=6, kernel=3, groups=2, init="he"), SQUARE),
    row("conv-constant", conv.Conv(filters=2, kernel=3, init=0.5), LINE),
    row("conv-given", conv.Conv(filters=2, kernel=(3, 1), weights=LINES, bias=False), SQUARE),
    row("conv-given-1d", conv.Conv(filters=1, kernel=3, weights=((1, -2, 1),), bias=False), LINE),
    row(
        "conv-given-full",
        conv.Conv(filters=2, kernel=(1, 2), groups=2, weights=FULL, bias=False, padding="same"),
        SQUARE,
    ),
    row("conv-table", conv.Conv(filters=3, kernel=3, table=((0, 1), (3,), (1, 2, 3))), SQUARE),
    row(
        "conv-table-3d",
        conv.Conv(filters=2, kernel=3, stride=2, padding=1, table=((0, 3), (2,)), bias=False, init="glorot"),
        CUBE,
    ),
    row("depthwise", conv.Depthwise(kernel=3), SQUARE),
    row("depthwise-1d", conv.Depthwise(kernel=4, stride=2, multiplier=3, padding="same", bias=False), LINE),
    row("depthwise-2d", conv.Depthwise(kernel=(3, 5), multiplier=2, dilation=(2, 1)), SQUARE),
    row("depthwise-3d", conv.Depthwise(kernel=2, stride=(1, 2, 2), padding="valid"), CUBE),
    row("transposed_conv", conv.TransposedConv(filters=6, kernel=3, stride=2), SQUARE),
    row("transposed_conv-same", conv.TransposedConv(filters=6, kernel=4, stride=2, padding="same"), SQUARE),
    row("transposed_conv-same-odd", conv.TransposedConv(filters=6, kernel=(3, 1), stride=2, padding="same"), SQUARE),
    row("transposed_conv-1d", conv.TransposedConv(filters=3, kernel=3, stride=3, bias=False), LINE),
    row("transposed_conv-3d", conv.TransposedConv(filters=2, kernel=(1, 2, 3), stride=2, padding="same"), CUBE),
    row("transposed_conv-number", conv.TransposedConv(filters=6, kernel=3, stride=2, padding=1), SQUARE),
    row(
        "transposed_conv-longer",
        conv.TransposedConv(filters=6, kernel=3, stride=2, padding=1, output_padding=(1, 0)),
        SQUARE,
    ),
    row(
        "transposed_conv-per-side",
        conv.TransposedConv(filters=6, kernel=3, stride=2, padding=((2, 0), (0, 1)), output_padding=1),
        SQUARE,
    ),
    row("transposed_conv-dilated", conv.TransposedConv(filters=6, kernel=3, dilation=(2, 3)), SQUARE),
    row(
        "transposed_conv-dilated-longer",
        conv.TransposedConv(filters=2, kernel=2, stride=2, dilation=3, padding=1, output_padding=2),
        SQUARE,
    ),
    row("transposed_conv-dilated-apart", conv.TransposedConv(filters=2, kernel=5, stride=(4, 3), dilation=2), SQUARE),
    row("transposed_conv-to-one", conv.TransposedConv(filters=2, kernel=3, padding=1), shape(2, 4, 1)),
    row(
        "transposed_conv-far",
        conv.TransposedConv(filters=3, kernel=(1, 2), dilation=(4, 3), output_padding=(3, 2)),
        SQUARE,
    ),
    row("transposed_conv-bilinear", conv.TransposedConv(filters=4, kernel=4, stride=2, init="bilinear"), SQUARE),
    row("transposed_conv-groups", conv.TransposedConv(filters=6, kernel=2, stride=2, groups=2), SQUARE),
    row("conv-depthwise", conv.Conv(filters=8, kernel=3, groups=4, bias=False), SQUARE),
    row("maxpool", pool.MaxPool(kernel=2), SQUARE),
    row("maxpool-1d", pool.MaxPool(kernel=3, stride=2, padding=1), LINE),
    row("maxpool-3d", pool.MaxPool(kernel=2, ceil=True), CUBE),
    row("maxpool-overlapping", pool.MaxPool(kernel=3, stride=2, padding="half"), SQUARE),
    row("maxpool-ceil", pool.MaxPool(kernel=3, stride=3, padding=1, ceil=True), SQUARE),
    row("maxpool-same", pool.MaxPool(kernel=2, stride=2, padding="same"), SQUARE),
    row("maxpool-per-side", pool.MaxPool(kernel=3, stride=2, padding=((1, 0), (0, 1)), ceil=True), SQUARE),
    row("avgpool", pool.AvgPool(kernel=(2, 3)), SQUARE),
    row("avgpool-1d", pool.AvgPool(kernel=3, stride=2, padding="same"), LINE),
    row("avgpool-3d", pool.AvgPool(kernel=2, stride=2, padding=1), CUBE),
    row("avgpool-3d-narrow", pool.AvgPool(kernel=3, stride=1, padding="half"), shape(2, 4, 1, 2, 5)),
    row("avgpool-3d-narrow-ceil", pool.AvgPool(kernel=3, stride=2, ceil=True), shape(2, 4, 2, 5, 6)),
    row("avgpool-ceil", pool.AvgPool(kernel=3, stride=2, padding=1, ceil=True), SQUARE),
    row("avgpool-same", pool.AvgPool(kernel=2, stride=2, padding="same"), SQUARE),
    row("avgpool-per-side", pool.AvgPool(kernel=3, stride=2, padding=((1, 0), (0, 1))), SQUARE),
    row("global_avgpool", pool.GlobalAvgPool(), SQUARE),
    row("global_avgpool-keepdims", pool.GlobalAvgPool(keepdims=True), CUBE),
    row("global_maxpool", pool.GlobalMaxPool(), LINE),
    row("global_maxpool-keepdims", pool.GlobalMaxPool(keepdims=True), SQUARE),
    row("channel_maxpool", pool.ChannelMaxPool(kernel=3), shape(2, 7, 9, 11)),
    row("channel_maxpool-overlapping", pool.ChannelMaxPool(kernel=2, stride=1), LINE),
    row("channel_maxpool-vector", pool.ChannelMaxPool(kernel=3, stride=2), VECTOR),
    row("channel_avgpool", pool.ChannelAvgPool(kernel=2), SQUARE),
    row("channel_avgpool-3d", pool.ChannelAvgPool(kernel=4), CUBE),
    row("adaptive_avgpool", pool.AdaptiveAvgPool(size=4), SQUARE),
    row("adaptive_avgpool-1d", pool.AdaptiveAvgPool(size=5), LINE),
    row("adaptive_avgpool-3d", pool.AdaptiveAvgPool(size=(2, 9, 1)), CUBE),
    row("batchnorm", norm.BatchNorm(), SQUARE),
    row("batchnorm-vector", norm.BatchNorm(eps=1e-3), VECTOR),
    row("batchnorm-1d", norm.BatchNorm(momentum=0.01), LINE),
    row("batchnorm-3d", norm.BatchNorm(), CUBE),
    row("lrn", norm.Lrn(), SQUARE),
    row("lrn-1d", norm.Lrn(size=3, alpha=2e-5, beta=0.5, k=2.0), LINE),
    row("lrn-3d", norm.Lrn(), CUBE),
    row("groupnorm", norm.GroupNorm(groups=2), SQUARE),
    row("groupnorm-vector", norm.GroupNorm(groups=3, eps=1e-3), VECTOR),
    row("groupnorm-1d", norm.GroupNorm(groups=1), LINE),
    row("groupnorm-3d", norm.GroupNorm(groups=4), CUBE),
    row("layernorm", norm.LayerNorm(eps=1e-6), SQUARE),
    row("layernorm-vector", norm.LayerNorm(), VECTOR),
    row("layernorm-1d", norm.LayerNorm(), LINE),
    row("layernorm-3d", norm.LayerNorm(), CUBE),
    row("channel_affine", norm.ChannelAffine(), SQUARE),
    row("channel_affine-scale", norm.ChannelAffine(bias=False, start=1e-6), VECTOR),
    row("channel_affine-3d", norm.ChannelAffine(), CUBE),
    row("normalize", norm.Normalize(mean=(0.5, 0.25, 0, 1), std=(0.1, 0.2, 1, 2)), SQUARE),
    row("normalize-one", norm.Normalize(mean=0.5, std=0.25), LINE),
    row("dense", dense.Dense(features=5), VECTOR),
    row("dense-bare", dense.Dense(features=5, bias=False), VECTOR),
    row("dense-lecun", dense.Dense(features=5, init="lecun"), VECTOR),
    row("stochastic_depth", dense.StochasticDepth(rate=0.5), SQUARE),
    row("stochastic_depth-vector", dense.StochasticDepth(rate=0), VECTOR),
    row("distance", dense.Distance(codes=((1, -1) * 6, (0,) * 12, (0.5,) * 12)), VECTOR),
    row("flatten", dense.Flatten(), SQUARE),
    row("flatten-vector", dense.Flatten(), VECTOR),
    row("dropout", dense.Dropout(), VECTOR),
    row("dropout-maps", dense.Dropout(rate=0.0), SQUARE),
    row("relu", activation.Relu(), SQUARE),
    row("relu6", activation.Relu6(), SQUARE),
    row("leaky_relu", activation.LeakyRelu(), SQUARE),
    row("leaky_relu-slope", activation.LeakyRelu(slope=0.1), CUBE),
    row("prelu", activation.Prelu(), SQUARE),
    row("prelu-vector", activation.Prelu(), VECTOR),
    row("prelu-shared", activation.Prelu(shared=True), LINE),
    row("elu", activation.Elu(), SQUARE),
    row("elu-alpha", activation.Elu(alpha=0.5), VECTOR),
    row("selu", activation.Selu(), SQUARE),
    row("gelu", activation.Gelu(), SQUARE),
    row("gelu-approximate", activation.Gelu(approximate=True), VECTOR),
    row("silu", activation.Silu(), SQUARE),
    row("mish", activation.Mish(), SQUARE),
    row("hard_swish", activation.HardSwish(), SQUARE),
    row("hard_sigmoid", activation.HardSigmoid(), VECTOR),
    row("scaled_tanh", activation.ScaledTanh(), SQUARE),
    row("tanh", activation.Tanh(), VECTOR),
    row("sigmoid", activation.Sigmoid(), LINE),
    row("softmax", activation.Softmax(), VECTOR),
    row("softmax-maps", activation.Softmax(), SQUARE),
    row("identity", activation.Identity(), SQUARE),
    row("add", merge.Add(), SQUARE, SQUARE),
    row("add-three", merge.Add(), VECTOR, VECTOR, VECTOR),
    row("maximum", merge.Maximum(), SQUARE, SQUARE),
    row("maximum-three", merge.Maximum(), VECTOR, VECTOR, VECTOR),
    row("multiply", merge.Multiply(), SQUARE, SQUARE),
    row("multiply-three", merge.Multiply(), LINE, LINE, LINE),
    row("concat", merge.Concat(), SQUARE, shape(2, 7, 9, 11), shape(2, 1, 9, 11)),
    row("concat-vectors", merge.Concat(), VECTOR, shape(2, 3)),
    row("scale", merge.Scale(), SQUARE, shape(2, 4)),
    row("scale-keepdims", merge.Scale(), SQUARE, shape(2, 4, 1, 1)),
    row("scale-1d", merge.Scale(), LINE, shape(2, 4, 1)),
    row("scale-vector", merge.Scale(), VECTOR, VECTOR),
    row("upsample", shapes.Upsample(factor=2), SQUARE),
    row("upsample-bilinear", shapes.Upsample(factor=(2, 3), mode="bilinear"), SQUARE),
    row("upsample-1d", shapes.Upsample(factor=3, mode="bilinear"), LINE),
    row("upsample-3d", shapes.Upsample(factor=(1, 2, 3), mode="bilinear"), CUBE),
    row("upsample-3d-nearest", shapes.Upsample(factor=2), CUBE),
    row("upsample-one", shapes.Upsample(factor=1), SQUARE),
    row("resize", shapes.Resize(), SQUARE, shape(2, 3, 20, 5)),
    row("resize-bilinear", shapes.Resize(mode="bilinear"), SQUARE, shape(2, 3, 20, 5)),
    row("resize-1d", shapes.Resize(mode="bilinear"), LINE, shape(2, 1, 7)),
    row("resize-3d", shapes.Resize(), CUBE, shape(2, 1, 12, 7, 3)),
    row("crop", shapes.Crop(offset=2), SQUARE, shape(2, 3, 5, 9)),
    row("crop-per-axis", shapes.Crop(offset=(4, 0)), SQUARE, shape(2, 4, 5, 9)),
    row("crop-1d", shapes.Crop(offset=0), LINE, shape(2, 1, 7)),
    row("crop-3d", shapes.Crop(offset=1), CUBE, shape(2, 1, 5, 1, 2)),
    row("pad", shapes.Pad(size=2), SQUARE),
    row("pad-value", shapes.Pad(size=((0, 1), (2, 0)), value=-1.5), SQUARE),
    row("pad-1d", shapes.Pad(size=0), LINE),
    row("pad-3d", shapes.Pad(size=(0, 1, 2)), CUBE),
    row("channels", shapes.Channels(start=1, stop=3), SQUARE),
    row("channels-vector", shapes.Channels(start=0, stop=12), VECTOR),
    row("channel_shuffle", shapes.ChannelShuffle(groups=2), SQUARE),
    row("channel_shuffle-one", shapes.ChannelShuffle(groups=1), LINE),
    row("channel_shuffle-3d", shapes.ChannelShuffle(groups=4), CUBE),
    row("channel_shuffle-vector", shapes.ChannelShuffle(groups=3), VECTOR),
    row("pixel_shuffle", shapes.PixelShuffle(factor=2), SQUARE),
    row("pixel_shuffle-one", shapes.PixelShuffle(factor=1), SQUARE),
    row("reshape", shapes.Reshape(size=(2, -1, 11)), SQUARE),
    row("reshape-vector", shapes.Reshape(size=(3, 2, 2)), VECTOR),
    row("permute", shapes.Permute(order=(0, 2, 3, 1)), SQUARE),
    row("permute-1d", shapes.Permute(order=(0, 2, 1)), LINE),
)
IDS = [sample.id for sample in SAMPLES]

RESIDUAL = """
cnnspec: 1
name: residual
input: {image: [N, 3, 8*h, 8*w]}
blocks:
  conv_bn(filters, kernel, stride=1): x -> conv(filters, kernel, stride, bias=false) -> batchnorm
  unit(filters, stride=1):
    main: x -> conv_bn(filters, 3, stride) -> relu -> conv_bn(filters, 3)
    skip: x if x.shape == main.shape else x -> conv_bn(filters, 1, stride)
    out:  add(main, skip) -> relu
net:
  stem: image -> conv(4, 3, 2, padding=same) -> relu6
  c1: stem -> unit(8, 2) -> unit(8)
  logits: c1 -> maxpool(2) -> global_avgpool -> dropout(0.1) -> dense(5)
outputs: [logits]
"""
"""A small network with every kind of node that runs in place."""

AUXILIARY = RESIDUAL.replace(
    "outputs: [logits]",
    """\
  aux: stem -> avgpool(3, 2, padding=same) -> conv(2, 1) -> relu -> global_avgpool -> dense(5)
outputs: {logits: {}, aux: {when: train}}
""",
)
"""The same with an output of training only, as GoogLeNet has them."""
