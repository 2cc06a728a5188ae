"""Fragments of specs for the tests of the language: PREAMBLE completes them, and their graphs print as rows."""

from __future__ import annotations

import re
from pathlib import Path

from cnnspec.front import compile_text
from cnnspec.graph import Graph

PREAMBLE = {
    "cnnspec": "cnnspec: 1",
    "name": "name: example",
    "input": "input: {image: [N, 3, 8, 8]}",
    "net": "net: {y: image}",
    "outputs": "outputs: [y]",
}
"""The lines a fragment may leave out: in the order of this table, the first two above it and the others below."""


def whole(fragment: str) -> str:
    """A fragment made a whole spec; one that holds the first line is taken as it is."""
    text = fragment.strip("\n") + "\n"
    if re.search(r"^cnnspec:", text, re.MULTILINE):
        return text
    has = set(re.findall(r"^(\w+):", text, re.MULTILINE))
    above = [PREAMBLE["cnnspec"]] + [PREAMBLE["name"]] * ("name" not in has)
    inherits = "extends" in has
    below = [PREAMBLE[section] for section in ("input", "net", "outputs") if section not in has and not inherits]
    return "\n".join([*above, text.rstrip("\n"), *below]) + "\n"


def compiled(fragment: str, root: Path | None = None, params: dict[str, object] | None = None) -> Graph:
    return compile_text(whole(fragment), shown="spec.yaml", root=root, **(params or {}))


def rows(graph: Graph) -> list[str]:
    """`path: operator(inputs) [shape]` for every node but the inputs, in the order of the graph."""
    return [
        f"{path}: {node.op.op}({', '.join(node.inputs)}) {node.type}"
        for path, node in graph.nodes.items()
        if path not in graph.inputs
    ]


def lines(text: str) -> list[str]:
    return [line.strip() for line in text.strip().splitlines()]
