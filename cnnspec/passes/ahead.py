"""Fold what scales and shifts every map into the convolution or dense layer after it.

conv(x * s + t) = conv'(x), where the weights that meet map c are s[c] times the old ones and t gives each filter a
bias. Zeros that padding adds are not shifted, so a convolution that pads is left.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cnnspec.graph import Graph, Node
from cnnspec.ops.conv import Conv, Depthwise
from cnnspec.ops.dense import Dense
from cnnspec.passes.rewrite import AFFINE, Tensors, affine, read_once, rewritten


def ahead(graph: Graph, tensors: Tensors) -> tuple[Graph, Tensors]:
    """The scaling node goes; what it scaled is read by the convolution."""
    moved: dict[str, str] = {}
    nodes = dict(graph.nodes)
    changed = dict(tensors)
    for path, node in graph.nodes.items():
        source = graph.nodes[node.inputs[0]] if node.inputs else None
        if source is None or source.op.op not in AFFINE or not _takes_more(node, graph):
            continue
        if not read_once(graph, source.path):
            continue
        if tensors:
            changed |= _met(node, *affine(source, tensors), changed)
        nodes[path] = replace(node, op=node.op.model_copy(update={"bias": True}))
        moved[source.path] = source.inputs[0]
        del nodes[source.path]
    return rewritten(graph, nodes, moved, changed)


def _takes_more(node: Node, graph: Graph) -> bool:
    if isinstance(node.op, Dense):
        return True
    if not isinstance(node.op, Conv | Depthwise):
        return False
    (x,) = graph.input_types(node)
    conv = node.op if isinstance(node.op, Conv) else node.op.as_conv(x)
    return conv.weights is None and conv.table is None and not any(map(any, conv.pads(x)))


def _met(node: Node, scale: Any, shift: Any, tensors: Tensors) -> dict[str, Any]:
    """The weight [filters, C / groups, kernel...] sees the maps of its group."""
    weight = tensors[f"{node.path}.weight"]
    groups = scale.shape[0] // weight.shape[1]
    parts = weight.reshape(groups, -1, *weight.shape[1:])
    spread = (groups, 1, weight.shape[1], *(1,) * (weight.ndim - 2))
    bias = (parts * shift.reshape(spread)).reshape(weight.shape[0], -1).sum(1)
    if node.op.bias:  # type: ignore[attr-defined]
        bias = tensors[f"{node.path}.bias"] + bias
    return {f"{node.path}.weight": (parts * scale.reshape(spread)).reshape(weight.shape), f"{node.path}.bias": bias}
