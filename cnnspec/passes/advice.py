"""The field's advice, as warnings."""

from __future__ import annotations

from cnnspec.diagnostics import Diagnostic
from cnnspec.graph import Graph, Node
from cnnspec.tensor import Dim


def advice(graph: Graph) -> list[Diagnostic]:
    """Warnings in the order of the nodes; one for each line and code."""
    heads = {o.node for h in graph.heads.values() if h.kind == "classify" for o in graph.outputs if o.name in h.of}
    found: dict[tuple[str, int], Diagnostic] = {}
    for node in graph.nodes.values():
        for code, message, help in _about(node, graph, heads):
            key = (code, node.span.start if node.span else 0)
            if key not in found:
                found[key] = Diagnostic(
                    f"advice.{code}", message, node.span, "warning", chain=node.chain, node=node.path, help=help
                )
    return list(found.values())


def _about(node: Node, graph: Graph, heads: set[str]) -> list[tuple[str, str, str]]:
    name, op = node.op.op, node.op
    said = []
    if name in ("conv", "depthwise", "transposed_conv"):
        (x,) = graph.input_types(node)
        maps = x.channels
        groups = maps if name == "depthwise" else getattr(op, "groups", 1)
        if name != "transposed_conv" and groups == maps and 1 < maps < 8:
            said.append(("depthwise", f"a depthwise convolution on {maps} maps", "below 8 maps a full one is as fast"))
    if getattr(op, "bias", False) and all(output.node != node.path for output in graph.outputs):
        users = graph.users[node.path]
        if len(users) == 1 and graph.nodes[users[0]].op.op == "batchnorm":
            said.append(("bias", "a bias right before batchnorm is without effect", "write bias=false"))
    if name == "softmax" and node.path in heads:
        said.append(("softmax", "a classify head reads logits and applies its own softmax", "end at the dense layer"))
    if name in ("maxpool", "avgpool"):
        said += _large_pool(node, graph)
    return said


def _large_pool(node: Node, graph: Graph) -> list[tuple[str, str, str]]:
    (x,) = graph.input_types(node)
    windows = node.op.field(x) or ()
    for (kernel, _), size in zip(windows, x.spatial, strict=True):
        least = size.at({size.symbol: graph.bounds.get(size.symbol, 1)}) if isinstance(size, Dim) else size
        if kernel > least:
            where = f" at {size.symbol} = {graph.bounds.get(size.symbol, 1)}" if isinstance(size, Dim) else ""
            return [
                ("pool", f"a pool of {kernel} is larger than its map of {least}{where}", f"use global_{node.op.op}")
            ]
    return []
