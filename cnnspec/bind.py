"""Matches the arguments of a call to a signature. Used where names are checked and where nodes are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnnspec.diagnostics import Diagnostic, Span, SpecError
from cnnspec.synonyms import meant
from cnnspec.syntax import Call, Canonical, Expr, Given, ListOf, Literal, Name

if TYPE_CHECKING:
    from cnnspec.files import Block, File
    from cnnspec.ops.base import AbstractOp


@dataclass(frozen=True, slots=True)
class Signature:
    """What can be called: `tensors` None stands for two or more; `positional` go without a keyword, in order."""

    name: str
    tensors: tuple[str, ...] | None
    positional: tuple[str, ...]
    fields: tuple[str, ...]
    required: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bound:
    """The tensors of a call that are not piped in, and its arguments by name."""

    tensors: tuple[Expr, ...]
    args: dict[str, Expr]


def of_operator(op: type[AbstractOp]) -> Signature:
    fields = op.model_fields
    required = tuple(name for name, field in fields.items() if field.is_required())
    return Signature(op.op, op.operands, op.positional, tuple(fields), required)


def of_block(block: Block) -> Signature:
    names = tuple(a.name for a in block.arguments)
    required = tuple(a.name for a in block.arguments if a.default is None)
    return Signature(block.name, block.tensors, names, names, required)


def of_file(name: str, file: File) -> Signature:
    return Signature(name, tuple(file.inputs), (), tuple(file.params), ())


def bind(signature: Signature, expr: Call | Canonical | Name, *, piped: bool) -> Bound:
    """The bound call; raises SpecError with every fault in it."""
    found: list[Diagnostic] = []
    bound = _bind(signature, expr, piped, found)
    if found:
        raise SpecError(found)
    return bound


def _bind(signature: Signature, expr: Call | Canonical | Name, piped: bool, found: list[Diagnostic]) -> Bound:
    if isinstance(expr, Call) and expr.split is not None:
        message = "a semicolon stands only in the signature of a block"
        found.append(Diagnostic("call.arguments", message, expr.span, help="separate with commas"))
    positional = expr.args if isinstance(expr, Call) else expr.inputs if isinstance(expr, Canonical) else ()
    named = expr.named if not isinstance(expr, Name) else ()
    tensors, rest = positional, positional[:0]
    if signature.tensors is None:
        if len(tensors) + piped < 2:
            found.append(_few_tensors(signature, "2 or more tensors", len(tensors) + piped, expr))
    else:
        due = max(len(signature.tensors) - piped, 0)
        tensors, rest = positional[:due], positional[due:]
        if isinstance(expr, Canonical) and rest:
            got = len(positional) + piped
            found.append(_few_tensors(signature, _tensors_of(signature), got, expr))
            rest = ()
        elif len(tensors) < due:
            found.append(_few_tensors(signature, _tensors_of(signature), len(tensors) + piped, expr))
        elif piped and not signature.tensors:
            found.append(_few_tensors(signature, "no tensor", 1, expr))
    if plain := next((e for e in tensors if isinstance(e, Literal | ListOf | Given)), None):
        found.append(_no_tensor(signature, expr, plain))
        return Bound((), {})
    args = _arguments(signature, rest, named, expr.span, found)
    missing = [name for name in signature.required if name not in args]
    if missing and not any(fault.code == "call.unknown" for fault in found):
        first, *others = signature.tensors or ("x",)
        words = ", ".join([*others, *signature.positional])
        help = f"{first} -> {signature.name}({words})" if signature.positional else None
        found.append(Diagnostic("call.missing", f"{signature.name} needs {listed(missing)}", expr.span, help=help))
    return Bound(tensors, args)


def _arguments(
    signature: Signature,
    rest: tuple[Expr, ...],
    named: tuple[tuple[Name, Expr], ...],
    span: Span,
    found: list[Diagnostic],
) -> dict[str, Expr]:
    args = dict(zip(signature.positional, rest, strict=False))
    if len(rest) > len(signature.positional):
        tensors = f"{_tensors_of(signature)} and " if signature.tensors else ""
        most = len(signature.positional)
        allowed = (
            f"at most {most} argument{'s' if most > 1 else ''} ({', '.join(signature.positional)})"
            if most
            else "no argument"
        )
        message = f"{signature.name} takes {tensors}{allowed} without a keyword, got {len(rest)}"
        others = [field for field in signature.fields if field not in signature.positional]
        help = f"the others go by keyword: {', '.join(f'{name}=' for name in others[:6])}" if others else None
        found.append(Diagnostic("call.arguments", message, rest[len(signature.positional)].span, help=help))
    for name, value in named:
        if name.id not in signature.fields:
            known = meant(name.id, signature.fields, "argument")
            takes = f"its arguments are {', '.join(signature.fields)}" if signature.fields else "it takes no arguments"
            help = known or takes
            message = f"{signature.name} has no argument '{name.id}'"
            found.append(Diagnostic("call.unknown", message, name.span, help=help))
        elif name.id in args:
            message = f"{signature.name} gets '{name.id}' twice"
            at = args[name.id].span
            facts = (f"first as {at.text[:40]}, in {at.seen_from(name.span)}",)
            found.append(Diagnostic("call.twice", message, name.span, facts=facts, help="keep one of them"))
        else:
            args[name.id] = value
    return args


def _tensors_of(signature: Signature) -> str:
    names = signature.tensors or ()
    return f"{len(names)} tensor{'s' if len(names) != 1 else ''} ({', '.join(names)})"


def _few_tensors(signature: Signature, due: str, got: int, expr: Call | Canonical | Name) -> Diagnostic:
    message = f"{signature.name} takes {due}, got {got}"
    help = None
    if got == 0 and signature.tensors is not None and len(signature.tensors) == 1:
        help = "name the tensor: in: x" if isinstance(expr, Canonical) else f"pipe the tensor in: x -> {signature.name}"
    return Diagnostic("call.tensors", message, expr.span, help=help)


def _no_tensor(signature: Signature, expr: Call | Canonical | Name, plain: Expr) -> Diagnostic:
    message = f"{signature.name} takes {_tensors_of(signature)} first, got the value {plain.span.text[:40]}"
    if signature.tensors is None:
        message = f"{signature.name} takes tensors, got the value {plain.span.text[:40]}"
    help = f"pipe the tensor in: x -> {expr.span.text[:60]}" if len(signature.tensors or ()) == 1 else None
    return Diagnostic("call.tensors", message, plain.span, help=help)


def listed(names: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
