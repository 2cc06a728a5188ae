"""Spread the weights of a connection table over full filters, whose other weights are zeros."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cnnspec.graph import Graph, Node
from cnnspec.ops.conv import Conv
from cnnspec.passes.rewrite import Tensors, rewritten


def tables(graph: Graph, tensors: Tensors) -> tuple[Graph, Tensors]:
    """A convolution with a table becomes one without: computed once and not at every call."""
    nodes = dict(graph.nodes)
    changed = dict(tensors)
    for path, node in graph.nodes.items():
        if not isinstance(node.op, Conv) or node.op.table is None:
            continue
        nodes[path] = replace(node, op=node.op.model_copy(update={"table": None, "init": None}))
        if tensors:
            del changed[f"{path}.connections"]
            changed[f"{path}.weight"] = _spread(node, node.op.table, graph, changed[f"{path}.weight"])
    return rewritten(graph, nodes, {}, changed)


def _spread(node: Node, table: tuple[tuple[int, ...], ...], graph: Graph, weight: Any) -> Any:
    """[connections, kernel...] to [filters, C, kernel...]."""
    (x,) = graph.input_types(node)
    pairs = [number * x.channels + source for number, maps in enumerate(table) for source in maps]
    whole = 0 * weight[[0] * len(table) * x.channels]
    whole[pairs] = weight
    return whole.reshape(len(table), x.channels, *weight.shape[1:])
