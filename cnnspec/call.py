"""Calls: what a name in step position means, and the node or instance that a call of it makes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cnnspec import limits
from cnnspec.bind import Bound, Signature, bind, of_block, of_file, of_operator
from cnnspec.diagnostics import Diagnostic, Span, SpecError, did_you_mean
from cnnspec.files import Block, File
from cnnspec.graph import Frame, Node
from cnnspec.making import Callee, NodeMaker
from cnnspec.ops import BY_NAME
from cnnspec.ops.base import AbstractOp
from cnnspec.scope import Body, Instance, Params, Place, Poison, Scope, Step
from cnnspec.syntax import Attribute, Call, Canonical, Expr, Name
from cnnspec.values import described

Target = Step | tuple[Block, Scope] | File | type[AbstractOp]


class AbstractCaller(ABC):
    """One graph in the making: what makes its nodes, and the meters of its size."""

    def __init__(self, max_nodes: int = limits.NODES) -> None:
        self.maker = NodeMaker(max_nodes)
        self.fault = self.maker.fault
        self._homes: dict[int, Scope] = {}
        self.used: dict[str, Path] = {}
        self.multiplier = 1
        self.depth = 0
        self.work = 0
        self._signatures: dict[int, tuple[object, Signature]] = {}
        self._bound: dict[tuple[int, bool], tuple[object, object, Bound]] = {}

    @abstractmethod
    def tensor(self, expr: Expr, scope: Scope, place: Place) -> Node: ...

    @abstractmethod
    def argument(self, expr: Expr, scope: Scope, place: Place) -> Any: ...

    @abstractmethod
    def apply(self, expr: Expr, x: Node, scope: Scope, place: Place) -> Any: ...

    @abstractmethod
    def make_params(self, file: File, overrides: Mapping[str, object]) -> Params: ...

    # what a name in step position means

    def target(self, name: str, scope: Scope) -> Target | None:
        held = scope.names.get(name)
        if isinstance(held, Step):
            return held
        if name in scope.file.params and name not in scope.names:
            value = scope.params.value(name)
            if isinstance(value, Step):
                return value
        if name in scope.file.blocks:
            return scope.file.blocks[name], scope
        return scope.file.uses.get(name) or BY_NAME.get(name)

    def block_of_file(self, expr: Attribute, scope: Scope) -> Target | None:
        used = scope.file.uses.get(expr.base.id) if isinstance(expr.base, Name) else None
        if used is None or expr.name not in used.blocks:
            return None
        if id(used) not in self._homes:
            self._homes[id(used)] = Scope(used, self.make_params(used, {}), {}, None)
        return used.blocks[expr.name], self._homes[id(used)]

    def callee(self, expr: Name | Attribute, scope: Scope, place: Place) -> tuple[Target, str]:
        """The target and the name the step bears in paths."""
        if isinstance(expr, Attribute):
            if (found := self.block_of_file(expr, scope)) is not None:
                return found, expr.name
            used = scope.file.uses.get(expr.base.id) if isinstance(expr.base, Name) else None
            help = did_you_mean(expr.name, used.blocks) if used else None
            message = f"'{expr.span.text}' names no block of a used spec"
            raise self.fault("name.unknown", message, expr.span, place, help=help)
        target = self.target(expr.id, scope)
        if target is not None:
            return target, expr.id
        if expr.id in scope.names or expr.id in scope.file.params:
            value = scope.names[expr.id] if expr.id in scope.names else scope.params.value(expr.id)
            message = f"a step is due here, '{expr.id}' is {described(value)}"
            raise self.fault("value.step", message, expr.span, place)
        known = [*BY_NAME, *scope.file.blocks, *scope.file.uses]
        help = did_you_mean(expr.id, known) or "cnnspec list ops shows the operators"
        message = f"there is no operator or block '{expr.id}'"
        raise self.fault("name.operator", message, expr.span, place, help=help)

    # calls

    def invoke(self, target: Target, name: str, expr: Callee, x: Node | None, scope: Scope, place: Place) -> Any:
        """A call of any target: a Node for an operator, an Instance for a block or used spec."""
        self.work += 1
        if self.work > 4 * len(self.maker.nodes) + limits.IDLE_CALLS:
            message = f"more than {limits.IDLE_CALLS} calls that make no node, while the graph is written"
            raise self.fault("limit.work", message, expr.span, place)
        if isinstance(target, Step):
            return self.held(target, name, expr, x, scope, place)
        path = place.step(name)
        bound = self.bound(target, name, expr, x is not None, place)
        tensors = self.tensors(bound, x, scope, place)
        args = {key: self.argument(value, scope, place) for key, value in bound.args.items()}
        for key, value in args.items():
            if isinstance(value, Node | Instance):
                message = f"{name} takes a value for '{key}', got a tensor"
                help = f"tensors stand before a semicolon in a signature: {name}(x, {key}; ...)"
                raise self.fault("value.kind", message, bound.args[key].span, place, help=help)
        if isinstance(target, type):
            return self.maker.make(target, path, args, tensors, bound, expr, scope, place)
        frame = Frame(name, tuple(args.items()), expr.span, place.frame)
        if frame.depth > limits.BLOCK_DEPTH:
            raise self.too_deep(expr.span, place)
        if isinstance(target, File):
            return self.use(target, name, path, args, tensors, frame, bound, place)
        return self.instance(*target, path, args, tensors, frame)

    def bound(self, target: Target, name: str, expr: Callee, piped: bool, place: Place) -> Bound:
        subject = target[0] if isinstance(target, tuple) else target
        known = self._bound.get((id(expr), piped))
        if known is not None and known[0] is expr and known[1] is subject:
            return known[2]
        call = Name(expr.span, name) if isinstance(expr, Attribute) else expr
        try:
            bound = bind(self.signature(subject, name), call, piped=piped)
        except SpecError as error:
            for diagnostic in error.diagnostics:
                poison = self.maker.findings.add(diagnostic)
            raise poison from None
        self._bound[id(expr), piped] = (expr, subject, bound)
        return bound

    def signature(self, subject: object, name: str) -> Signature:
        known = self._signatures.get(id(subject))
        if known is None or known[0] is not subject:
            if isinstance(subject, Block):
                made = of_block(subject)
            elif isinstance(subject, File):
                made = of_file(name, subject)
            else:
                assert isinstance(subject, type) and issubclass(subject, AbstractOp)
                made = of_operator(subject)
            known = self._signatures[id(subject)] = (subject, made)
        return known[1]

    def tensors(self, bound: Bound, x: Node | None, scope: Scope, place: Place) -> tuple[Node, ...]:
        """All operands; every one is tried, so that independent faults come together."""
        nodes = [x] if x is not None else []
        poison: Poison | None = None
        for expr in bound.tensors:
            try:
                nodes.append(self.tensor(expr, scope, place))
            except Poison as fault:
                poison = fault
        if poison is not None:
            raise poison
        return tuple(nodes)

    def held(self, step: Step, name: str, expr: Callee, x: Node | None, scope: Scope, place: Place) -> Any:
        """A step held by an argument or param; it bears the name it is used by."""
        if isinstance(expr, Call) and (expr.named or len(expr.args) > (x is None)):
            if not isinstance(step.expr, Name | Attribute):
                message = f"'{name}' holds a whole step and takes no arguments"
                raise self.fault("call.arguments", message, expr.span, place)
            target, _ = self.callee(step.expr, step.scope, place)
            return self.deeper(expr.span, place, lambda: self.invoke(target, name, expr, x, scope, place))
        if x is None and isinstance(expr, Call) and expr.args:
            x = self.tensor(expr.args[0], scope, place)
        if x is None:
            raise self.fault("call.tensors", f"{name} takes 1 tensor (x), got 0", expr.span, place)
        inner, given = step.expr, x
        if isinstance(inner, Name | Attribute | Call | Canonical):
            head = inner.callee if isinstance(inner, Call) else inner.op if isinstance(inner, Canonical) else inner
            target, _ = self.callee(head, step.scope, place)
            return self.deeper(inner.span, place, lambda: self.invoke(target, name, inner, given, step.scope, place))
        level = Place(place.step(name), place.frame, {})
        return self.deeper(inner.span, place, lambda: self.apply(inner, given, step.scope, level))

    def too_deep(self, span: Span, place: Place) -> Poison:
        """The fault of blocks or held steps that call themselves through their arguments."""
        message = f"blocks nested deeper than {limits.BLOCK_DEPTH} levels"
        return self.maker.findings.add(Diagnostic("limit.blocks", message, span))

    def deeper(self, span: Span, place: Place, call: Any) -> Any:
        if self.depth >= limits.BLOCK_DEPTH:
            raise self.too_deep(span, place)
        self.depth += 1
        try:
            return call()
        finally:
            self.depth -= 1

    # blocks and used specs

    def instance(
        self, block: Block, home: Scope, path: str, args: dict[str, Any], tensors: tuple[Node, ...], frame: Frame
    ) -> Instance:
        names: dict[str, object] = dict(zip(block.tensors, tensors, strict=True))
        scope = Scope(home.file, home.params, names, None)
        place = Place(path, frame, {})
        for argument in block.arguments:
            if argument.name in args:
                names[argument.name] = args[argument.name]
            elif argument.default is not None:
                names[argument.name] = self.argument(argument.default, scope, place)
        body = Body(block.body, path, frame, "out" if "out" in block.body else None, is_block=True)
        body.scope = Scope(home.file, home.params, names, body)
        return Instance(block.name, body)

    def use(
        self,
        file: File,
        name: str,
        path: str,
        args: dict[str, Any],
        tensors: tuple[Node, ...],
        frame: Frame,
        bound: Bound,
        place: Place,
    ) -> Instance:
        params = self.make_params(file, args)
        for key, value in args.items():
            self.check_override(params, key, value, bound.args[key].span, place)
        for (label, entry), node in zip(file.inputs.items(), tensors, strict=True):
            self.check_input(params, entry, label, node, frame.span, place, name)
        if file.path is not None:
            self.used[path] = file.path
        main = [output for output, options in file.outputs.items() if options.when is None]
        body = Body(file.net, path, frame, main[0] if len(main) == 1 else None, is_block=False)
        body.scope = Scope(file, params, dict(zip(file.inputs, tensors, strict=True)), body)
        return Instance(name, body)

    @abstractmethod
    def check_override(self, params: Params, name: str, value: object, span: Span, place: Place) -> None: ...

    @abstractmethod
    def check_input(
        self, params: Params, entry: Any, label: str, node: Node, span: Span, place: Place, name: str
    ) -> None: ...
