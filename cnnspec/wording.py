"""Operators and values as the language writes them."""

from __future__ import annotations

from cnnspec.diagnostics import printable
from cnnspec.ops.base import AbstractOp
from cnnspec.values import bracketed


def call(op: AbstractOp) -> str:
    """An operator as it would be written, defaults left out: `conv(64, 7, 2, bias=false)`."""
    given = {
        name: getattr(op, name)
        for name, field in type(op).model_fields.items()
        if field.is_required() or getattr(op, name) != field.default
    }
    placed = list(op.positional)
    while placed and placed[-1] not in given:
        placed.pop()
    texts = [written(getattr(op, name)) for name in placed]
    texts += [f"{name}={written(value)}" for name, value in given.items() if name not in placed]
    return f"{op.op}({', '.join(texts)})" if texts else op.op


def written(value: object) -> str:
    """A field's value in the language, a long list cut short; texts are choices, which stand bare in canonical form."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        return bracketed(value, written)
    return "none" if value is None else printable(str(value))
