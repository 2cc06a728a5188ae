"""A file to a graph: params, inputs, the nodes its outputs need, then what the file says it expects of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from collections.abc import Mapping as Map
from contextlib import contextmanager
from dataclasses import replace
from types import MappingProxyType

from cnnspec import declare, limits, passes
from cnnspec.bind import listed
from cnnspec.declare import NOWHERE
from cnnspec.diagnostics import Diagnostic, Span, SpecError, UsageError, did_you_mean
from cnnspec.evaluate import Evaluator
from cnnspec.expect import check_expect
from cnnspec.files import Entry, File
from cnnspec.graph import Graph, Node, Output
from cnnspec.heads import read_heads
from cnnspec.meter import least_calls
from cnnspec.names import check_file
from cnnspec.ops.source import Input
from cnnspec.published import check_weights
from cnnspec.reader import Mapping, locate
from cnnspec.scope import Body, Findings, Instance, Params, Poison, Scope
from cnnspec.spec import check_name
from cnnspec.suggest import larger_factors
from cnnspec.syntax import Expr, Name
from cnnspec.values import described

UNKNOWN = ("name.unknown", "name.operator", "name.tap")
DECLARING = {"params", "blocks", "use", "input", "net"}
"""Sections that declare names: one that is misspelt leaves them unknown."""
HIDING = (*UNKNOWN, "spec.missing", "spec.output", "spec.section")
"""Codes of faults that may keep an output from an entry: a mistyped name, say."""


def elaborate(
    file: File,
    *,
    params: Map[str, object] | None = None,
    inputs: Map[str, Expr] | None = None,
    allow_unused: bool = False,
    max_nodes: int = limits.NODES,
) -> Graph:
    """The graph of a file. `params` are values or texts of expressions, `inputs` other declarations of inputs.

    Raises SpecError with all diagnostics of the run, UsageError for an unknown param or input.
    """
    given = dict(inputs or {})

    def graph(evaluator: Evaluator, declared: Map[str, Expr]) -> Graph:
        return _Run(file, params or {}, {**declared, **given}, evaluator).graph(allow_unused)

    with _deep_recursion():
        evaluator = Evaluator(max_nodes)
        try:
            return graph(evaluator, {})
        except SpecError as error:
            nodes = evaluator.maker.nodes
            mended = larger_factors(error.diagnostics, nodes, lambda declared: graph(Evaluator(max_nodes), declared))
            raise SpecError(mended) from None


@contextmanager
def _deep_recursion() -> Iterator[None]:
    """Room for blocks nested to their limit; the meters keep it from being used up."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, 20_000))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


