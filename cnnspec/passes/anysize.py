"""A graph of one size as a graph of every size that its strides divide."""

from __future__ import annotations

from dataclasses import replace
from math import gcd
from types import MappingProxyType

from cnnspec.diagnostics import Diagnostic, SpecError
from cnnspec.graph import Graph, Node
from cnnspec.tensor import Dim, ShapeError, TensorType

AXES = "dhw"


def any_size(graph: Graph, declared: Graph) -> Graph:
    """[1, 3, 224, 224] under strides of 32 in all becomes [N, 3, 32*h, 32*w], typically h = w = 7; the batch is as
    declared. 227 becomes 32*h + 3: the rest stays, so that windows which do not fit are left out alike at every size.

    The factors begin with 1 and grow by what a stride lacks. Raises SpecError where a node has no type for every size.
    """
    image = graph.nodes[graph.inputs[0]].type.concrete
    first = declared.nodes[graph.inputs[0]].type.shape[0]
    batch = first if isinstance(first, Dim) else Dim(1, "N")
    names = [name if name != batch.symbol else f"{name}_" for name in AXES[-len(image[2:]) :]]
    factors = dict.fromkeys(names, 1)
    nodes: dict[str, Node] | None = None
    while nodes is None:
        typical = {name: max(1, size // factors[name]) for name, size in zip(names, image[2:], strict=True)}
        sizes = [Dim(factors[s], s, size - factors[s] * typical[s]) for s, size in zip(names, image[2:], strict=True)]
        nodes = _typed(graph, TensorType((batch, image[1], *sizes)), factors)
    return replace(graph, nodes=MappingProxyType(nodes), typical=MappingProxyType(typical))


def _typed(graph: Graph, image: TensorType, factors: dict[str, int]) -> dict[str, Node] | None:
    """The nodes for this image; None where a stride did not divide and a factor has grown by what it lacked."""
    nodes: dict[str, Node] = {}
    for path, node in graph.nodes.items():
        xs = tuple(nodes[source].type for source in node.inputs)
        try:
            for size, (_, stride) in zip(xs[0].spatial, node.op.field(*xs) or (), strict=False) if xs else ():
                if isinstance(size, Dim) and isinstance(stride, int) and size.factor % stride:
                    factors[size.symbol] *= stride // gcd(size.factor, stride)
                    return None
            nodes[path] = replace(node, type=node.op.infer(*xs) if xs else image)
        except ShapeError as error:
            raise SpecError([misfit(node, error)]) from None
    return nodes


def misfit(node: Node, error: ShapeError) -> Diagnostic:
    """Why a node cannot be as it must."""
    code = f"convolutionalize.{node.op.op}"
    return Diagnostic(code, error.message, node.span, chain=node.chain, node=node.path, help=error.help)
