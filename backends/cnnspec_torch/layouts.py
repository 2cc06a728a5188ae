"""Layouts of maps: which values lie channels last, apart from torch's usual layout (NCHW)."""

from __future__ import annotations

from collections.abc import Collection
from math import prod

from cnnspec.graph import Node
from cnnspec.liveness import Flow
from cnnspec.ops import activation, conv, merge, norm, pool, shape
from cnnspec.ops import dense as dense_ops
from cnnspec.tensor import TensorType
from cnnspec_torch.onednn import taken

CONVOLUTIONS = (conv.Conv, conv.Depthwise, conv.TransposedConv)
BY_VALUE = (
    *(activation.Relu, activation.Relu6, activation.LeakyRelu, activation.Prelu, activation.Elu, activation.Selu),
    *(activation.Gelu, activation.Silu, activation.Mish, activation.HardSwish, activation.HardSigmoid),
    *(activation.Sigmoid, activation.Tanh, activation.ScaledTanh, merge.Add, merge.Maximum, merge.Multiply),
)
KEEP = (
    *(*CONVOLUTIONS, *BY_VALUE, pool.MaxPool, pool.AvgPool, pool.AdaptiveAvgPool, norm.BatchNorm, norm.GroupNorm),
    *(norm.Lrn, norm.LayerNorm, norm.ChannelAffine, norm.Normalize, dense_ops.Dropout, dense_ops.StochasticDepth),
    *(activation.Identity, merge.Concat, merge.Scale, shape.Upsample, shape.Resize, shape.Pad),
)
"""Operators whose result lies as their operands do; what any other makes lies as usual."""
RESAMPLED = (merge.Concat, shape.Upsample, shape.Resize, shape.Pad)
USUAL = {3: (norm.BatchNorm, norm.GroupNorm, *RESAMPLED), 5: (pool.AvgPool, pool.AdaptiveAvgPool)}
"""Those of KEEP that lay lines (one spatial axis) and volumes as usual."""


def last_of(run: Flow, inputs: bool) -> frozenset[str]:
    """The values that lie channels last, apart from the usual layout: behind a layer norm, with `inputs` behind those
    of two spatial axes."""
    found: set[str] = set()
    for path, node in run.graph.nodes.items():
        rank = run.types[path].rank
        if isinstance(node.op, norm.LayerNorm):
            last = rank > 2
        elif isinstance(node.op, KEEP):
            last = rank > 2 and not isinstance(node.op, USUAL.get(rank, ())) and _follows(run, node, found)
        else:
            last = inputs and rank == 4 and path in run.graph.inputs
        if last:
            found.add(path)
    return frozenset(found)


def _follows(run: Flow, node: Node, found: Collection[str]) -> bool:
    """Whether a result lies channels last by its operand: that written over, or the first; all of concat.

    Of one map, or single values, both layouts are one: what goes value by value lays it as usual, the others as it
    came. Torch convolves lines in the usual layout, and volumes where oneDNN does not.
    """
    if isinstance(node.op, merge.Concat):
        return all(name in found for name in node.inputs)
    source = node.inputs[run.over.get(node.path, 0)]
    x = run.types[source]
    anew = isinstance(node.op, BY_VALUE) and node.path not in run.over
    if source not in found or (anew and not apart(x)):
        return False
    if not isinstance(node.op, CONVOLUTIONS) or x.rank == 4:
        return True
    if x.rank == 3:
        return False
    op = node.op.as_conv(x) if isinstance(node.op, conv.Depthwise) else node.op
    width = run.widths.get(node.path, run.width)
    return not run.block or taken(op, x, width, run.block, run.threads)


def apart(type: TensorType) -> bool:
    """Whether the two layouts of maps of this type differ."""
    return type.channels > 1 and prod(type.concrete[2:]) > 1
