"""Where an expression stands while a graph is made: the names it sees, and the path its steps are written under."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cnnspec.diagnostics import Diagnostic, Span
from cnnspec.graph import Frame
from cnnspec.syntax import Binary, Call, Conditional, Expr, Loop, Name, Pipe, children, dotted

if TYPE_CHECKING:
    from cnnspec.files import Entry, File


class Poison(Exception):
    """A fault was recorded; what depends on it stays silent."""


@dataclass(slots=True)
class Place:
    """A path prefix, with a count of the steps written under it by name."""

    prefix: str
    frame: Frame | None
    counts: dict[str, int]
    exact: bool = False
    """The prefix is the node's whole path (canonical form)."""

    def step(self, name: str) -> str:
        if self.exact:
            self.exact = False
            return self.prefix
        count = self.counts[name] = self.counts.get(name, 0) + 1
        return f"{self.prefix}.{name}" if count == 1 else f"{self.prefix}.{name}_{count}"


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """A step held as a value: an expression and the scope it was written in."""

    expr: Expr
    scope: Scope


class Params:
    """The params of one file, evaluated when asked for; `overrides` hide the defaults."""

    def __init__(self, file: File, evaluate: Callable[[str, Params], object]) -> None:
        self.file = file
        self.values: dict[str, object] = {}
        self.active: list[str] = []
        self._evaluate = evaluate

    def value(self, name: str) -> object:
        stack, waiting = [name], {name}
        while stack:
            top = stack[-1]
            if top not in self.values:
                needed = [n for n in _surely_needed(self.file.params[top]) if n in self.file.params]
                if later := next((n for n in needed if n not in self.values and n not in waiting), None):
                    stack.append(later)
                    waiting.add(later)
                    continue
                self.values[top] = self._evaluated(top)
            stack.pop()
        result = self.values[name]
        if isinstance(result, Poison):
            raise result
        return result

    def _evaluated(self, name: str) -> object:
        try:
            return self._evaluate(name, self)
        except Poison as poison:
            return poison


class Body:
    """The entries of a net or of one instance of a block, evaluated once each when asked for."""

    def __init__(
        self, entries: dict[str, Entry], prefix: str, frame: Frame | None, result: str | None, is_block: bool
    ) -> None:
        self.entries, self.prefix, self.frame = entries, prefix, frame
        self.result, self.is_block = result, is_block
        self.values: dict[str, object] = {}
        self.scope: Scope

    def place(self, name: str) -> Place:
        if self.is_block and name == "out":
            return Place(self.prefix, self.frame, {})
        path = f"{self.prefix}.{name}" if self.prefix else name
        return Place(path, self.frame, {}, exact="." in name)

    def value(self, name: str, evaluate: Callable[[Expr, Scope, Place], object]) -> object:
        """The entry's value; what it surely needs is evaluated first, so that long chains do not recurse."""
        stack = [name]
        while stack:
            top = stack[-1]
            if top not in self.values:
                if waiting := self._waiting(top, stack):
                    stack.append(waiting)
                    continue
                self.values[top] = self._evaluated(top, evaluate)
            stack.pop()
        result = self.values[name]
        if isinstance(result, Poison):
            raise result
        return result

    def _waiting(self, name: str, stack: list[str]) -> str | None:
        """An entry that `name` surely needs and that has no value yet."""
        if len(stack) > len(self.entries):
            return None
        for needed in _surely_needed(self.entries[name]):
            entry = needed if needed in self.entries else needed.split(".")[0]
            if entry in self.entries and entry not in self.values and entry != name:
                return entry
        return None

    def _evaluated(self, name: str, evaluate: Callable[[Expr, Scope, Place], object]) -> object:
        expr = self.entries[name].expr
        if expr is None:
            return Poison()
        try:
            return evaluate(expr, self.scope, self.place(name))
        except Poison as poison:
            return poison


@dataclass(frozen=True, slots=True, eq=False)
class Instance:
    """A call of a block or used spec: its result and its taps are made when asked for."""

    name: str
    body: Body


@dataclass(slots=True, eq=False)
class Scope:
    """The names an expression sees: entries of `body`; `names` (tensors, arguments, loop names); params; steps."""

    file: File
    params: Params
    names: dict[str, object]
    body: Body | None


_NEEDS: dict[int, tuple[Entry, tuple[str, ...]]] = {}


def _surely_needed(entry: Entry) -> tuple[str, ...]:
    known = _NEEDS.get(id(entry))
    if known is None or known[0] is not entry:
        if len(_NEEDS) > 100_000:
            _NEEDS.clear()
        known = (entry, tuple(dict.fromkeys(unconditional(entry.expr))) if entry.expr is not None else ())
        _NEEDS[id(entry)] = known
    return known[1]


def unconditional(expr: Expr) -> list[str]:
    """Names an expression refers to whatever its conditions say."""
    if isinstance(expr, Name):
        return [expr.id]
    if isinstance(expr, Conditional):
        return unconditional(expr.test)
    if isinstance(expr, Loop):
        return unconditional(expr.over)
    if isinstance(expr, Binary):
        parts: tuple[Expr, ...] = (expr.left,) if expr.sign in ("and", "or", "*") else (expr.left, expr.right)
    elif isinstance(expr, Call):
        parts = (*expr.args, *(value for _, value in expr.named))
    elif isinstance(expr, Pipe):
        parts = (expr.first, *(step for step in expr.steps if not isinstance(step, Name)))
    else:
        path = dotted(expr)
        return [path] if path else [n for child in children(expr) for n in unconditional(child)]
    return [name for part in parts for name in unconditional(part)]


class Findings:
    """Diagnostics of a run; the same fault in many instances is one with a count."""

    def __init__(self) -> None:
        self.by_place: dict[tuple[str, int, int, int], Diagnostic] = {}

    def add(self, diagnostic: Diagnostic) -> Poison:
        span = diagnostic.span
        key = _key(diagnostic.code, span) if span else (diagnostic.code, 0, 0, len(self.by_place))
        if (
            key in self.by_place
            and diagnostic.code.startswith("value.")
            and self.by_place[key].message != diagnostic.message
        ):
            key = (f"{diagnostic.code} {diagnostic.message}", *key[1:])
        first = self.by_place.get(key)
        self.by_place[key] = replace(first, count=first.count + 1) if first else diagnostic
        return Poison()

    def has(self, code: str, span: Span) -> bool:
        return _key(code, span) in self.by_place

    @property
    def errors(self) -> list[Diagnostic]:
        return [d for d in self.by_place.values() if d.severity == "error"]

    @property
    def warnings(self) -> list[Diagnostic]:
        return [d for d in self.by_place.values() if d.severity == "warning"]


def _key(code: str, span: Span) -> tuple[str, int, int, int]:
    return code, id(span.source), span.start, span.end
