"""What a file expects of itself: counts of parameters, and shapes by entry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnspec import declare
from cnnspec.diagnostics import Diagnostic, SpecError, did_you_mean
from cnnspec.expression import parse
from cnnspec.files import File
from cnnspec.graph import Graph, Node
from cnnspec.ops.base import number_of
from cnnspec.reader import Mapping, Scalar, Sequence, literal
from cnnspec.reader import Node as Written
from cnnspec.scope import Body, Instance, Params, Poison
from cnnspec.syntax import ListOf
from cnnspec.tensor import TensorType

if TYPE_CHECKING:
    from cnnspec.evaluate import Evaluator

COUNTS = ("params", "training_params", "buffers")


def parameters(graph: Graph) -> int:
    """Trainable numbers of a graph."""
    return sum(number_of(node.op.params(*graph.input_types(node))) for node in graph.nodes.values())


def buffers(graph: Graph) -> int:
    """Statistics and constants of a graph."""
    return sum(number_of(node.op.buffers(*graph.input_types(node))) for node in graph.nodes.values())


def counts(graph: Graph) -> dict[str, int]:
    """The counts a spec may expect: of the inference graph, and with training-only outputs."""
    inference = graph.inference()
    return {
        "params": parameters(inference),
        "training_params": parameters(graph),
        "buffers": buffers(inference),
    }


def check_expect(
    file: File, graph: Graph, body: Body, evaluator: Evaluator, params: Params
) -> dict[str, int | TensorType]:
    """The expectations by name, with what the graph has; an error is recorded for each that does not hold."""
    section = file.node.entries.get("expect")
    held: dict[str, int | TensorType] = {}
    if not isinstance(section, Mapping):
        return held
    found: dict[str, int] | None = None
    for name, written in section.entries.items():
        try:
            if name in COUNTS:
                found = found or counts(graph)
                held[name] = found[name]
                fault = _check_count(name, written, found[name])
            elif (node := _node(name, graph, body)) is not None:
                held[name] = node.type
                fault = _check_shape(name, written, node, evaluator, params)
            else:
                help = did_you_mean(name, [*body.entries, *COUNTS])
                message = f"'{name}' is no entry that the graph holds, and no count"
                fault = Diagnostic("expect.entry", message, section.keys[name].span, help=help)
            if fault is not None:
                evaluator.maker.findings.add(fault)
        except SpecError as error:
            for diagnostic in error.diagnostics:
                evaluator.maker.findings.add(diagnostic)
        except Poison:
            continue
    return held


def _check_count(name: str, written: Written, found: int) -> Diagnostic | None:
    value = literal(written) if isinstance(written, Scalar) else None
    if isinstance(value, bool) or not isinstance(value, int):
        return Diagnostic("expect.count", f"'{name}' is a whole number, got {written.span.text[:40]}", written.span)
    if value == found:
        return None
    message = f"expected {value} {name}, the graph has {found}: {found - value:+d}"
    return Diagnostic("expect.count", message, written.span)


def _check_shape(name: str, written: Written, node: Node, evaluator: Evaluator, params: Params) -> Diagnostic | None:
    expr = parse(written) if isinstance(written, Sequence) else None
    if not isinstance(expr, ListOf):
        return Diagnostic("expect.shape", f"the shape of '{name}' is a list of sizes", written.span)
    expected = declare.sizes(evaluator, params, expr.items)
    if expected == node.type:
        return None
    message = f"expected {name} to be {expected}, it is {node.type}"
    line = f", from line {node.span.line}" if node.span else ""
    return Diagnostic("expect.shape", message, written.span, facts=(f"{node.path} is {node.type}{line}",))


def _node(name: str, graph: Graph, body: Body) -> Node | None:
    value = body.values.get(name)
    if isinstance(value, Instance) and value.body.result is not None:
        value = value.body.values.get(value.body.result)
        while isinstance(value, Instance) and value.body.result is not None:
            value = value.body.values.get(value.body.result)
    return value if isinstance(value, Node) else graph.nodes.get(name)
