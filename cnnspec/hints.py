"""What most likely caused two operands to differ."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import prod

from cnnspec.graph import Node


def stride_hint(labels: list[str], operands: tuple[Node, ...], nodes: Mapping[str, Node]) -> str | None:
    """`main has stride 2 and skip has not`, where the operands come from one tensor by different strides."""
    if len(operands) != 2 or operands[0].type.rank != operands[1].type.rank:
        return None
    lines = [_upstream(node, nodes) for node in operands]
    shared = {node.path for node in lines[1]}
    common = next((node.path for node in lines[0] if node.path in shared), None)
    if common is None:
        return None
    strides = [_stride(line, common, nodes) for line in lines]
    if strides[0] == strides[1]:
        return None
    if 1 in strides:
        with_it = 1 - strides.index(1)
        return f"{labels[with_it]} has stride {strides[with_it]} and {labels[1 - with_it]} has not"
    return f"{labels[0]} has stride {strides[0]} and {labels[1]} has stride {strides[1]}"


def _upstream(node: Node, nodes: Mapping[str, Node]) -> list[Node]:
    """The node and what its first operand comes from, back to an input."""
    line = [node]
    while line[-1].inputs:
        line.append(nodes[line[-1].inputs[0]])
    return line


def _stride(line: list[Node], common: str, nodes: Mapping[str, Node]) -> int | Fraction:
    strides: list[int | Fraction] = []
    for node in line:
        if node.path == common:
            break
        if hasattr(node.op, "stride"):
            windows = node.op.field(*(nodes[path].type for path in node.inputs)) or ()
            strides.append(max((stride for _, stride in windows), default=1))
    return prod(strides)
