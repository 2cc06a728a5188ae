"""The closed list of operators. Names in a spec map through it and through nothing else."""

from __future__ import annotations

from types import MappingProxyType

from cnnspec.ops.activation import (
    Elu,
    Gelu,
    HardSigmoid,
    HardSwish,
    Identity,
    LeakyRelu,
    Mish,
    Prelu,
    Relu,
    Relu6,
    ScaledTanh,
    Selu,
    Sigmoid,
    Silu,
    Softmax,
    Tanh,
)
from cnnspec.ops.base import AbstractOp
from cnnspec.ops.conv import Conv, Depthwise, TransposedConv
from cnnspec.ops.dense import Dense, Distance, Dropout, Flatten, StochasticDepth
from cnnspec.ops.merge import Add, Concat, Maximum, Multiply, Scale
from cnnspec.ops.norm import BatchNorm, ChannelAffine, GroupNorm, LayerNorm, Lrn, Normalize
from cnnspec.ops.pool import (
    AdaptiveAvgPool,
    AvgPool,
    ChannelAvgPool,
    ChannelMaxPool,
    GlobalAvgPool,
    GlobalMaxPool,
    MaxPool,
)
from cnnspec.ops.shape import Channels, ChannelShuffle, Crop, Pad, Permute, PixelShuffle, Reshape, Resize, Upsample

OPS: tuple[type[AbstractOp], ...] = (
    Conv,
    Depthwise,
    TransposedConv,
    MaxPool,
    AvgPool,
    ChannelMaxPool,
    ChannelAvgPool,
    AdaptiveAvgPool,
    GlobalAvgPool,
    GlobalMaxPool,
    BatchNorm,
    GroupNorm,
    LayerNorm,
    Lrn,
    ChannelAffine,
    Normalize,
    Dense,
    Flatten,
    Dropout,
    StochasticDepth,
    Distance,
    Relu,
    Relu6,
    LeakyRelu,
    Prelu,
    Elu,
    Selu,
    Gelu,
    Silu,
    Mish,
    HardSwish,
    HardSigmoid,
    ScaledTanh,
    Tanh,
    Sigmoid,
    Softmax,
    Identity,
    Add,
    Maximum,
    Multiply,
    Concat,
    Scale,
    Upsample,
    Resize,
    Crop,
    Pad,
    Channels,
    ChannelShuffle,
    PixelShuffle,
    Reshape,
    Permute,
)
BY_NAME = MappingProxyType({op.op: op for op in OPS})
