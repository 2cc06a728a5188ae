"""Lines of Python as ruff would break them: whole, else what is in the brackets on one line, else one item a line."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from cnnspec_torch.source.make import Free, Layer

WIDTH = 120


@dataclass(frozen=True)
class Bracket:
    head: str
    items: tuple[str | Bracket, ...]
    tail: str = ")"

    def __str__(self) -> str:
        return f"{self.head}{', '.join(map(str, self.items))}{self.tail}"


Text = str | Bracket


def broken(text: Text, indent: int, before: str = "", after: str = "") -> list[str]:
    """A statement or an item of one, with what stands before and after the expression."""
    pad = " " * indent
    whole = f"{pad}{before}{text}{after}"
    if isinstance(text, str) or not text.items or len(whole) <= WIDTH:
        return [whole]
    first, last = f"{pad}{before}{text.head}", f"{pad}{text.tail}{after}"
    inner = f"{pad}    {', '.join(map(str, text.items))}"
    if len(inner) <= WIDTH and text.head not in ("(", "{"):  # what is no call has an item a line
        return [first, inner, last]
    items = [line for item in text.items for line in broken(item, indent + 4, after=",")]
    return [first, *items, last]


def literal(value: Any) -> str:
    """A plain value as ruff writes it."""
    if isinstance(value, Layer | Free):
        return value.text if isinstance(value, Layer) else repr(value.value)
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, tuple):
        return f"({', '.join(map(literal, value))}{',' * (len(value) == 1)})"
    if isinstance(value, float) and value == int(value) and abs(value) < 1e16:
        return f"{value:.1f}"
    return repr(value)


def filled(text: str, first: str, rest: str, width: int = WIDTH - 3) -> list[str]:
    """Text of a docstring in lines, cut before arrows, else between words."""
    sign = " -> "
    if any(len(piece) > width - len(rest) - len(sign) for piece in text.strip().split(sign)):
        sign = " "
    lines, line = [], first
    for number, piece in enumerate(text.strip().split(sign)):
        joined = piece if number == 0 else f"{sign.lstrip()}{piece}"
        if len(line) + len(joined) > width and line.strip():
            lines.append(line.rstrip())
            line = rest
        line = f"{line}{joined} "
    return [*lines, line.rstrip()]
