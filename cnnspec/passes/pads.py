"""Merge a padding with zeros into the convolution that follows, and paddings of one value with each other."""

from __future__ import annotations

from dataclasses import replace

from cnnspec.graph import Graph
from cnnspec.ops.base import AbstractOp, Sides
from cnnspec.ops.conv import Conv, Depthwise
from cnnspec.ops.shape import Pad
from cnnspec.passes.rewrite import Tensors, read_once, rewritten
from cnnspec.tensor import TensorType


def pads(graph: Graph, tensors: Tensors) -> tuple[Graph, Tensors]:
    """conv(pad(x)) becomes conv(x) with as much more padding; a padding that is read elsewhere too is left."""
    nodes = dict(graph.nodes)
    for path in graph.nodes:
        node = nodes[path]
        source = nodes.get(node.inputs[0]) if node.inputs else None
        if source is None or not isinstance(source.op, Pad) or not read_once(graph, source.path):
            continue
        wider = _wider(node.op, source.type, source.op, source.op.pads(graph.nodes[source.inputs[0]].type))
        if wider is not None:
            nodes[path] = replace(node, op=wider, inputs=source.inputs)
            del nodes[source.path]
    return rewritten(graph, nodes, {}, tensors)


def _wider(op: AbstractOp, x: TensorType, pad: Pad, more: Sides) -> AbstractOp | None:
    """The operator with so much more padding; None where it cannot have it."""
    if isinstance(op, Pad):
        return op.model_copy(update={"size": _sum(op.pads(x), more)}) if op.value == pad.value else None
    if pad.value != 0 or not isinstance(op, Conv | Depthwise):
        return None
    own = op.pads(x) if isinstance(op, Conv) else op.as_conv(x).pads(x)
    return op.model_copy(update={"padding": _sum(own, more)})


def _sum(a: Sides, b: Sides) -> Sides:
    return tuple((x + u, y + v) for (x, y), (u, v) in zip(a, b, strict=True))
