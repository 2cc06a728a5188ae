"""Mixed precision: which values are half as wide, and what is cast for that, as torch's autocast does on the CPU.

Convolutions, dense layers and PReLU run in half precision: operands and weights in float32 are cast. What computes with
numbers in float32 gives float32, and so do pools of volumes and LRN, which autocast lists for it. All else takes the
widest of its operands. Micikevicius et al. 2017 (arXiv 1710.03740), section 3; the lists are those of
https://docs.pytorch.org/docs/stable/amp.html, "CPU Op-Specific Behavior", and each is held against torch by a test.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import NamedTuple

from cnnspec.graph import Graph, Node
from cnnspec.ops.activation import Prelu
from cnnspec.ops.base import AbstractOp
from cnnspec.ops.conv import Conv, Depthwise, TransposedConv
from cnnspec.ops.dense import Dense, Distance
from cnnspec.ops.merge import Add, Concat
from cnnspec.ops.norm import ChannelAffine, Lrn, Normalize
from cnnspec.ops.pool import AdaptiveAvgPool, AvgPool, MaxPool
from cnnspec.tensor import TensorType

SINGLE, HALF = 4, 2
"""Bytes of a number."""
AMP = ("bfloat16", "float16")
HALVED = (Conv, Depthwise, TransposedConv, Dense, Prelu)
PROMOTED = (ChannelAffine, Distance, Normalize)
VOLUMES = (MaxPool, AvgPool, AdaptiveAvgPool)


class Casts(NamedTuple):
    """Bytes that casts take around one node."""

    operands: dict[int, int]
    """By the place of the operand."""
    weights: int
    """In half precision; kept until the forward pass ends, where they are trained."""
    saved: int
    """Of those what backward needs."""


def wanted(op: AbstractOp, rank: int) -> int | None:
    """The width that an operator casts its operands to; None where it takes them as they are."""
    if isinstance(op, HALVED):
        return HALF
    return SINGLE if isinstance(op, VOLUMES) and rank == 5 else None


def widths_of(graph: Graph, over: Mapping[str, int]) -> dict[str, int]:
    """Bytes of a number of every value; inputs and weights are float32. `over`: what is written over which operand."""
    widths: dict[str, int] = {}
    for path, node in graph.nodes.items():
        op, xs = node.op, graph.input_types(node)
        if not xs or isinstance(op, PROMOTED) or (isinstance(op, Lrn) and xs[0].rank > 3):
            widths[path] = SINGLE
        elif path in over:
            widths[path] = widths[node.inputs[over[path]]]
        else:
            read = node.inputs[:2] if isinstance(op, Add) else node.read  # what more is added, is added in place
            widths[path] = wanted(op, xs[0].rank) or max(widths[name] for name in read)
    return widths


def casts(node: Node, xs: Sequence[TensorType], widths: Mapping[str, int], needs: Sequence[bool]) -> Casts:
    """What is cast for a node, whose operands are of these concrete types."""
    op = node.op
    to = widths[node.path] if isinstance(op, Concat) else wanted(op, xs[0].rank)
    other = {place for place, name in enumerate(node.inputs) if to is not None and widths[name] != to}
    operands = {place: xs[place].elements * (to or 0) for place in other}
    if not isinstance(op, HALVED):
        return Casts(operands, 0, 0)
    table = isinstance(op, Conv) and op.table is not None  # its kernel is put together anew, and then cast
    sizes = {name: prod(shape) * HALF for name, shape in op.params(*xs).items() if not (table and name == "weight")}
    given = prod(op.buffers(*xs).get("weight", (0,))) * HALF
    kept = sizes.get("weight", 0) if needs[0] or not isinstance(op, Dense) else 0
    return Casts(operands, sum(sizes.values()) + given, kept + given)
