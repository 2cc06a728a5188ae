"""Numbers in a file of their own: JSON, of which lists and numbers alone are read. Nothing of it is ever quoted."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any, final

from cnnspec import limits
from cnnspec.diagnostics import Source, Span, SpecError
from cnnspec.expression import number

_TOKEN = re.compile(
    r"(?P<number>-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)(?=[,\] \t\r\n]|$)|(?P<sign>[\[\],])"
)
_BLANK = re.compile(r"[ \t\r\n]*")


class Malformed(Exception):
    """What is wrong with the text, and the line and column of it."""


def numbers(text: str) -> tuple[Any, ...]:
    """The lists of a JSON text as tuples of integers and exact fractions; raises Malformed."""
    scanner = _Scanner(Source("", text))
    if not scanner.sign("["):
        raise scanner.malformed("expected a list, [")
    found = scanner.rest(1)
    if scanner.at < len(text):
        raise scanner.malformed("expected the end of the file")
    return found


@final
class _Scanner:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.at = self.begin = _end(_BLANK, source.text, 0)
        self.count = 0

    def malformed(self, message: str) -> Malformed:
        line, column = self.source.position(self.begin)
        return Malformed(f"line {line}, column {column}: {message}")

    def token(self) -> tuple[str, str]:
        self.begin = self.at
        found = _TOKEN.match(self.source.text, self.at)
        if found is None:
            raise self.malformed("expected a number or a list")
        self.at = _end(_BLANK, self.source.text, found.end())
        return str(found.lastgroup), found[0]

    def sign(self, text: str) -> bool:
        """Whether the sign comes next; it is taken then."""
        self.begin = self.at
        if not self.source.text.startswith(text, self.at):
            return False
        self.token()
        return True

    def rest(self, rank: int) -> tuple[Any, ...]:
        """A list after its bracket."""
        if rank > limits.GIVEN_RANK:
            raise self.malformed(f"lists nested deeper than {limits.GIVEN_RANK} levels")
        items: list[Any] = []
        if self.sign("]"):
            return ()
        while True:
            items.append(self.item(rank))
            if self.sign("]"):
                return tuple(items)
            if not self.sign(","):
                raise self.malformed("expected a comma or ]")

    def item(self, rank: int) -> Any:
        kind, text = self.token()
        self.count += 1
        if self.count > limits.LIST_ITEMS:
            raise self.malformed(f"more than {limits.LIST_ITEMS} items, those of the lists inside counted")
        if text == "[":
            return self.rest(rank + 1)
        if kind != "number":
            raise self.malformed("expected a number or a list")
        return self.number(text)

    def number(self, text: str) -> int | Fraction:
        try:
            value = number(text.lstrip("-"), Span(self.source, self.begin, self.at))
        except SpecError:
            raise self.malformed("the number is out of range") from None
        return -value if text.startswith("-") else value


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at
