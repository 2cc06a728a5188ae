"""The declaration of an input that all strides of a net divide, found by trying larger factors."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from cnnspec.declare import text_expression
from cnnspec.diagnostics import Diagnostic, SpecError
from cnnspec.graph import Node
from cnnspec.syntax import Expr
from cnnspec.tensor import Dim, Size

FACTORS = (2, 4, 8, 16, 32, 64, 128, 3, 6, 12, 24, 48)
_STRIDE = re.compile(r"stride \d+ does not divide the \w+ (?P<size>.*)")
LARGEST = 3000
"""Nodes of the largest net that is tried again."""


def larger_factors(
    diagnostics: Sequence[Diagnostic], nodes: Mapping[str, Node], attempt: Callable[[Mapping[str, Expr]], object]
) -> list[Diagnostic]:
    """The diagnostics; those of a stride that does not divide a size say which declaration would do."""
    if len(nodes) > LARGEST or not any(_STRIDE.match(d.message) for d in diagnostics):
        return list(diagnostics)
    inputs = [node for node in nodes.values() if not node.inputs and node.type.spatial]
    for factor in FACTORS:
        declared = {node.path: _declaration(node, factor) for node in inputs}
        try:
            attempt({name: text_expression(text, f"--input {name}") for name, text in declared.items()})
            left: list[Diagnostic] = []
        except SpecError as error:
            left = error.diagnostics
        if not any(_STRIDE.match(d.message) for d in left):
            told = ", ".join(f"{name}: {text}" for name, text in declared.items())
            help = f"declare the input as {told}"
            return [replace(d, help=help) if _STRIDE.match(d.message) else d for d in diagnostics]
    return list(diagnostics)


def _declaration(node: Node, factor: int) -> str:
    batch, channels, *spatial = node.type.shape
    return f"[{', '.join(map(str, (batch, channels, *(_times(size, factor) for size in spatial))))}]"


def _times(size: Size, factor: int) -> Size:
    return Dim(size.factor * factor, size.symbol, size.offset) if isinstance(size, Dim) else size
