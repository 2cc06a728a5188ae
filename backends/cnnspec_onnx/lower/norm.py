"""Normalization in evaluation: running statistics and given numbers."""

from __future__ import annotations

import numpy as np

from cnnspec.ops.norm import BatchNorm, ChannelAffine, GroupNorm, LayerNorm, Lrn, Normalize
from cnnspec_onnx.lower.base import Place, lower


@lower.register
def batchnorm(op: BatchNorm, at: Place) -> str:
    tensors = [at.weight(name) for name in ("weight", "bias", "running_mean", "running_var")]
    return at.add("BatchNormalization", at.xs[0], *tensors, epsilon=op.eps)


@lower.register
def lrn(op: Lrn, at: Place) -> str:
    """Runtimes want four axes."""
    fields = {"size": op.size, "alpha": op.alpha, "beta": op.beta, "bias": op.k}
    if at.y.rank == 4:
        return at.add("LRN", at.xs[0], **fields)
    flat = at.add("Reshape", at.xs[0], at.whole("flat", 0, at.y.channels, -1, 1))
    return at.shaped(at.add("LRN", flat, **fields), at.y.channels)


@lower.register
def groupnorm(op: GroupNorm, at: Place) -> str:
    """By instance normalization of the groups: before opset 21 ONNX scaled groups, not channels."""
    flat = at.add("Reshape", at.xs[0], at.whole("groups", 0, op.groups, -1))
    ones, zeros = at.constant("ones", np.ones(op.groups)), at.constant("zeros", np.zeros(op.groups))
    normal = at.shaped(at.add("InstanceNormalization", flat, ones, zeros, epsilon=op.eps), at.y.channels)
    return at.add("Add", at.add("Mul", normal, at.along(at.weight("weight"))), at.along(at.weight("bias")))


@lower.register
def layernorm(op: LayerNorm, at: Place) -> str:
    tensors = at.weight("weight"), at.weight("bias")
    if at.y.rank == 2:
        return at.add("LayerNormalization", at.xs[0], *tensors, axis=-1, epsilon=op.eps)
    last = [0, *range(2, at.y.rank), 1]
    moved = at.add("Transpose", at.xs[0], perm=last)
    normal = at.add("LayerNormalization", moved, *tensors, axis=-1, epsilon=op.eps)
    return at.add("Transpose", normal, perm=[0, at.y.rank - 1, *range(1, at.y.rank - 1)])


@lower.register
def channel_affine(op: ChannelAffine, at: Place) -> str:
    scaled = at.add("Mul", at.xs[0], at.along(at.weight("weight")))
    return at.add("Add", scaled, at.along(at.weight("bias"))) if op.bias else scaled


@lower.register
def normalize(op: Normalize, at: Place) -> str:
    channels = at.y.channels
    mean, std = (at.buffer(name, np.broadcast_to(getattr(op, name), channels)) for name in ("mean", "std"))
    return at.add("Div", at.add("Sub", at.xs[0], at.along(mean)), at.along(std))
