"""Sizes changed and values moved."""

from __future__ import annotations

from typing import Any

from cnnspec.ops.shape import (
    Channels,
    ChannelShuffle,
    Crop,
    Pad,
    Permute,
    PixelShuffle,
    Reshape,
    Resize,
    Upsample,
)
from cnnspec.ops.window import per_axis
from cnnspec_onnx.lower.base import Place, lower

# Torch's nearest takes the value below; its linear aligns the centres of the first and last pixels' areas.
MODES: dict[str, dict[str, Any]] = {
    "nearest": {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
    "bilinear": {"mode": "linear", "coordinate_transformation_mode": "half_pixel"},
}


@lower.register
def upsample(op: Upsample, at: Place) -> str:
    factors = per_axis(op.factor, at.y.rank - 2, "factor")
    return at.add("Resize", at.xs[0], "", at.constant("factors", (1, 1, *factors)), **MODES[op.mode])


@lower.register
def resize(op: Resize, at: Place) -> str:
    axes = list(range(2, at.y.rank))
    return at.add("Resize", at.xs[0], "", "", at.sizes(1), axes=axes, **MODES[op.mode])


@lower.register
def crop(op: Crop, at: Place) -> str:
    spatial = at.types[1].spatial
    offsets = per_axis(op.offset, len(spatial), "offset")
    starts, axes = at.whole("starts", *offsets), at.whole("axes", *range(2, at.y.rank))
    fixed = [size + offset for size, offset in zip(spatial, offsets, strict=True) if isinstance(size, int)]
    stops = at.whole("stops", *fixed) if len(fixed) == len(spatial) else at.add("Add", at.sizes(1), starts)
    return at.add("Slice", at.xs[0], starts, stops, axes)


@lower.register
def pad(op: Pad, at: Place) -> str:
    before, after = zip(*op.pads(at.types[0]), strict=True)
    return at.add("Pad", at.xs[0], at.whole("pads", 0, 0, *before, 0, 0, *after), at.constant("value", op.value))


@lower.register
def channels(op: Channels, at: Place) -> str:
    starts, stops = at.whole("start", op.start), at.whole("stop", op.stop)
    return at.add("Slice", at.xs[0], starts, stops, at.whole("axis", 1))


@lower.register
def channel_shuffle(op: ChannelShuffle, at: Place) -> str:
    apart = at.add("Reshape", at.xs[0], at.whole("apart", 0, op.groups, at.y.channels // op.groups, -1))
    return at.shaped(at.add("Transpose", apart, perm=[0, 2, 1, 3]), at.y.channels)


@lower.register
def pixel_shuffle(op: PixelShuffle, at: Place) -> str:
    return at.add("DepthToSpace", at.xs[0], blocksize=op.factor, mode="CRD")


@lower.register
def reshape(op: Reshape, at: Place) -> str:
    return at.add("Reshape", at.xs[0], at.whole("sizes", 0, *op.size))


@lower.register
def permute(op: Permute, at: Place) -> str:
    return at.add("Transpose", at.xs[0], perm=op.order)
