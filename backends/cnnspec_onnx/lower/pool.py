"""Pools. A window that sticks out at the end is written as padding: runtimes read ceil_mode differently."""

from __future__ import annotations

from math import ceil
from string import ascii_letters

import numpy as np

from cnnspec.ops.base import Sides
from cnnspec.ops.pool import (
    AbstractPool,
    AdaptiveAvgPool,
    AvgPool,
    ChannelAvgPool,
    ChannelMaxPool,
    GlobalAvgPool,
    GlobalMaxPool,
    MaxPool,
)
from cnnspec.ops.window import per_axis
from cnnspec_onnx.lower.base import Place, lower, onnx_pads


@lower.register
def maxpool(op: MaxPool, at: Place) -> str:
    kernel, stride = op.geometry(at.y.rank - 2)
    return at.add("MaxPool", at.xs[0], kernel_shape=kernel, strides=stride, pads=onnx_pads(_reach(op, at)))


@lower.register
def avgpool(op: AvgPool, at: Place) -> str:
    """What counts in the mean is in the map by then; what only makes the last window whole is padding and does not."""
    kernel, stride = op.geometry(at.y.rank - 2)
    x, reach = at.xs[0], _reach(op, at)
    counted = op.pads(at.types[0])
    if op.padding == "same" or reach == counted:
        inside = int(op.padding != "same" and any(map(any, counted)))
        pads = onnx_pads(reach)
        return at.add("AveragePool", x, kernel_shape=kernel, strides=stride, pads=pads, count_include_pad=inside)
    if any(map(any, counted)):
        x = at.add("Pad", x, at.whole("pads", 0, 0, *(b for b, _ in counted), 0, 0, *(a for _, a in counted)))
    rest = tuple((0, max(after - done, 0)) for (_, after), (_, done) in zip(reach, counted, strict=True))
    return at.add("AveragePool", x, kernel_shape=kernel, strides=stride, pads=onnx_pads(rest))


def _reach(op: AbstractPool, at: Place) -> Sides:
    """Pads that end where the last window ends, or later where the spec pads more."""
    (x,) = at.types
    kernel, stride = op.geometry(x.rank - 2)
    reach = []
    for n, count, k, s, (before, after) in zip(x.spatial, at.y.spatial, kernel, stride, op.pads(x), strict=True):
        needed = (count - 1) * s + k - before - n
        assert isinstance(needed, int)  # strides divide the factors of symbols
        reach.append((before, max(needed, after) if op.ceil else after))
    return tuple(reach)


@lower.register
def channel_maxpool(op: ChannelMaxPool, at: Place) -> str:
    return _over_channels("MaxPool", op, at)


@lower.register
def channel_avgpool(op: ChannelAvgPool, at: Place) -> str:
    return _over_channels("AveragePool", op, at)


def _over_channels(kind: str, op: ChannelMaxPool | ChannelAvgPool, at: Place) -> str:
    """A pool over the rows of one map: [N, 1, C, positions]."""
    one = at.add("Reshape", at.xs[0], at.whole("one", 0, 1, at.types[0].channels, -1))
    pooled = at.add(kind, one, kernel_shape=[op.kernel, 1], strides=[op.stride or op.kernel, 1])
    return at.shaped(pooled, at.y.channels)


@lower.register
def adaptive_avgpool(op: AdaptiveAvgPool, at: Place) -> str:
    (x,) = at.types
    sizes = per_axis(op.size, x.rank - 2, "size")
    if set(sizes) == {1}:
        return at.add("GlobalAveragePool", at.xs[0])
    known = [(n, size) for n, size in zip(x.spatial, sizes, strict=True) if isinstance(n, int)]
    if len(known) == len(sizes) and all(n % size == 0 for n, size in known):
        windows = [n // size for n, size in known]
        return at.add("AveragePool", at.xs[0], kernel_shape=windows, strides=windows)
    return _by_matrices(at, sizes)


def _by_matrices(at: Place, sizes: tuple[int, ...]) -> str:
    """A mean along each axis in turn, as a product with a matrix of shares; an axis brought to 1 may be symbolic."""
    value, (x,) = at.xs[0], at.types
    axes = ascii_letters[: x.rank]
    for axis, (n, size) in enumerate(zip(x.spatial, sizes, strict=True), start=2):
        if isinstance(n, int):
            new = axes.replace(axes[axis], "z")
            shares = at.constant(f"shares_{axis - 1}", _shares(n, size))
            value = at.add("Einsum", value, shares, equation=f"{axes},{axes[axis]}z->{new}")
        else:
            value = at.add("ReduceMean", value, at.whole(f"axis_{axis - 1}", axis))
    return value


def _shares(n: int, size: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """[n, size]: what each value gives to each mean."""
    shares = np.zeros((n, size), np.float32)
    for i in range(size):
        start, stop = i * n // size, ceil((i + 1) * n / size)
        shares[start:stop, i] = 1 / (stop - start)
    return shares


@lower.register
def global_avgpool(op: GlobalAvgPool, at: Place) -> str:
    pooled = at.add("GlobalAveragePool", at.xs[0])
    return pooled if op.keepdims else at.add("Flatten", pooled)


@lower.register
def global_maxpool(op: GlobalMaxPool, at: Place) -> str:
    pooled = at.add("GlobalMaxPool", at.xs[0])
    return pooled if op.keepdims else at.add("Flatten", pooled)
