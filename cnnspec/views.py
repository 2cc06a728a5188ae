"""Whose memory a value lies in: views look at their operand, and what is written in place takes its operand's."""

from __future__ import annotations

from collections.abc import Mapping

from cnnspec.graph import Graph
from cnnspec.ops.dense import Flatten
from cnnspec.ops.shape import Crop, Permute, Reshape
from cnnspec.tensor import TensorType


def roots_of(
    graph: Graph,
    over: Mapping[str, int],
    types: Mapping[str, TensorType],
    *,
    training: bool,
    last: frozenset[str] = frozenset(),
) -> dict[str, str]:
    """Path -> the path of the value whose memory it lies in; `over` says which operand a result is written over.

    `last` are values in another layout than the usual one.
    """
    roots: dict[str, str] = {}
    apart = set(last)  # whose values do not lie one after another
    for path, node in graph.nodes.items():
        roots[path] = path
        if path in over:
            roots[path] = roots[node.inputs[over[path]]]
        elif node.inputs and node.op.shares(training):
            source, op = node.inputs[0], node.op
            moved = isinstance(op, Permute | Crop) and types[source].shape != types[path].shape
            if isinstance(op, Flatten | Reshape) and source in apart and types[source].shape != types[path].shape:
                continue  # to lie in order again they are copied
            roots[path] = roots[source]
            if moved or source in apart:
                apart.add(path)
    return roots
