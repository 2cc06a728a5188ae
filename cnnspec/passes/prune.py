"""Leave out what no output needs."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

from cnnspec.graph import Graph


def prune(graph: Graph) -> Graph:
    """`a -> b` and `a -> c` with the output b: c goes. Inputs stay, in their order."""
    needed = {output.node for output in graph.outputs} | set(graph.inputs)
    for path in reversed(list(graph.nodes)):
        if path in needed:
            needed.update(graph.nodes[path].inputs)
    nodes = {path: node for path, node in graph.nodes.items() if path in needed}
    return replace(graph, nodes=MappingProxyType(nodes))
