"""`cnnspec summarize --symbolic`: what a network costs as expressions in the symbols of its inputs."""

from __future__ import annotations

from cnnspec.commands.table import Column, plain
from cnnspec.diagnostics import printable
from cnnspec.graph import Graph

COLUMNS = (
    *(Column("node"), Column("operator"), Column("shape")),
    *(Column("params", right=True), Column("MACs", right=True), Column("numbers", right=True)),
)


def expressions(graph: Graph) -> str:
    """A row a node, then the totals and the smallest input; the lines are as long as they must be."""
    found = graph.symbolic()
    rows = [
        (
            printable(row.path),
            row.op,
            row.shape,
            f"{row.params:,}",
            str(row.macs),
            str(row.elements),
        )
        for row in found.rows
    ]
    smallest = ", ".join(f"{name} {'x'.join(map(str, shape))}" for name, shape in found.inputs.items())
    said = [
        ("parameters", f"{found.params:,}"),
        ("MACs", str(found.macs)),
        ("activations", f"{found.activations} numbers for all nodes together"),
        ("smallest input", f"{smallest}, at {', '.join(f'{name}={size}' for name, size in found.least.items())}"),
    ]
    after = "\n".join(f"{name:<15} {text}" for name, text in said)
    return "\n".join([printable(graph.name), "", plain(COLUMNS, rows), "", after])
