"""Fold what scales and shifts every map into the convolution or dense layer before it.

conv(x) * s + t = conv'(x), where the filters are s times the old ones and the biases s times the old ones plus t: batch
norm in evaluation (Ioffe and Szegedy 2015, arXiv 1502.03167, algorithm 2), channel_affine and normalize.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cnnspec.graph import Graph, Node
from cnnspec.ops.conv import Conv, Depthwise, TransposedConv
from cnnspec.ops.dense import Dense
from cnnspec.passes.rewrite import AFFINE, Tensors, affine, read_once, rewritten, wide

Linear = Conv | Depthwise | TransposedConv | Dense


def fold(graph: Graph, tensors: Tensors) -> tuple[Graph, Tensors]:
    """The value then stands under the path of the convolution; one that is read elsewhere too is left."""
    moved: dict[str, str] = {}
    nodes: dict[str, Node] = {}
    changed = dict(tensors)
    for path, node in graph.nodes.items():
        source = nodes.get(moved.get(node.inputs[0], node.inputs[0])) if node.op.op in AFFINE else None
        if source is None or not _takes_more(source) or not read_once(graph, node.inputs[0]):
            nodes[path] = node
            continue
        assert isinstance(source.op, Linear)
        if tensors:
            changed |= _scaled(source, *affine(node, tensors), changed)
        nodes[source.path] = replace(source, op=source.op.model_copy(update={"bias": True}))
        moved[path] = source.path
    return rewritten(graph, nodes, moved, changed)


def _takes_more(node: Node) -> bool:
    """A linear operator with weights of its own; given ones stay as the spec gives them."""
    return isinstance(node.op, Linear) and getattr(node.op, "weights", None) is None


def _scaled(node: Node, scale: Any, shift: Any, tensors: Tensors) -> dict[str, Any]:
    weight = tensors[f"{node.path}.weight"]
    bias = tensors[f"{node.path}.bias"] * scale + shift if node.op.bias else shift  # type: ignore[attr-defined]
    axes = weight.ndim - 1
    if isinstance(node.op, TransposedConv):  # [C, filters / groups, kernel...]
        parts = weight.reshape(node.op.groups, -1, *weight.shape[1:])
        weight = (parts * scale.reshape(node.op.groups, 1, -1, *(1,) * (axes - 1))).reshape(weight.shape)
    elif table := getattr(node.op, "table", None):  # [connections, kernel...]
        filters = [number for number, maps in enumerate(table) for _ in maps]
        weight = weight * wide(scale[filters], axes)
    else:
        weight = weight * wide(scale, axes)
    return {f"{node.path}.weight": weight, f"{node.path}.bias": bias}
