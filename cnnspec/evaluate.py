"""Expressions to values and nodes. Three positions: plain (a call has all its tensors), argument (a call is a
step held as a value), and step (a call gets its first tensor from the left)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn, final

from cnnspec import declare, limits
from cnnspec.call import AbstractCaller
from cnnspec.diagnostics import Span, did_you_mean
from cnnspec.files import Entry, File
from cnnspec.graph import Node
from cnnspec.scope import Instance, Params, Place, Poison, Scope, Step
from cnnspec.syntax import (
    HELPERS,
    Attribute,
    Binary,
    Call,
    Canonical,
    Conditional,
    Expr,
    Given,
    Index,
    ListOf,
    Literal,
    Loop,
    Name,
    Pipe,
    Unary,
    dotted,
)
from cnnspec.values import BINARY, ValueFault, bounded, described, helper, kind, show

SIZES = {"width": -1, "height": -2, "depth": -3}


@final
class Evaluator(AbstractCaller):
    """Evaluates over one graph in the making (see AbstractCaller for what it holds)."""

    def evaluate(self, expr: Expr, scope: Scope, place: Place) -> Any:
        """In plain position: a value, a Node, an Instance or a Step; raises Poison where a fault was recorded."""
        try:
            return _PLAIN[type(expr)](self, expr, scope, place)
        except ValueFault as fault:
            raise self.fault(fault.code, fault.message, expr.span, place, help=fault.help) from None

    def argument(self, expr: Expr, scope: Scope, place: Place) -> Any:
        """In argument position, where a call or pipe is a step held as a value."""
        if isinstance(expr, Conditional):
            branch = expr.then if self.truth(expr.test, scope, place) else expr.otherwise
            return self.argument(branch, scope, place)
        if isinstance(expr, ListOf):
            return self.evaluate(expr, scope, place)
        return Step(expr, scope) if self.is_step(expr, scope) else self.evaluate(expr, scope, place)

    def make_params(self, file: File, overrides: Mapping[str, object]) -> Params:
        return declare.make_params(self, file, overrides)

    def check_override(self, params: Params, name: str, value: object, span: Span, place: Place) -> None:
        declare.check_override(self, params.file, name, value, span, place)

    def check_input(
        self, params: Params, entry: Entry, label: str, node: Node, span: Span, place: Place, name: str
    ) -> None:
        declare.check_input(self, params, entry, label, node, span, place, name)

    def is_step(self, expr: Expr, scope: Scope) -> bool:
        if isinstance(expr, Call):
            return not (isinstance(expr.callee, Name) and expr.callee.id in HELPERS)
        if isinstance(expr, Binary):
            return expr.sign == "*" and self.is_step(expr.right, scope)
        if isinstance(expr, Attribute):
            return isinstance(expr.base, Name) and self.block_of_file(expr, scope) is not None
        if isinstance(expr, Name):
            return self.names_step(expr.id, scope)
        if isinstance(expr, Conditional):
            return self.is_step(expr.then, scope)
        return isinstance(expr, Pipe | Loop | Canonical)

    def names_step(self, name: str, scope: Scope) -> bool:
        if scope.body is not None and name in scope.body.entries:
            return False
        if name in scope.names:
            return False  # its value is handed on as it is, a step included
        return name not in scope.file.params and self.target(name, scope) is not None

    def tensor(self, expr: Expr, scope: Scope, place: Place) -> Node:
        return self.node_of(self.evaluate(expr, scope, place), expr, place)

    def node_of(self, value: object, expr: Expr, place: Place) -> Node:
        if isinstance(value, Node):
            return value
        if isinstance(value, Instance):
            return self.result(value, expr, place)
        help = "write x -> step, or give a call all its tensors" if isinstance(value, Step) else None
        raise self.fault("value.tensor", f"a tensor is due here, got {described(value)}", expr.span, place, help=help)

    def result(self, instance: Instance, expr: Expr, place: Place) -> Node:
        body = instance.body
        if body.result is None:
            taps = ", ".join(list(body.entries)[:6])
            help = f"tap one of its entries ({taps})" + (", or give the block an entry out" if body.is_block else "")
            help = help if taps else "give the block an expression"
            message = f"{instance.name} has not exactly one result"
            raise self.fault("value.result", message, expr.span, place, help=help)
        return self.node_of(body.value(body.result, self.evaluate), expr, place)

    def truth(self, expr: Expr, scope: Scope, place: Place) -> bool:
        value = self.evaluate(expr, scope, place)
        if not isinstance(value, bool):
            raise self.fault("value.kind", f"a condition is a boolean, got {described(value)}", expr.span, place)
        return value

    # plain position, one method per form

    def literal(self, expr: Literal, scope: Scope, place: Place) -> Any:
        return expr.value

    def name(self, expr: Name, scope: Scope, place: Place) -> Any:
        if scope.body is not None and expr.id in scope.body.entries:
            return scope.body.value(expr.id, self.evaluate)
        if expr.id in scope.names:
            value = scope.names[expr.id]
            if isinstance(value, Poison):
                raise value
            return value
        if expr.id in scope.file.params:
            return scope.params.value(expr.id)
        if self.target(expr.id, scope) is not None:
            return Step(expr, scope)
        raise self.unknown(expr, scope, place)

    def unknown(self, expr: Name, scope: Scope, place: Place) -> Poison:
        entries = scope.body.entries if scope.body is not None else {}
        known = [*entries, *scope.names, *scope.file.params]
        help = did_you_mean(expr.id, known)
        return self.fault("name.unknown", f"there is no '{expr.id}' here", expr.span, place, help=help)

    def given(self, expr: Given, scope: Scope, place: Place) -> Any:
        return expr.value

    def list_of(self, expr: ListOf, scope: Scope, place: Place) -> Any:
        return bounded(tuple(self.argument(item, scope, place) for item in expr.items))

    def attribute(self, expr: Attribute, scope: Scope, place: Place) -> Any:
        path = dotted(expr)
        if path and scope.body is not None and path in scope.body.entries:
            return scope.body.value(path, self.evaluate)
        base = self.evaluate(expr.base, scope, place)
        if isinstance(base, Instance) and expr.name in base.body.entries:
            return base.body.value(expr.name, self.evaluate)
        if isinstance(base, Instance) and expr.name not in ("channels", "shape", *SIZES):
            message, help = f"{base.name} has no entry '{expr.name}'", did_you_mean(expr.name, base.body.entries)
            raise self.fault("name.tap", message, expr.span, place, help=help)
        if not isinstance(base, Node | Instance):
            raise self.fault("value.attribute", f"{kind(base)} has no .{expr.name}", expr.span, place)
        shape = self.node_of(base, expr.base, place).type.shape
        if expr.name == "shape":
            return shape
        if expr.name == "channels":
            return shape[1]
        at = SIZES.get(expr.name)
        if at is None or len(shape) - 2 < -at:
            help = "a tensor has .channels, .shape and, by its rank, .width, .height, .depth"
            message = f"a tensor of {len(shape)} axes has no .{expr.name}"
            raise self.fault("value.attribute", message, expr.span, place, help=help)
        return shape[at]

    def index(self, expr: Index, scope: Scope, place: Place) -> Any:
        base, index = self.evaluate(expr.base, scope, place), self.evaluate(expr.index, scope, place)
        if not isinstance(base, tuple):
            raise self.fault("value.kind", f"only a list has items, this is {kind(base)}", expr.span, place)
        if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < len(base):
            message = f"the list has {len(base)} items, [0] to [{len(base) - 1}], got [{show(index)}]"
            raise self.fault("value.index", message, expr.index.span, place)
        return base[index]

    def unary(self, expr: Unary, scope: Scope, place: Place) -> Any:
        if expr.sign == "not":
            return not self.truth(expr.operand, scope, place)
        return BINARY["-"]("-", 0, self.evaluate(expr.operand, scope, place))

    def binary(self, expr: Binary, scope: Scope, place: Place) -> Any:
        if expr.sign in ("and", "or"):
            left = self.truth(expr.left, scope, place)
            return self.truth(expr.right, scope, place) if left == (expr.sign == "and") else left
        if expr.sign == "*" and self.is_step(expr.right, scope):
            help = "write x -> n * step"
            raise self.fault(
                "value.tensor", "a repeat is a step: it gets its tensor from the left", expr.span, place, help=help
            )
        left = self.evaluate(expr.left, scope, place)
        return BINARY[expr.sign](expr.sign, left, self.evaluate(expr.right, scope, place))

    def conditional(self, expr: Conditional, scope: Scope, place: Place) -> Any:
        branch = expr.then if self.truth(expr.test, scope, place) else expr.otherwise
        return self.evaluate(branch, scope, place)

    def pipe(self, expr: Pipe, scope: Scope, place: Place) -> Any:
        value = self.evaluate(expr.first, scope, place)
        before = expr.first
        for step in expr.steps:
            value = self.apply(step, self.node_of(value, before, place), scope, place)
            before = step
        return value

    def loop(self, expr: Loop, scope: Scope, place: Place) -> NoReturn:
        message = "a loop is a step: it gets its tensor from the left"
        raise self.fault("value.tensor", message, expr.span, place, help="write x -> (step for i in n)")

    def call(self, expr: Call, scope: Scope, place: Place) -> Any:
        if isinstance(expr.callee, Name) and expr.callee.id in HELPERS:
            return helper(expr.callee.id, [self.evaluate(arg, scope, place) for arg in expr.args])
        return self.invoke(*self.callee(expr.callee, scope, place), expr, None, scope, place)

    def canonical(self, expr: Canonical, scope: Scope, place: Place) -> Any:
        return self.invoke(*self.callee(expr.op, scope, place), expr, None, scope, place)

    # step position

    def apply(self, expr: Expr, x: Node, scope: Scope, place: Place) -> Any:
        """What a step gives for the tensor on its left: a Node or an Instance."""
        try:
            return self.applied(expr, x, scope, place)
        except ValueFault as fault:
            raise self.fault(fault.code, fault.message, expr.span, place, help=fault.help) from None

    def applied(self, expr: Expr, x: Node, scope: Scope, place: Place) -> Any:
        if isinstance(expr, Name | Attribute):
            return self.invoke(*self.callee(expr, scope, place), expr, x, scope, place)
        if isinstance(expr, Call):
            return self.invoke(*self.callee(expr.callee, scope, place), expr, x, scope, place)
        if isinstance(expr, Canonical):
            return self.invoke(*self.callee(expr.op, scope, place), expr, x, scope, place)
        if isinstance(expr, Pipe):
            value = self.apply(expr.first, x, scope, place)
            for before, step in zip((expr.first, *expr.steps), expr.steps, strict=False):
                value = self.apply(step, self.node_of(value, before, place), scope, place)
            return value
        if isinstance(expr, Conditional):
            branch = expr.then if self.truth(expr.test, scope, place) else expr.otherwise
            return self.apply(branch, x, scope, place)
        if isinstance(expr, Binary) and expr.sign == "*":
            count = self.turns(self.evaluate(expr.left, scope, place), expr.left.span, place)
            return self.repeat(expr.right, x, place, (scope for _ in range(count)), count)
        if isinstance(expr, Loop):
            return self.looped(expr, x, scope, place)
        message = "a step is due here: an operator, a block, or a pipe that begins with one"
        raise self.fault("value.step", message, expr.span, place)

    def looped(self, expr: Loop, x: Node, scope: Scope, place: Place) -> Any:
        over = self.evaluate(expr.over, scope, place)
        items = over if isinstance(over, tuple) else range(self.turns(over, expr.over.span, place))
        self.turns(len(items), expr.over.span, place)
        names = [name.id for name in expr.names]
        if len(names) > 1:
            for item in items:
                if not isinstance(item, tuple) or len(item) != len(names):
                    message = f"{len(names)} names want items of {len(names)} values, got {show(item)}"
                    raise self.fault("value.loop", message, expr.over.span, place)
        rows = [item if isinstance(item, tuple) and len(names) > 1 else (item,) for item in items]
        scopes = (
            Scope(scope.file, scope.params, {**scope.names, **dict(zip(names, row, strict=True))}, scope.body)
            for row in rows
        )
        return self.repeat(expr.step, x, place, scopes, len(items))

    def turns(self, count: object, span: Span, place: Place) -> int:
        if isinstance(count, bool) or not isinstance(count, int):
            raise self.fault("value.repeat", f"a repeat wants a whole number, got {described(count)}", span, place)
        if not 0 <= count <= limits.REPEAT:
            raise self.fault("limit.repeat", f"a repeat of {count} turns: it is from 0 to {limits.REPEAT}", span, place)
        return count

    def repeat(self, step: Expr, x: Node, place: Place, scopes: Iterable[Scope], count: int) -> Any:
        outer = self.multiplier
        if outer * count > self.maker.max_nodes:
            message = f"nested repeats would write {outer * count} nodes or more, the limit is {self.maker.max_nodes}"
            raise self.fault("limit.nodes", message, step.span, place)
        self.multiplier = outer * max(count, 1)
        value: Any = x
        try:
            for turn, scope in enumerate(scopes, 1):
                self.maker.turn.append((turn, count))
                try:
                    value = self.node_of(self.apply(step, value, scope, place), step, place)
                finally:
                    self.maker.turn.pop()
        finally:
            self.multiplier = outer
        return value


_PLAIN: dict[type, Callable[[Evaluator, Any, Scope, Place], Any]] = {
    Literal: Evaluator.literal,
    Name: Evaluator.name,
    ListOf: Evaluator.list_of,
    Given: Evaluator.given,
    Attribute: Evaluator.attribute,
    Index: Evaluator.index,
    Unary: Evaluator.unary,
    Binary: Evaluator.binary,
    Conditional: Evaluator.conditional,
    Pipe: Evaluator.pipe,
    Loop: Evaluator.loop,
    Call: Evaluator.call,
    Canonical: Evaluator.canonical,
}
