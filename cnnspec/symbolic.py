"""What a graph costs before its sizes are chosen: polynomials in the symbols of its inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cnnspec.ops.base import number_of
from cnnspec.polynomial import Polynomial, product
from cnnspec.tensor import TensorType

if TYPE_CHECKING:
    from cnnspec.graph import Graph


@dataclass(frozen=True, slots=True)
class SymbolicRow:
    path: str
    op: str
    shape: str
    params: int
    macs: Polynomial
    elements: Polynomial
    """Numbers of the result."""


@dataclass(frozen=True, slots=True)
class Symbolic:
    """The inference graph's cost as expressions; `least` are the smallest legal sizes, by symbol, `inputs` the shapes
    that the inputs have there."""

    params: int
    macs: Polynomial
    activations: Polynomial
    """Numbers of the results of all nodes together, inputs excluded."""
    least: Mapping[str, int]
    inputs: Mapping[str, tuple[int, ...]]
    rows: tuple[SymbolicRow, ...]


class _Open(TensorType):
    """A type whose number of elements is a polynomial; operators count their MACs with it as with a number."""

    @property
    def elements(self) -> Any:
        return product(self.shape)


def symbolic_of(graph: Graph) -> Symbolic:
    """The expressions of every node and in total: at any legal sizes they give what cost_of gives."""
    least = {name: graph.bounds.get(name, 1) for name in graph.symbols}
    graph = graph.inference()
    types = {path: _Open(node.type.shape) for path, node in graph.nodes.items()}
    rows = []
    for path, node in graph.nodes.items():
        xs = tuple(types[name] for name in node.inputs)
        rows.append(
            SymbolicRow(
                path=path,
                op=node.op.op,
                shape=str(node.type),
                params=number_of(node.op.params(*xs)) if xs else 0,
                macs=Polynomial.of(node.op.macs(types[path], *xs) if xs else 0),
                elements=product(node.type.shape),
            )
        )
    made = [row for row in rows if graph.nodes[row.path].inputs]
    return Symbolic(
        params=sum(row.params for row in rows),
        macs=sum((row.macs for row in rows), Polynomial({})),
        activations=sum((row.elements for row in made), Polynomial({})),
        least=least,
        inputs={name: graph.nodes[name].type.at(least).concrete for name in graph.inputs},
        rows=tuple(rows),
    )


def as_data(found: Symbolic) -> dict[str, Any]:
    """The same for JSON: every expression as text; nodes by path."""
    return {
        "macs": str(found.macs),
        "activations": str(found.activations),
        "least": dict(found.least),
        "smallest_inputs": dict(found.inputs),
        "nodes": {
            row.path: {"shape": row.shape, "macs": str(row.macs), "elements": str(row.elements)} for row in found.rows
        },
    }
