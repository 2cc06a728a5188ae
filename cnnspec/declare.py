"""What a file declares before any node exists: its params and the types of its inputs."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from keyword import iskeyword
from typing import TYPE_CHECKING

from cnnspec.diagnostics import Source, Span
from cnnspec.expression import parse
from cnnspec.files import Entry, File
from cnnspec.graph import Node
from cnnspec.reader import Scalar
from cnnspec.scope import Params, Place, Poison, Scope
from cnnspec.syntax import Expr, ListOf, Name, children
from cnnspec.tensor import Dim, ShapeError, TensorType
from cnnspec.values import described, kind

if TYPE_CHECKING:
    from cnnspec.evaluate import Evaluator

NOWHERE = Place("", None, {})


def text_expression(text: str, shown: str) -> Expr:
    """An expression that came from the command line or a keyword; raises SpecError."""
    source = Source(shown, text)
    return parse(Scalar(Span(source, 0, len(text)), text, plain=True))


def make_params(evaluator: Evaluator, file: File, overrides: Mapping[str, object]) -> Params:
    """The params of one file; an override is a value, or a text that is read as an expression is."""

    def evaluate(name: str, params: Params) -> object:
        scope = Scope(file, params, {}, None)
        entry = file.params[name]
        if entry.expr is None:
            raise Poison
        if name in params.active:
            circle = " -> ".join([*params.active[params.active.index(name) :], name])
            raise evaluator.fault("param.cycle", f"params need each other in a circle: {circle}", entry.key, NOWHERE)
        params.active.append(name)
        try:
            default = evaluator.argument(entry.expr, scope, NOWHERE)
            if name not in overrides:
                return default
            given = overrides[name]
            if isinstance(given, str) and isinstance(default, str):
                return given[1:-1] if len(given) > 1 and given[0] == given[-1] == "'" else given
            if isinstance(given, str):
                return evaluator.argument(text_expression(given, f"--set {name}"), scope, NOWHERE)
            return as_value(given)
        finally:
            params.active.pop()

    return Params(file, evaluate)


def as_value(given: object) -> object:
    """A Python value as a value of the language."""
    if isinstance(given, float):
        return Fraction(repr(given))
    return tuple(as_value(item) for item in given) if isinstance(given, list | tuple) else given


def check_override(evaluator: Evaluator, file: File, name: str, value: object, span: Span, place: Place) -> None:
    """An override has the default's kind; a whole number is also a decimal; none may become anything."""
    entry = file.params[name]
    if entry.expr is None:
        return
    default = evaluator.argument(entry.expr, Scope(file, evaluator.make_params(file, {}), {}, None), NOWHERE)
    wanted, got = kind(default), kind(value)
    if default is None or wanted == got or (wanted == "a decimal" and got == "a number"):
        return
    message = f"the param '{name}' is {wanted}, got {described(value)}"
    facts = (f"{name} is declared in {entry.key.seen_from(span)}",)
    raise evaluator.fault("param.kind", message, span, place, facts=facts)


def sizes(evaluator: Evaluator, params: Params, items: tuple[Expr, ...]) -> TensorType:
    """Declared sizes as a type: a name that is no param is a symbol."""
    found: dict[str, object] = {}
    pending = list(items)
    while pending:
        expr = pending.pop()
        if isinstance(expr, Name) and expr.id not in params.file.params:
            if iskeyword(expr.id) or expr.id in ("null", "nil", "NaN"):
                message = f"'{expr.id}' is no symbol"
                raise evaluator.fault(
                    "input.size", message, expr.span, NOWHERE, help="a free size is a letter: N, h, 32*h"
                )
            found[expr.id] = Dim(1, expr.id)
        pending += children(expr)
    scope = Scope(params.file, params, found, None)
    values = []
    for item in items:
        value = evaluator.evaluate(item, scope, NOWHERE)
        if isinstance(value, bool) or not isinstance(value, int | Dim):
            message = f"a size is a whole number or affine in one symbol, got {described(value)}"
            raise evaluator.fault("input.size", message, item.span, NOWHERE, help="write 32, h, 32*h or 32*h + 4")
        values.append(value)
    return TensorType(tuple(values))


def input_type(evaluator: Evaluator, params: Params, entry: Entry, name: str) -> TensorType:
    """The declared type of an input; raises Poison where a fault was recorded."""
    expr = entry.expr
    if not isinstance(expr, ListOf) or not 2 <= len(expr.items) <= 5:
        message = f"the input '{name}' is declared by a list of 2 to 5 sizes"
        raise evaluator.fault(
            "input.size", message, entry.span, NOWHERE, help="[N, 3, 224, 224]: batch, channels, height, width"
        )
    declared = sizes(evaluator, params, expr.items)
    batch, channels, *rest = declared.shape
    if not (isinstance(batch, Dim) and batch == Dim(1, batch.symbol)):
        message = f"axis 0 of '{name}' is the batch, one symbol, got {batch}"
        raise evaluator.fault("input.batch", message, expr.items[0].span, NOWHERE, help="write N")
    if not isinstance(channels, int):
        message = f"axis 1 of '{name}' is the number of channels, got {channels}"
        raise evaluator.fault("input.channels", message, expr.items[1].span, NOWHERE)
    for item, size in zip(expr.items[2:], rest, strict=True):
        if isinstance(size, Dim) and (size.factor < 0 or size.symbol == batch.symbol):
            message = f"the size {size} of '{name}' wants a symbol of its own with a positive factor"
            raise evaluator.fault("input.size", message, item.span, NOWHERE)
    try:
        declared.check_limits()
    except ShapeError as error:
        message = error.message.replace("the result would be", f"the input '{name}' is")
        raise evaluator.fault("input.size", message, entry.span, NOWHERE) from None
    return declared


def check_input(
    evaluator: Evaluator, params: Params, entry: Entry, label: str, node: Node, span: Span, place: Place, name: str
) -> None:
    """What is piped into a used spec: rank and channels must match its declaration."""
    expr = entry.expr
    if not isinstance(expr, ListOf) or len(expr.items) < 2:
        return
    if len(expr.items) != node.type.rank:
        message = f"{name} takes a tensor of {len(expr.items)} axes for '{label}', got {node.type}"
        raise evaluator.fault("use.input", message, span, place, facts=(_declared(label, entry, span),))
    channels = sizes(evaluator, params, expr.items[1:2]).shape[0]
    if channels != node.type.channels:
        message = f"{name} takes {channels} channels for '{label}', got {node.type.channels}: {node.type}"
        raise evaluator.fault("use.input", message, span, place, facts=(_declared(label, entry, span),))


def _declared(label: str, entry: Entry, here: Span) -> str:
    return f"{label} is declared in {entry.key.seen_from(here)}"