class _Run:
    def __init__(self, file: File, params: Map[str, object], inputs: Map[str, Expr], evaluator: Evaluator) -> None:
        self.file, self.evaluator, self.findings = file, evaluator, evaluator.maker.findings
        self.overridden = bool(params or inputs)
        self.given, self.inputs = dict(params), dict(inputs)
        for what, names, known in (("param", params, file.params), ("input", inputs, file.inputs)):
            for name in names:
                if name not in known:
                    help = did_you_mean(name, known) or f"its {what}s are {', '.join(known) or 'none'}"
                    raise UsageError(f"{file.document.name} has no {what} '{name}'", help)

    def graph(self, allow_unused: bool) -> Graph:
        _check_all(self.file, self.findings)
        self.check_sections()
        params = self.params()
        body = Body(self.file.net, "", None, None, is_block=False)
        body.scope = Scope(self.file, params, self.declared(params), body)
        outputs = self.outputs(body)
        if not allow_unused:
            self.unused()
        self.stop_at_errors()
        graph = Graph(
            name=self.file.document.name,
            about=self.file.document.about,
            nodes=MappingProxyType(self.evaluator.maker.nodes),
            inputs=tuple(self.file.inputs),
            outputs=outputs,
            typical=MappingProxyType(dict(self.file.typical)),
            bounds=MappingProxyType({}),
            weights=MappingProxyType(dict(self.file.document.weights)),
            used=MappingProxyType(self.evaluator.used),
            source=self.file.source,
        )
        for transform in passes.PASSES:
            graph = transform(graph)
        if not allow_unused:
            self.unread_inputs(graph)
        self.typical(graph)
        typical = {name: value for name, value in graph.typical.items() if name in graph.symbols}
        heads = read_heads(self.file, graph, self.overridden, self.findings)
        check_weights(self.file.node, self.file.document.weights, self.findings)
        graph = replace(graph, heads=MappingProxyType(heads), typical=MappingProxyType(typical))
        if not self.overridden:
            expected = check_expect(self.file, graph, body, self.evaluator, params)
            graph = replace(graph, expected=MappingProxyType(expected))
        self.stop_at_errors()
        return replace(graph, warnings=(*self.findings.warnings, *passes.advice(graph)))

    def stop_at_errors(self) -> None:
        if errors := self.findings.errors:
            if any(error.code == "spec.section" and DECLARING & {*_quoted(error.help)} for error in errors):
                errors = [error for error in errors if error.code not in UNKNOWN]
            found = [self.extended(d) for d in (*errors, *self.findings.warnings)]
            raise SpecError(sorted(found, key=lambda d: d.sort_key))

    def extended(self, diagnostic: Diagnostic) -> Diagnostic:
        """A fault in the file that this one extends says so."""
        span, extends = diagnostic.span, self.file.document.extends
        if extends is None or span is None or span.source is self.file.source or diagnostic.facts or diagnostic.chain:
            return diagnostic
        at = locate(self.file.node, ("extends",))
        return replace(diagnostic, facts=(f"extended by {at.source.path}:{at.line}, which may replace what it needs",))

    def say(self, code: str, message: str, span: Span, help: str | None = None) -> None:
        self.findings.add(Diagnostic(code, message, span, help=help))

    def check_sections(self) -> None:
        whole = Span(self.file.source, self.file.node.span.start, self.file.node.span.start + 1)
        examples = {
            "input": "input: {image: [N, 3, 32*h, 32*w]}",
            "net": "net: one `name: expression` a line",
            "outputs": "outputs: [logits]",
        }
        given = {"input": self.file.inputs, "net": self.file.net, "outputs": self.file.outputs}
        written = self.file.node.entries
        missing = [
            name
            for name, entries in given.items()
            if not entries and not (isinstance(section := written.get(name), Mapping) and section.keys)
        ]
        if missing and not any(error.code == "spec.section" for error in self.findings.errors):
            names = listed([f"'{name}'" for name in missing])
            what = f"the section {names} is" if len(missing) == 1 else f"the sections {names} are"
            self.say("spec.missing", f"{what} missing or empty", whole, "; ".join(examples[name] for name in missing))
        least = least_calls(self.file)
        if least > 2 * self.evaluator.maker.max_nodes:
            limit = f"the limit is {self.evaluator.maker.max_nodes} nodes"
            at = next((self.file.net[name].key for name in self.file.outputs if name in self.file.net), whole)
            self.say("limit.nodes", f"the outputs need at least {least} calls, {limit}", at)
            self.stop_at_errors()

    def params(self) -> Params:
        params = self.evaluator.make_params(self.file, self.given)
        for name, entry in self.file.params.items():
            try:
                value = params.value(name)
                if name in self.given:
                    self.evaluator.check_override(params, name, value, entry.key, NOWHERE)
            except SpecError as error:
                for diagnostic in error.diagnostics:
                    params.values[name] = self.findings.add(diagnostic)
            except Poison as poison:
                params.values[name] = poison
        return params

    def declared(self, params: Params) -> dict[str, object]:
        """The input nodes by name, or a Poison where a declaration is wrong."""
        names: dict[str, object] = {}
        batch: str | None = None
        for name, entry in self.file.inputs.items():
            declared = (
                replace(entry, expr=self.inputs[name], span=self.inputs[name].span) if name in self.inputs else entry
            )
            if declared.expr is None:
                names[name] = Poison()
                continue
            try:
                found = declare.input_type(self.evaluator, params, declared, name)
                symbol = found.symbols[0]
                if batch is not None and symbol != batch:
                    message = f"all inputs share one batch, got {batch} and {symbol}"
                    raise self.evaluator.fault("input.batch", message, declared.span, NOWHERE)
            except Poison as poison:
                names[name] = poison
                continue
            batch = symbol
            node = Node(name, Input(), (), found, declared.span, None)
            names[name] = self.evaluator.maker.nodes[name] = node
        return names

    def outputs(self, body: Body) -> tuple[Output, ...]:
        outputs = []
        for name, options in self.file.outputs.items():
            span = self.file.output_spans[name]
            if name not in self.file.net and name not in self.file.inputs:
                if self.file.net:
                    help = did_you_mean(name, self.file.net)
                    self.say("spec.output", f"the output '{name}' is no entry of net", span, help)
                continue
            try:
                node = self.output(name, span, body)
            except Poison:
                continue
            outputs.append(Output(name, node.path, options.when == "train"))
        if self.file.outputs and all(options.when for options in self.file.outputs.values()):
            span = next(iter(self.file.output_spans.values()))
            self.say("spec.output", "every output is for training only; prediction needs one", span)
        return tuple(outputs)

    def output(self, name: str, span: Span, body: Body) -> Node:
        expr = Name(span, name)
        value = self.evaluator.evaluate(expr, body.scope, NOWHERE)
        if not isinstance(value, Node | Instance):
            at = self.file.net[name].span
            raise self.evaluator.fault(
                "spec.output", f"the output '{name}' is {described(value)}, want a tensor", at, NOWHERE
            )
        return self.evaluator.node_of(value, expr, NOWHERE)

    def unused(self) -> None:
        """In the spec's own net an entry that no output reaches is an error, unless another fault may hide its use."""
        if any(error.code in HIDING or error.code.startswith("expr.") for error in self.findings.errors):
            return
        reached, pending = set(self.file.outputs), list(self.file.outputs)
        while pending:
            new = self.file.references.get(pending.pop(), set()) - reached
            reached |= new
            pending += new
        for name, entry in self.file.net.items():
            if name not in reached and name not in self.file.inherited and not _faulty(entry):
                help = "remove it, list it under outputs, or allow it with --allow-unused"
                self.say("graph.unused", f"'{name}' reaches no output", entry.key, help)

    def unread_inputs(self, graph: Graph) -> None:
        for name, entry in self.file.inputs.items():
            if not graph.users[name] and all(output.node != name for output in graph.outputs):
                self.say("graph.unused", f"the input '{name}' reaches no output", entry.key, "remove it")

    def typical(self, graph: Graph) -> None:
        for name, value in self.file.typical.items():
            span = _typical_span(self.file, name)
            if name in self.file.params:
                self.say("name.twice", f"'{name}' is a symbol here and a param", span, "rename one of them")
            elif name not in graph.symbols and not self.inputs and self.file.document.typical:
                help = did_you_mean(name, graph.symbols) or f"the symbols are {', '.join(graph.symbols)}"
                self.say("input.typical", f"no input holds the symbol '{name}'", span, help)
            elif value < graph.bounds.get(name, 1) and not self.inputs:
                message = f"typical {name} = {value} is below the smallest legal size, {name} >= {graph.bounds[name]}"
                self.say("input.typical", message, span)


def _quoted(help: str | None) -> list[str]:
    return (help or "").split("'")[1::2]


def _check_all(file: File, findings: Findings, seen: set[int] | None = None) -> None:
    seen = seen if seen is not None else set()
    if id(file) in seen:
        return
    seen.add(id(file))
    for used in file.uses.values():
        _check_all(used, findings, seen)
    check_file(file, findings)


def _faulty(entry: Entry) -> bool:
    return entry.expr is None or check_name(entry.name, "an entry") is not None


def _typical_span(file: File, name: str) -> Span:
    section = file.node.entries.get("typical")
    return section.keys[name].span if isinstance(section, Mapping) else file.node.span
