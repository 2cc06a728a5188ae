"""Values of expressions that are no tensors, and the arithmetic on them.

A value is an int, a Fraction (a decimal), a bool, a text, None, a tuple (a list or a shape), or a Dim (a size
that holds a symbol).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from math import ceil, floor
from typing import Any

from cnnspec import limits
from cnnspec.tensor import Dim, ShapeError, Size, equal, less

_DECIMAL = 2**1023  # what a float holds, whichever way it rounds
LIST_CHARS = 60
Value = int | Fraction | bool | str | None | tuple["Value", ...] | Dim


_COMPARABLE = (int, Fraction, str, tuple, Dim, type(None))
_SIZE = (int, Dim)


class ValueFault(Exception):
    """An operation that is not defined; `help` says what is. The evaluator adds the position."""

    def __init__(self, code: str, message: str, help: str | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.help = code, message, help


def kind(value: object) -> str:
    """The kind of a value in words."""
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int):
        return "a number"
    if isinstance(value, Fraction):
        return "a decimal"
    if isinstance(value, str):
        return "a text"
    if isinstance(value, tuple):
        return "a list"
    if isinstance(value, Dim):
        return "a size that holds a symbol"
    return "none" if value is None else "a tensor" if hasattr(value, "type") or hasattr(value, "body") else "a step"


def described(value: object) -> str:
    """The kind of a value, with the value where it can be written."""
    plain = value is None or isinstance(value, int | Fraction | str | tuple | Dim)
    return f"{kind(value)}: {show(value)}" if plain and value is not None else kind(value)


def show(value: object) -> str:
    """A value as it would be written, a long list cut short."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Fraction):
        return repr(float(value))
    if isinstance(value, str):
        return value if value in ("same", "valid", "half") else f"'{value}'"
    if isinstance(value, tuple):
        return bracketed(value, show)
    if value is None or isinstance(value, int | Dim):
        return "none" if value is None else str(value)
    written = getattr(value, "expr", None)  # a step is shown as it is written, a tensor by its path
    return str(
        written.span.text if written is not None else getattr(value, "path", None) or getattr(value, "name", "?")
    )


def bracketed(items: Sequence[object], written: Callable[[object], str]) -> str:
    """A list as text, its end left out where it is long."""
    text = f"[{', '.join(map(written, items))}]"
    return text if len(text) <= LIST_CHARS else f"{text[: LIST_CHARS - 6].rpartition(',')[0]}, ...]"


def bounded(items: tuple[Any, ...]) -> tuple[Any, ...]:
    """The list itself; raises ValueFault where it has too many items, those of its lists counted wherever they stand.

    Lists are shared, so that `[p, p]` forty times over is quickly written and never read to its end.
    """
    pending, count = [items], 0
    while pending:
        for item in pending.pop():
            count += 1
            if isinstance(item, tuple):
                pending.append(item)
            if count > limits.LIST_ITEMS:
                message = f"a list of more than {limits.LIST_ITEMS} items, those of the lists inside it counted"
                raise ValueFault("limit.list", message)
    return items


def _number(value: object, sign: str) -> int | Fraction:
    if isinstance(value, bool) or not isinstance(value, int | Fraction):
        raise ValueFault("value.kind", f"{sign} wants numbers, got {described(value)}", _no_operators(value))
    return value


def _no_operators(value: object) -> str | None:
    return "tensors have no operators: write add(a, b)" if kind(value) == "a tensor" else None


def within(value: int | Fraction) -> int | Fraction:
    if isinstance(value, int):
        if abs(value) > limits.INTEGER:
            raise ValueFault("value.range", f"{value} is out of range: -2^53 to 2^53")
    elif abs(value.numerator) > _DECIMAL or value.denominator > _DECIMAL:
        raise ValueFault("value.range", "the decimal is out of range")
    return value


def arithmetic(sign: str, a: object, b: object) -> int | Fraction | Dim:
    if isinstance(a, Dim) or isinstance(b, Dim):
        return _symbolic(sign, a, b)
    left, right = _number(a, sign), _number(b, sign)
    if sign in ("//", "%"):
        if not isinstance(left, int) or not isinstance(right, int):
            raise ValueFault("value.kind", f"{sign} wants whole numbers, got {show(left)} {sign} {show(right)}")
        if right == 0:
            raise ValueFault("value.zero", f"division by zero: {left} {sign} 0")
        return left // right if sign == "//" else left % right
    return within(left + right if sign == "+" else left - right if sign == "-" else left * right)


