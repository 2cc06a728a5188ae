"""Nodes of a graph in the making: an operator's arguments validated, its shape rule applied, its faults recorded."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from math import prod
from typing import Any, final

from pydantic import ValidationError

from cnnspec import limits
from cnnspec.bind import Bound
from cnnspec.diagnostics import Diagnostic, Span
from cnnspec.graph import Node
from cnnspec.hints import stride_hint
from cnnspec.ops.base import AbstractOp
from cnnspec.scope import Findings, Place, Poison, Scope, Step
from cnnspec.spec import refusals
from cnnspec.syntax import Attribute, Call, Canonical, Expr, Name
from cnnspec.tensor import Dim, ShapeError, TensorType
from cnnspec.values import kind, show

Callee = Call | Canonical | Name | Attribute


@final
class NodeMaker:
    """The nodes and findings so far; operators and their results are kept, since networks repeat themselves."""

    def __init__(self, max_nodes: int) -> None:
        self.nodes: dict[str, Node] = {}
        self.findings = Findings()
        self.max_nodes = max_nodes
        self.turn: list[tuple[int, int]] = []
        self.guessed: set[str] = set()
        self._ops: dict[tuple[object, ...], AbstractOp] = {}
        self._types: dict[tuple[AbstractOp, tuple[TensorType, ...]], TensorType] = {}

    def fault(
        self,
        code: str,
        message: str,
        span: Span,
        place: Place,
        *,
        help: str | None = None,
        facts: Iterable[str] = (),
        node: str | None = None,
    ) -> Poison:
        """Record an error; the caller raises what this returns."""
        turn = next((f"in turn {at} of {count}" for at, count in reversed(self.turn) if at > 1), None)
        facts = (*facts, *([turn] if turn else []))
        chain = place.frame.lines(span) if place.frame else ()
        return self.findings.add(Diagnostic(code, message, span, facts=facts, chain=chain, node=node, help=help))

    def make(
        self,
        op: type[AbstractOp],
        path: str,
        args: dict[str, Any],
        tensors: tuple[Node, ...],
        bound: Bound,
        expr: Callee,
        scope: Scope,
        place: Place,
    ) -> Node:
        made = self.operator(op, args, bound, place)
        types = tuple(node.type for node in tensors)
        result = self._types.get((made, types))
        if result is None:
            try:
                result = made.infer(*types)
                result.check_limits()
                _check_weights(made, types)
            except ShapeError as error:
                result = self.misfit(error, op, path, tensors, bound, expr, scope, place)
                self.nodes[path] = Node(
                    path, made, tuple(node.path for node in tensors), result, expr.span, place.frame
                )
                return self.nodes[path]
            self._types[made, types] = result
        if path in self.nodes:
            message = f"two nodes have the path {path}"
            raise self.fault("name.path", message, expr.span, place, help="rename the entry")
        if len(self.nodes) >= self.max_nodes:
            raise self.fault("limit.nodes", f"more than {self.max_nodes} nodes", expr.span, place)
        node = Node(path, made, tuple(node.path for node in tensors), result, expr.span, place.frame)
        self.nodes[path] = node
        if self.guessed and not self.guessed.isdisjoint(node.inputs):
            self.guessed.add(path)
        return node

    def misfit(
        self,
        error: ShapeError,
        op: type[AbstractOp],
        path: str,
        tensors: tuple[Node, ...],
        bound: Bound,
        expr: Callee,
        scope: Scope,
        place: Place,
    ) -> TensorType:
        """Record a shape fault. A merge goes on with its first operand's type, so that the same fault further on is
        counted; of what follows from such a guess nothing new is said."""
        code = f"shape.{op.op}"
        labels, facts = _facts(tensors, bound, scope, expr.span)
        follows = not self.guessed.isdisjoint(node.path for node in tensors)
        if not follows or self.findings.has(code, expr.span):
            help = stride_hint(labels, tensors, self.nodes) if op.operands is None else None
            facts = [*error.facts, *facts]
            self.fault(code, error.message, expr.span, place, help=help or error.help, facts=facts, node=path)
        if op.operands is not None or path in self.nodes:
            raise Poison
        self.guessed.add(path)
        return tensors[0].type

    def operator(self, op: type[AbstractOp], args: dict[str, Any], bound: Bound, place: Place) -> AbstractOp:
        key = (op, *((name, type(value), value) for name, value in args.items()))
        known = self._ops.get(key)
        if known is None:
            for name, value in args.items():
                if isinstance(value, Step | Dim) or (isinstance(value, tuple) and _holds_size(value)):
                    what = kind(value) if not isinstance(value, tuple) else "a list that holds such"
                    help = None if isinstance(value, Step) else "a size that holds a symbol is no argument"
                    message = f"{op.op}: {name} wants a plain value, got {what}: {_shown(value)}"
                    raise self.fault("value.argument", message, bound.args[name].span, place, help=help)
            try:
                known = op(**{name: _plain(value) for name, value in args.items()})
            except ValidationError as error:
                raise self.refused(op, error, bound, place) from None
            self._ops[key] = known
        return known

    def refused(self, op: type[AbstractOp], error: ValidationError, bound: Bound, place: Place) -> Poison:
        poison = Poison()
        for name, said in refusals(error, op).items():
            poison = self.fault("value.argument", f"{op.op}: {name}: {said}", bound.args[name].span, place)
        return poison


def _check_weights(op: AbstractOp, types: tuple[TensorType, ...]) -> None:
    for name, shape in op.params(*types).items():
        if prod(shape) > limits.ELEMENTS:
            raise ShapeError(
                f"its {name} {list(shape)} would have {prod(shape)} elements, the limit is {limits.ELEMENTS}"
            )


def _facts(tensors: tuple[Node, ...], bound: Bound, scope: Scope, here: Span) -> tuple[list[str], list[str]]:
    """The operands' names, and what each is and the line it comes from: its entry's, where it is one."""
    piped: list[Expr | None] = [None] * (len(tensors) - len(bound.tensors))
    labels, facts = [], []
    for expr, node in zip([*piped, *bound.tensors], tensors, strict=True):
        label, span = node.path, node.span
        if isinstance(expr, Name):
            label = expr.id
            if scope.body is not None and label in scope.body.entries:
                span = scope.body.entries[label].key
        line = f", from {span.seen_from(here)}" if span is not None else ""
        labels.append(label)
        facts.append(f"{label} is {node.type}{line}")
    return labels, facts


def _holds_size(value: tuple[Any, ...]) -> bool:
    return any(isinstance(item, Dim | Step) or (isinstance(item, tuple) and _holds_size(item)) for item in value)


def _plain(value: Any) -> Any:
    if isinstance(value, Fraction):
        return float(value)
    return tuple(_plain(item) for item in value) if isinstance(value, tuple) else value


def _shown(value: object) -> str:
    return value.expr.span.text if isinstance(value, Step) else show(value)
