"""What a file expects of itself: counts of parameters, and shapes by entry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnspec import declare
from cnnspec.declare import NOWHERE
from cnnspec.diagnostics import Diagnostic, SpecError, did_you_mean
from cnnspec.expression import parse
from cnnspec.files import File
from cnnspec.graph import Graph, Node
from cnnspec.reader import Mapping, Scalar, Sequence, literal
from cnnspec.reader import Node as Written
from cnnspec.scope import Body, Instance, Params, Poison
from cnnspec.syntax import ListOf

if TYPE_CHECKING:
    from cnnspec.evaluate import Evaluator

COUNTS = ("params", "training_params", "buffers")


def parameters(graph: Graph) -> int:
    """Trainable numbers of a graph."""
    from cnnspec.ops.base import number_of

    return sum(number_of(node.op.params(*graph.input_types(node))) for node in graph.nodes.values())


def buffers(graph: Graph) -> int:
    """Statistics and constants of a graph."""
    from cnnspec.ops.base import number_of

    return sum(number_of(node.op.buffers(*graph.input_types(node))) for node in graph.nodes.values())


def counts(graph: Graph) -> dict[str, int]:
    """The counts a spec may expect: of the inference graph, and with training-only outputs."""
    inference = graph.inference()
    return {
        "params": parameters(inference),
        "training_params": parameters(graph),
        "buffers": buffers(inference),
    }


def check_expect(file: File, graph: Graph, body: Body, evaluator: Evaluator, params: Params) -> None:
    """Record an error for every expectation that does not hold."""
    section = file.node.entries.get("expect")
    if not isinstance(section, Mapping):
        return
    found: dict[str, int] | None = None
    for name, written in section.entries.items():
        if name in COUNTS:
            found = found or counts(graph)
            _check_count(name, written, found[name], evaluator)
        else:
            _check_shape(name, written, graph, body, evaluator, params)


def _check_count(name: str, written: Written, found: int, evaluator: Evaluator) -> None:
    try:
        value = literal(written) if isinstance(written, Scalar) else None
    except SpecError as error:
        for diagnostic in error.diagnostics:
            evaluator.findings.add(diagnostic)
        return
    if isinstance(value, bool) or not isinstance(value, int):
        evaluator.findings.add(Diagnostic("expect.count", f"'{name}' is a whole number", written.span))
    elif value != found:
        message = f"expected {value} {name}, the graph has {found}: {found - value:+d}"
        evaluator.findings.add(Diagnostic("expect.count", message, written.span))


def _check_shape(
    name: str, written: Written, graph: Graph, body: Body, evaluator: Evaluator, params: Params
) -> None:
    key = written.span
    node = _node(name, graph, body)
    if node is None:
        help = did_you_mean(name, [*body.entries, *COUNTS])
        message = f"'{name}' is no entry that the graph holds, and no count"
        evaluator.findings.add(Diagnostic("expect.entry", message, key, help=help))
        return
    try:
        expr = parse(written) if isinstance(written, Sequence) else None
        if not isinstance(expr, ListOf):
            evaluator.findings.add(Diagnostic("expect.shape", f"the shape of '{name}' is a list of sizes", key))
            return
        expected = declare.sizes(evaluator, params, expr.items)
    except SpecError as error:
        for diagnostic in error.diagnostics:
            evaluator.findings.add(diagnostic)
        return
    except Poison:
        return
    if expected != node.type:
        message = f"expected {name} to be {expected}, it is {node.type}"
        line = f"from line {node.span.line}" if node.span else ""
        evaluator.findings.add(Diagnostic("expect.shape", message, key, facts=(f"{node.path} is {node.type}, {line}",)))


def _node(name: str, graph: Graph, body: Body) -> Node | None:
    value = body.values.get(name)
    if isinstance(value, Instance) and value.body.result is not None:
        value = value.body.values.get(value.body.result)
        while isinstance(value, Instance) and value.body.result is not None:
            value = value.body.values.get(value.body.result)
    return value if isinstance(value, Node) else graph.nodes.get(name)