def _symbolic(sign: str, a: object, b: object) -> int | Dim:
    for value in (a, b):
        if isinstance(value, bool) or not isinstance(value, int | Dim):
            raise ValueFault("value.kind", f"a size is reckoned with by whole numbers, got {described(value)}")
    left, right = a, b
    assert isinstance(left, int | Dim) and isinstance(right, int | Dim)
    if sign in ("*", "//", "%") and isinstance(right, Dim) and (sign != "*" or isinstance(left, Dim)):
        raise ValueFault("value.size", f"{left} {sign} {right} is no size: a size is affine in one symbol")
    try:
        result: Size
        if sign in ("//", "%"):
            assert isinstance(right, int) and isinstance(left, Dim)
            if right <= 0:
                raise ValueFault("value.zero", f"a size is divided by a positive number, got {right}")
            result = left // right if sign == "//" else left % right
        else:
            result = left + right if sign == "+" else left - right if sign == "-" else left * right  # type: ignore[operator]
    except ShapeError as error:
        raise ValueFault("value.size", error.message, error.help) from None
    if isinstance(result, Dim):
        within(result.factor), within(result.offset)
    else:
        within(result)
    return result


def compare(sign: str, a: object, b: object) -> bool:
    if sign in ("==", "!="):
        same = _same(a, b)
        if isinstance(same, str):
            raise _undecided(sign, a, b, same)
        return same == (sign == "==")
    if isinstance(a, Dim) or isinstance(b, Dim):
        return _ordered_sizes(sign, a, b)
    left, right = _number(a, sign), _number(b, sign)
    return {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[sign]


def _same(a: object, b: object) -> bool | str:
    for value in (a, b):
        if not isinstance(value, _COMPARABLE):
            what, help = kind(value), "compare their shapes: a.shape == b.shape" if kind(value) == "a tensor" else None
            raise ValueFault("value.kind", f"{what} cannot be compared", help)
    if isinstance(a, tuple) and isinstance(b, tuple):
        results = [_same(x, y) for x, y in zip(a, b, strict=False)]
        if len(a) != len(b) or False in results:
            return False
        return next((result for result in results if isinstance(result, str)), True)
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, _SIZE) and isinstance(b, _SIZE):
        return equal(a, b)
    return a == b


def _ordered_sizes(sign: str, a: object, b: object) -> bool:
    for value in (a, b):
        if isinstance(value, bool) or not isinstance(value, int | Dim):
            raise ValueFault("value.kind", f"a size is compared with whole numbers and sizes, got {kind(value)}")
    assert isinstance(a, int | Dim) and isinstance(b, int | Dim)
    result = less(a, b) if sign in ("<", ">=") else less(b, a)
    if isinstance(result, str):
        raise _undecided(sign, a, b, result)
    return result == (sign in ("<", ">"))


def _undecided(sign: str, a: object, b: object, where: str) -> ValueFault:
    message = f"{show(a)} {sign} {show(b)} is undecided: it turns at {where}"
    return ValueFault(
        "value.undecided", message, "declare the input with fixed sizes, or test something the sizes decide"
    )


def helper(name: str, values: list[object]) -> int | Fraction:
    """min max ceil ceil_div round_to; round_to is Sandler et al. 2018's make_divisible."""
    if name in ("min", "max"):
        items = values[0] if len(values) == 1 and isinstance(values[0], tuple) else tuple(values)
        if not items:
            raise ValueFault("value.kind", f"{name} of an empty list")
        return (min if name == "min" else max)(_number(item, name) for item in items)
    count = 1 if name == "ceil" else 2
    if len(values) != count:
        raise ValueFault(
            "call.arguments", f"{name} takes {count} argument{'s' if count > 1 else ''}, got {len(values)}"
        )
    numbers = [_number(value, name) for value in values]
    if name == "ceil":
        return ceil(numbers[0])
    by = numbers[1]
    if not isinstance(by, int) or by < 1:
        raise ValueFault("value.zero", f"{name} wants a positive whole number second, got {show(by)}")
    if name == "round_to":
        nearest = max(by, floor(Fraction(numbers[0]) / by + Fraction(1, 2)) * by)
        return nearest + by if nearest < Fraction(9, 10) * numbers[0] else nearest
    if not isinstance(numbers[0], int):
        raise ValueFault("value.kind", f"ceil_div wants whole numbers, got {show(numbers[0])}")
    return -(-numbers[0] // by)


BINARY: dict[str, Callable[[str, object, object], Value]] = {
    **dict.fromkeys(("+", "-", "*", "//", "%"), arithmetic),
    **dict.fromkeys(("==", "!=", "<", "<=", ">", ">="), compare),
}
