"""The smallest legal value of every symbol."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

from cnnspec.graph import Graph
from cnnspec.tensor import Dim


def bounds(graph: Graph) -> Graph:
    """Every size must be positive, `32*h - 70` bounds h to at least 3; so must what operators name besides."""
    found: dict[str, int] = {}
    shapes = {node.type.shape for node in graph.nodes.values()}
    shapes.update(node.op.bounded(*graph.input_types(node)) for node in graph.nodes.values())
    for shape in shapes:
        for size in shape:
            if isinstance(size, Dim) and (least := size.least()) > found.get(size.symbol, 1):
                found[size.symbol] = least
    return replace(graph, bounds=MappingProxyType(found))
