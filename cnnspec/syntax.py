"""The nodes of an expression. Each carries the Span it was written at."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from cnnspec.diagnostics import Span

WORDS: dict[str, str | bool | None] = {
    "true": True,
    "false": False,
    "none": None,
    "same": "same",
    "valid": "valid",
    "half": "half",
}
KEYWORDS = ("if", "else", "for", "in", "and", "or", "not")
HELPERS = ("min", "max", "ceil", "ceil_div", "round_to")


@dataclass(frozen=True, slots=True, eq=False)
class Literal:
    """A number (int, or Fraction for a decimal), a text, or one of the words."""

    span: Span
    value: int | Fraction | str | bool | None


@dataclass(frozen=True, slots=True, eq=False)
class Name:
    span: Span
    id: str


@dataclass(frozen=True, slots=True, eq=False)
class ListOf:
    span: Span
    items: tuple[Expr, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """`{file: codes.json}`: the lists of numbers that the file holds, as tuples."""

    span: Span
    value: tuple[Any, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Attribute:
    """`x.channels`, a tap `body.c5`, or a block of a used file `darknet53.cbl`."""

    span: Span
    base: Expr
    name: str


@dataclass(frozen=True, slots=True, eq=False)
class Index:
    span: Span
    base: Expr
    index: Expr


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """`f(a, b, key=value)`; `split` is how many positional ones stand before a semicolon, None without one."""

    span: Span
    callee: Name | Attribute
    args: tuple[Expr, ...]
    named: tuple[tuple[Name, Expr], ...]
    split: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Unary:
    span: Span
    sign: str
    operand: Expr


@dataclass(frozen=True, slots=True, eq=False)
class Binary:
    """Arithmetic, a comparison, `and`, `or`; `*` before a step repeats it."""

    span: Span
    sign: str
    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True, eq=False)
class Conditional:
    span: Span
    then: Expr
    test: Expr
    otherwise: Expr


@dataclass(frozen=True, slots=True, eq=False)
class Pipe:
    span: Span
    first: Expr
    steps: tuple[Expr, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Loop:
    """`(step for names in over)`."""

    span: Span
    step: Expr
    names: tuple[Name, ...]
    over: Expr


@dataclass(frozen=True, slots=True, eq=False)
class Canonical:
    """`{op: conv, in: x, filters: 64}`; `inputs` is empty where the form is a step."""

    span: Span
    op: Name
    inputs: tuple[Expr, ...]
    named: tuple[tuple[Name, Expr], ...]


Expr = (
    Literal | Name | ListOf | Given | Attribute | Index | Call | Unary | Binary | Conditional | Pipe | Loop | Canonical
)


def dotted(expr: Expr) -> str | None:
    """`a.b.c` of nested attributes over a name, else None."""
    parts: list[str] = []
    while isinstance(expr, Attribute):
        parts.append(expr.name)
        expr = expr.base
    return ".".join([expr.id, *reversed(parts)]) if isinstance(expr, Name) else None


def children(expr: Expr) -> tuple[Expr, ...]:
    """The expressions directly inside; callees count, so that their names can be looked up."""
    match expr:
        case ListOf(items=items):
            return items
        case Attribute(base=base):
            return (base,)
        case Index(base=base, index=index):
            return (base, index)
        case Call(callee=callee, args=args, named=named):
            return (callee, *args, *(value for _, value in named))
        case Unary(operand=operand):
            return (operand,)
        case Binary(left=left, right=right):
            return (left, right)
        case Conditional(then=then, test=test, otherwise=otherwise):
            return (then, test, otherwise)
        case Pipe(first=first, steps=steps):
            return (first, *steps)
        case Loop(step=step, over=over):
            return (step, over)
        case Canonical(inputs=inputs, named=named):
            return (*inputs, *(value for _, value in named))
        case _:
            return ()
