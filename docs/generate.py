"""Writes docs/operators.md from the classes of the operators: `python docs/generate.py`."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

from cnnspec.ops import OPS
from cnnspec.ops.base import AbstractOp

FAMILIES = {"conv": "Convolution", "pool": "Pooling", "norm": "Normalization"}
HEAD = """\
# Operators

Written by `python docs/generate.py` from the classes in `cnnspec/ops`; `cnnspec list ops` prints the short form.

A call is a step, `x -> conv(64, 3)`, or has all its tensors, `conv(x, 64, 3)`. Arguments shown with `=` want their
keyword; the others may go without, in this order. Every operator gives one tensor; every call makes weights of its own.
Shapes are `[N, C, ...]`: the batch, the channels (maps), then one to three spatial axes. The last is the width, the
one before it the height, and before that the depth.

## Padding

| `padding` | means |
|---|---|
| a number | zeros on both sides of every axis |
| `[1, 2]` | one number per axis |
| `[[0, 1], [0, 1]]` | [before, after] per axis |
| `half` | dilation * (kernel // 2) on both sides, odd kernels only: stride 1 keeps the size |
| `valid` | none |
| `same` | TensorFlow's: ceil(size / stride) outputs, the odd zero at the end |

`transposed_conv` reads padding the other way round: see there. Elsewhere the size along an axis is
(n + before + after - dilation * (kernel - 1) - 1) // stride + 1. A stride must divide the factor of a size that holds a
symbol. Convolutions and dense layers start from the weights that PyTorch's layers start from, drawn from the seed and
the node's path: adding a node changes no other.
"""


def page() -> str:
    families: dict[str, list[type[AbstractOp]]] = {}
    for op in OPS:
        families.setdefault(op.__module__.rpartition(".")[2], []).append(op)
    parts = [HEAD]
    for family, ops in families.items():
        parts.append(f"## {FAMILIES.get(family, family.capitalize())}\n")
        parts += [section(op) for op in ops]
    return "\n".join(parts)


def section(op: type[AbstractOp]) -> str:
    """One operator: how it is called, its meaning, its arguments."""
    formula, *rest = re.split(r"\n\s*\n", inspect.getdoc(op) or "")
    lines = [f"### {op.op}\n", f"`{call(op)}`\n", f"```text\n{formula.strip()}\n```\n"]
    lines += [escaped(paragraph.strip()) + "\n" for paragraph in family_text(op) + rest]
    if op.model_fields:
        lines += ["| argument | is | default |", "|---|---|---|"]
        schema = op.model_json_schema()
        for name, entry in schema["properties"].items():
            default = "required" if name in schema.get("required", ()) else f"`{value(entry.get('default'))}`"
            lines.append(f"| `{name}` | {kind(entry)} | {default} |")
        lines.append("")
    return "\n".join(lines)


def escaped(text: str) -> str:
    """Prose with the signs of Markdown escaped, save within backquotes."""
    parts = text.split("`")
    return "`".join(part if at % 2 else re.sub(r"([*_])", r"\\\1", part) for at, part in enumerate(parts))


def family_text(op: type[AbstractOp]) -> list[str]:
    """What the operators of a family share: the docstring of their base, where it has its own."""
    base = op.__mro__[1]
    if base is AbstractOp or base.__doc__ is None:
        return []
    return re.split(r"\n\s*\n", inspect.getdoc(base) or "")


def call(op: type[AbstractOp]) -> str:
    """`x -> conv(filters, kernel, stride, padding=, ...)`: what wants a keyword has its equals sign."""
    named = [f"{name}=" for name in op.model_fields if name not in op.positional]
    arguments = [*op.positional, *named]
    if op.operands == ("x",):
        return f"x -> {op.op}({', '.join(arguments)})" if arguments else f"x -> {op.op}"
    return f"{op.op}({', '.join([*(op.operands or ('a', 'b', '...')), *arguments])})"


def kind(entry: dict[str, Any]) -> str:
    """A field's JSON Schema in words."""
    if "anyOf" in entry:
        kinds = dict.fromkeys(kind(part) for part in entry["anyOf"])
        return ", or ".join(kinds)
    if "enum" in entry or "const" in entry:
        return ", ".join(f"`{word}`" for word in entry.get("enum", [entry.get("const")]))
    match entry.get("type"):
        case "integer":
            return f"a number from {entry['minimum']}" if "minimum" in entry else "a number"
        case "number":
            low = "from {minimum}" if "minimum" in entry else "above {exclusiveMinimum}"
            high = " to {maximum}" if "maximum" in entry else " to below {exclusiveMaximum}"
            has_low = "minimum" in entry or "exclusiveMinimum" in entry
            has_high = "maximum" in entry or "exclusiveMaximum" in entry
            bounds = (" " + low.format(**entry) if has_low else "") + (high.format(**entry) if has_high else "")
            return f"a decimal{bounds}"
        case "boolean":
            return "true or false"
        case "array":
            inner = entry.get("items") or {}
            pair = inner.get("type") == "array"
            return "a list of [before, after] per axis" if pair else "a list of one per axis"
        case "null":
            return "`none`"
        case other:
            return str(other or "a value")


def value(default: object) -> str:
    if isinstance(default, bool):
        return str(default).lower()
    return "none" if default is None else str(default)


if __name__ == "__main__":
    Path(__file__).with_name("operators.md").write_text(page(), encoding="utf-8")
