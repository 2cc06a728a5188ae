"""Which nodes may write their result over an operand, as hand-written networks do with `inplace=True`."""

from __future__ import annotations

from cnnspec.graph import Graph, Node


def overwritten(graph: Graph) -> dict[str, int]:
    """Path -> index of the operand that its result is written over.

    The operand is of the result's type, is no input or output of the graph and no view of another value, is read here
    and nowhere else, and backward does not need it. The graph is the whole one: what is safe with the training-only
    outputs is safe without them.
    """
    found: dict[str, int] = {}
    lasting = {*graph.inputs, *(output.node for output in graph.outputs)}
    for path, node in graph.nodes.items():
        if not node.op.overwrites:
            continue
        for index in range(len(node.inputs) if len(node.inputs) <= 2 else 1):  # sums of more keep their order
            source = graph.nodes[node.inputs[index]]
            if source.path in lasting or len(graph.users[source.path]) > 1:
                continue
            if source.type == node.type and not source.op.aliases and not _keeps(source, source.path in found):
                found[path] = index
                break
    return found


def _keeps(node: Node, inplace: bool) -> bool:
    """Whether backward needs the result; an operator that overwrites its input keeps the result in its stead."""
    return "y" in node.op.keeps or (inplace and "x" in node.op.keeps)
