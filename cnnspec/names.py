"""Checks names, arguments and arity in every expression of a file, also in branches not taken and blocks not used.

What has a fault here is not evaluated later: its entry loses its expression, so that nothing is said twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, final
from typing import Literal as Choice

from pydantic import ValidationError

from cnnspec import zoo
from cnnspec.bind import Signature, bind, of_block, of_file, of_operator
from cnnspec.diagnostics import Diagnostic, Span, SpecError, did_you_mean
from cnnspec.files import Entry, File
from cnnspec.ops import BY_NAME
from cnnspec.ops.base import AbstractOp
from cnnspec.scope import Findings
from cnnspec.spec import refusals
from cnnspec.synonyms import meant
from cnnspec.syntax import (
    HELPERS,
    WORDS,
    Attribute,
    Binary,
    Call,
    Canonical,
    Conditional,
    Expr,
    Given,
    ListOf,
    Literal,
    Loop,
    Name,
    Pipe,
    Unary,
    children,
    dotted,
)
from cnnspec.twins import circles, result_steps, twins

Mode = Choice["plain", "argument", "step"]
SIZES = ("channels", "shape", "width", "height", "depth")


@dataclass(slots=True)
class Env:
    """The names one body sees; `refers` collects the entries each expression names."""

    entries: dict[str, Entry] = field(default_factory=dict)
    tensors: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    refers: set[str] = field(default_factory=set)


def check_file(file: File, findings: Findings) -> None:
    """Check one file; its faults go to findings. Files it uses are checked by their own call."""
    _Checker(file, findings).run()


@final
class _Checker:
    def __init__(self, file: File, findings: Findings) -> None:
        self.file, self.findings = file, findings
        self.calls: dict[str, set[str]] = {}
        self.block = ""
        self.spoiled = False
        """The expression calls a block whose signature cannot be read."""

    def run(self) -> None:
        for diagnostic in self.file.found:
            self.findings.add(diagnostic)
        twins(self.file, self.findings)
        self.section(self.file.params, Env(self.file.params), "param.cycle", "params need each other in a circle")
        for name, block in list(self.file.blocks.items()):
            self.block = name
            self.calls[name] = set()
            arguments = tuple(a.name for a in block.arguments)
            env = Env(block.body, block.tensors, arguments)
            for at, argument in enumerate(block.arguments):
                if argument.default is not None:
                    self.walk(argument.default, Env({}, block.tensors, arguments[:at]), "argument")
            if not block.body:
                self.say("block.empty", f"the block '{name}' has no entries", block.key, "give it an expression")
            self.section(block.body, env, "graph.cycle", "entries need each other in a circle")
            result_steps(block, self.findings)
        self.block = ""
        env = Env(self.file.net, tuple(self.file.inputs))
        message = "entries need each other in a circle"
        self.file.references = self.section(self.file.net, env, "graph.cycle", message)
        self.recursion()

    def say(self, code: str, message: str, span: Span, help: str | None = None) -> None:
        self.findings.add(Diagnostic(code, message, span, help=help))

    # a section of entries: every expression, then circles among them

    def section(self, entries: dict[str, Entry], env: Env, code: str, message: str) -> dict[str, set[str]]:
        needs: dict[str, set[str]] = {}
        for name, entry in list(entries.items()):
            needs[name] = set()
            if entry.expr is None:
                continue
            before = len(self.findings.by_place)
            env.refers = set()
            self.spoiled = False
            self.no_step(entry, env)
            self.walk(entry.expr, env, "argument" if entries is self.file.params else "plain")
            needs[name] = env.refers - {*env.tensors, *env.values}
            if "." in name and not isinstance(entry.expr, Canonical):
                help = "write {op: ..., in: ...} under a path"
                self.say("spec.path", f"'{name}' is a path, and holds a node in canonical form", entry.span, help)
            if len(self.findings.by_place) > before or self.spoiled:
                entries[name] = replace(entry, expr=None)
        for name in {*env.tensors, *env.values} & entries.keys():
            entries[name] = replace(entries[name], expr=None)  # a twin: names.twins says so
        for circle in circles(needs):
            path = " -> ".join([*circle, circle[0]])
            lines = ", ".join(f"{name} in line {entries[name].key.line}" for name in circle[:20])
            span = entries[circle[0]].key
            self.findings.add(Diagnostic(code, f"{message}: {path}", span, facts=(lines,)))
            for name in circle:
                entries[name] = replace(entries[name], expr=None)
        return needs

    def no_step(self, entry: Entry, env: Env) -> None:
        """`a: relu` names a step and no tensor."""
        expr = entry.expr
        if isinstance(expr, Name) and env.entries is not self.file.params and self.is_step(expr, env):
            help = f"write x -> {expr.id}"
            self.say("value.tensor", f"an entry is a tensor or a value, '{expr.id}' is a step", expr.span, help)

    def is_step(self, expr: Name, env: Env) -> bool:
        known = (env.entries, env.tensors, env.values, self.file.params)
        return not any(expr.id in names for names in known) and self.signature(expr.id) is not None

    def recursion(self) -> None:
        for circle in circles(self.calls):
            path = " -> ".join([*circle, circle[0]])
            self.say("block.recursion", f"blocks may not call themselves: {path}", self.file.blocks[circle[0]].key)
            for name in circle:
                self.file.blocks[name] = replace(self.file.blocks[name], body=_emptied(self.file.blocks[name].body))

    # one expression

    def walk(self, expr: Expr, env: Env, mode: Mode) -> None:
        if isinstance(expr, Name):
            self.name(expr, env, mode)
        elif isinstance(expr, Attribute):
            self.attribute(expr, env, mode)
        elif isinstance(expr, Call):
            self.call(expr, expr.callee, env, mode)
        elif isinstance(expr, Canonical):
            piped = mode == "step" or (mode == "argument" and not expr.inputs)
            self.call(expr, expr.op, env, "step" if piped else "plain")
        elif isinstance(expr, Pipe):
            tensor = (
                mode == "argument" and isinstance(expr.first, Name) and expr.first.id in (*env.entries, *env.tensors)
            )
            self.walk(expr.first, env, "plain" if mode == "plain" or tensor else "step")
            for step in expr.steps:
                self.walk(step, env, "step")
        elif isinstance(expr, Conditional):
            self.walk(expr.test, env, "plain")
            for branch in (expr.then, expr.otherwise):
                self.walk(branch, env, mode)
                if mode == "plain" and isinstance(branch, Name) and self.is_step(branch, env):
                    help = "a conditional step wants parentheses: x -> (a if c else b)"
                    self.say(
                        "value.tensor", f"a tensor or value is due here, '{branch.id}' is a step", branch.span, help
                    )
        elif isinstance(expr, Loop):
            self.walk(expr.over, env, "plain")
            names = tuple(name.id for name in expr.names)
            self.loop_names(expr, env)
            self.walk(expr.step, Env(env.entries, env.tensors, (*env.values, *names), env.refers), "step")
        elif isinstance(expr, Binary) and expr.sign == "*":
            self.walk(expr.left, env, "plain")
            self.walk(expr.right, env, "argument" if mode == "argument" else mode)
        elif isinstance(expr, ListOf):
            for item in expr.items:
                self.walk(item, env, "argument")
        elif mode == "step":
            message = "a step is due here: an operator, a block, or a pipe that begins with one"
            self.say("value.step", message, expr.span)
        else:
            for child in children(expr):
                self.walk(child, env, "plain")

    def name(self, expr: Name, env: Env, mode: Mode) -> None:
        if mode != "step":
            if expr.id in env.entries:
                env.refers.add(expr.id)
                return
            if expr.id in env.tensors or expr.id in env.values or expr.id in self.file.params:
                return
        if expr.id in env.values or (expr.id in self.file.params and self.signature(expr.id) is None):
            return
        signature = self.signature(expr.id)
        if signature is not None:
            if mode == "step" and expr.id not in self.file.params:
                self.bind(signature, expr, piped=True)
            return
        if expr.id in self.file.broken:
            self.spoiled = True
        elif mode == "step":
            known = [*BY_NAME, *self.file.blocks, *self.file.uses]
            help: str | None = meant(expr.id, known, "operator") or "cnnspec list ops shows the operators"
            if expr.id in zoo.names():
                help = f"bring the shipped spec in: use: {{{expr.id}: {expr.id}}}"
            if expr.id in env.entries or expr.id in env.tensors:
                help = f"'{expr.id}' is a tensor; tensors are merged by name: add(a, b)"
            self.say("name.operator", f"there is no operator or block '{expr.id}'", expr.span, help)
        elif expr.id in ("yes", "no", "on", "off", "True", "False", "None", "null"):
            self.say("name.unknown", f"there is no '{expr.id}' here", expr.span, "write true, false or none")
        else:
            known = [*env.entries, *env.tensors, *env.values, *self.file.params]
            symbol = f"a size is read from a tensor: {next(iter(self.file.inputs), 'x')}.height"
            steps = [*BY_NAME, *self.file.blocks, *WORDS] if mode == "argument" else []
            near = meant(expr.id, [*known, *steps], "operator") or f"known here: {', '.join(known[:8]) or 'nothing'}"
            if self.block and (expr.id in self.file.net or expr.id in self.file.inputs):
                near = f"a block sees its own tensors alone: {', '.join(env.tensors) or 'none'}"
            help = symbol if expr.id in self.symbols() else near
            self.say("name.unknown", f"there is no '{expr.id}' here", expr.span, help)

    def loop_names(self, expr: Loop, env: Env) -> None:
        taken = {*env.entries, *env.tensors, *env.values, *self.file.params, *self.file.blocks, *self.file.uses}
        for name in expr.names:
            if name.id in taken:
                help = "rename the loop's name"
                self.say("name.twice", f"'{name.id}' in the loop has another meaning here", name.span, help)
            taken.add(name.id)

    def symbols(self) -> set[str]:
        """Names in the declarations of inputs."""
        pending = [entry.expr for entry in self.file.inputs.values() if entry.expr is not None]
        found = set()
        while pending:
            expr = pending.pop()
            found |= {expr.id} if isinstance(expr, Name) else set()
            pending += children(expr)
        return found

    def attribute(self, expr: Attribute, env: Env, mode: Mode) -> None:
        path = dotted(expr)
        if path in env.entries and mode != "step":
            env.refers.add(path)
            return
        base = expr.base
        if isinstance(base, Name) and base.id in self.file.uses and base.id not in env.entries:
            blocks = self.file.uses[base.id].blocks
            if expr.name not in blocks:
                message, help = f"'{base.id}' has no block '{expr.name}'", did_you_mean(expr.name, blocks)
                if expr.name in self.file.uses[base.id].net:
                    help = f"tap an entry that holds its call: body: image -> {base.id}, then body.{expr.name}"
                self.say("name.unknown", message, expr.span, help)
            elif mode == "step":
                self.bind(of_block(blocks[expr.name]), Name(expr.span, expr.name), piped=True)
            return
        before = len(self.findings.by_place)
        self.walk(base, env, "plain")
        if len(self.findings.by_place) > before:
            return
        if isinstance(base, Name) and base.id in env.entries:
            self.tap(expr, base.id, env.entries[base.id])
        elif expr.name not in SIZES:
            help = did_you_mean(expr.name, SIZES) or f"a tensor has {', '.join('.' + name for name in SIZES)}"
            self.say("value.attribute", f"there is no .{expr.name}", expr.span, help)

    def tap(self, expr: Attribute, name: str, entry: Entry) -> None:
        if expr.name in SIZES or entry.expr is None:
            return
        inner = entry.expr
        call = inner.steps[0] if isinstance(inner, Pipe) and len(inner.steps) == 1 else inner
        head = call.callee if isinstance(call, Call) else call
        entries: Iterable[str] | None = None
        if isinstance(head, Name) and head.id in self.file.blocks:
            entries = self.file.blocks[head.id].body
        elif isinstance(head, Name) and head.id in self.file.uses:
            entries = self.file.uses[head.id].net
        elif isinstance(head, Attribute) and isinstance(head.base, Name) and head.base.id in self.file.uses:
            block = self.file.uses[head.base.id].blocks.get(head.name)
            entries = block.body if block else None
        elif isinstance(inner, Conditional | Name):
            return
        if entries is None:
            help = "an entry is tapped where it holds the call of a block or used spec alone"
            self.say("name.tap", f"'{name}' has no entry '{expr.name}'", expr.span, help)
        elif expr.name not in entries:
            help = did_you_mean(expr.name, entries) or f"its entries are {', '.join(list(entries)[:8])}"
            self.say("name.tap", f"'{name}' has no entry '{expr.name}'", expr.span, help)

    def call(self, expr: Call | Canonical, head: Name | Attribute, env: Env, mode: Mode) -> None:
        piped = mode != "plain"
        args = expr.args if isinstance(expr, Call) else expr.inputs
        if isinstance(head, Name) and head.id in HELPERS and mode != "step":
            if expr.named:
                self.say("call.unknown", f"{head.id} takes no keywords", expr.named[0][0].span)
            for arg in args:
                self.walk(arg, env, "plain")
            return
        held = isinstance(head, Name) and (head.id in env.values or head.id in self.file.params)
        signature = None if held else self.head_signature(head, env)
        if signature is None:
            for arg in (*args, *(value for _, value in expr.named)):
                self.walk(arg, env, "argument")
            return
        bound = self.bind(signature, expr, piped=piped)
        if bound is None:
            for arg in (*args, *(value for _, value in expr.named)):
                self.walk(arg, env, "argument")
            return
        for tensor in bound[0]:
            self.walk(tensor, env, "plain")
        for value in bound[1].values():
            self.walk(value, env, "argument")
        op = BY_NAME.get(signature.name)
        if op is not None and isinstance(head, Name) and head.id not in (*self.file.blocks, *self.file.uses):
            self.literal_arguments(op, bound[1])

    def head_signature(self, head: Name | Attribute, env: Env) -> Signature | None:
        if isinstance(head, Attribute):
            used = self.file.uses.get(head.base.id) if isinstance(head.base, Name) else None
            if used is None or head.name not in used.blocks:
                help = did_you_mean(head.name, used.blocks) if used else meant(head.name, BY_NAME, "operator")
                help = help or "a name before a dot is a used spec, and the name after it one of its blocks"
                self.say("name.operator", f"there is no operator or block '{head.span.text[:60]}'", head.span, help)
                return None
            return of_block(used.blocks[head.name])
        signature = self.signature(head.id)
        if signature is None:
            self.name(head, env, "step")
        return signature

    def signature(self, name: str) -> Signature | None:
        if name in self.file.blocks:
            if self.block:
                self.calls[self.block].add(name)
            return of_block(self.file.blocks[name])
        if name in self.file.uses:
            return of_file(name, self.file.uses[name])
        return of_operator(BY_NAME[name]) if name in BY_NAME else None

    def bind(
        self, signature: Signature, expr: Call | Canonical | Name, *, piped: bool
    ) -> tuple[tuple[Expr, ...], dict[str, Expr]] | None:
        try:
            bound = bind(signature, expr, piped=piped)
        except SpecError as error:
            for diagnostic in error.diagnostics:
                self.findings.add(diagnostic)
            return None
        return bound.tensors, bound.args

    def literal_arguments(self, op: type[AbstractOp], args: dict[str, Expr]) -> None:
        """Arguments that are written out are validated even where the call is never made."""
        values = {name: _literal(expr) for name, expr in args.items()}
        if any(value is _UNKNOWN for value in values.values()):
            return
        try:
            op(**values)
        except ValidationError as error:
            for name, said in refusals(error, op).items():
                self.say("value.argument", f"{op.op}: {name}: {said}", args[name].span)


_UNKNOWN = object()


def _literal(expr: Expr) -> object:
    """The value of an expression that is written out, else _UNKNOWN."""
    if isinstance(expr, Literal):
        is_decimal = not isinstance(expr.value, int | str | None)
        return float(expr.value) if is_decimal else expr.value  # type: ignore[arg-type]
    if isinstance(expr, Unary) and expr.sign == "-":
        inner = _literal(expr.operand)
        return -inner if isinstance(inner, int | float) and not isinstance(inner, bool) else _UNKNOWN
    if isinstance(expr, Given):
        return _floats(expr.value)
    if isinstance(expr, ListOf):
        items = tuple(_literal(item) for item in expr.items)
        return _UNKNOWN if _UNKNOWN in items else items
    return _UNKNOWN


def _floats(value: Any) -> Any:
    return tuple(map(_floats, value)) if isinstance(value, tuple) else float(value)


def _emptied(body: dict[str, Entry]) -> dict[str, Entry]:
    return {name: replace(entry, expr=None) for name, entry in body.items()}
