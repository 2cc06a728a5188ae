"""Leave out what changes nothing once training is over."""

from __future__ import annotations

from cnnspec.graph import Graph, Node
from cnnspec.passes.rewrite import Tensors, rewritten


def drop(graph: Graph, tensors: Tensors) -> tuple[Graph, Tensors]:
    """Drop-out, stochastic depth, identities and flattening of vectors give their operand; an output keeps its node
    where that operand is an input."""
    moved: dict[str, str] = {}
    nodes: dict[str, Node] = {}
    lasting = {output.node for output in graph.outputs}
    for path, node in graph.nodes.items():
        if _does_nothing(node, graph) and not (path in lasting and node.inputs[0] in graph.inputs):
            moved[path] = moved.get(node.inputs[0], node.inputs[0])
        else:
            nodes[path] = node
    return rewritten(graph, nodes, moved, tensors)


def _does_nothing(node: Node, graph: Graph) -> bool:
    if node.op.op == "flatten":
        return graph.input_types(node)[0].rank == 2
    return node.op.op in ("dropout", "stochastic_depth", "identity")
