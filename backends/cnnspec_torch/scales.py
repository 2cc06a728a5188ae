"""Sizes of the input that training may draw from."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from cnnspec.diagnostics import UsageError
from cnnspec.tensor import Dim

if TYPE_CHECKING:
    from cnnspec.graph import Graph


def legal(graph: Graph, span: list[float] | None) -> list[tuple[int, int]]:
    """Heights and widths of the input in a range of parts of its usual size. Raises UsageError where there are none."""
    if span is None:
        return []
    _, _, high, wide = graph.nodes[graph.inputs[0]].type.shape
    if not isinstance(high, Dim) or not isinstance(wide, Dim):
        raise UsageError(f"recipe.sizes is for inputs of any size, that of {graph.name} is {high} x {wide}")
    usual = graph.sizes()
    least = max(graph.bounds.get(high.symbol, 1), ceil(span[0] * usual[high.symbol]))
    found = []
    for turns in range(least, int(span[1] * usual[high.symbol]) + 1):
        across = max(graph.bounds.get(wide.symbol, 1), round(usual[wide.symbol] * turns / usual[high.symbol]))
        found.append((high.factor * turns + high.offset, wide.factor * across + wide.offset))
    if not found:
        raise UsageError(f"recipe.sizes: no size of {graph.name} lies between {span[0]:g} and {span[1]:g} of the usual")
    return found
