"""What the compiler says: a Diagnostic holds a Span and becomes text only when printed.

SpecError          a spec (or what it uses) is wrong; exit code 1; holds diagnostics
UsageError         the command line is wrong; exit code 2
MissingError       a file or an extra is not there; exit code 3
RunError           a run failed; exit code 4
"""

from __future__ import annotations

import difflib
import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

Severity = Literal["error", "warning"]

_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
SHOWN = 20


def printable(text: str) -> str:
    """The text with control, direction and invisible characters escaped, safe for terminals and files."""
    return _CONTROL.sub(lambda m: f"\\x{ord(m[0]):02x}" if ord(m[0]) < 256 else f"\\u{ord(m[0]):04x}", text)


@dataclass(frozen=True, eq=False)
class Source:
    """One file that was read: the path as the user wrote it, and its text."""

    path: str
    text: str = field(repr=False)

    @cached_property
    def line_starts(self) -> list[int]:
        return [0, *(m.end() for m in re.finditer(r"\r\n|\r|\n", self.text))]

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column of an offset, both from 1."""
        line = bisect_right(self.line_starts, offset)
        return line, offset - self.line_starts[line - 1] + 1

    def line(self, number: int) -> str:
        starts = [*self.line_starts, len(self.text) + 1]
        return self.text[starts[number - 1] : starts[number] - 1].rstrip("\r\n")


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a source, as offsets into its text."""

    source: Source
    start: int
    end: int

    @property
    def line(self) -> int:
        return self.source.position(self.start)[0]

    @property
    def column(self) -> int:
        return self.source.position(self.start)[1]

    @property
    def text(self) -> str:
        return self.source.text[self.start : self.end]

    def seen_from(self, here: Span) -> str:
        """`line 11`, or `other.yaml:11` where it stands in another file than `here`."""
        return f"line {self.line}" if self.source is here.source else f"{self.source.path}:{self.line}"


@dataclass(frozen=True)
class Diagnostic:
    """One finding. `facts` say where each side came from, `chain` how the node came to be."""

    code: str
    message: str
    span: Span | None = None
    severity: Severity = "error"
    facts: tuple[str, ...] = ()
    chain: tuple[str, ...] = ()
    node: str | None = None
    help: str | None = None
    count: int = 1
    path: str | None = None

    @property
    def place(self) -> str:
        if self.span is None:
            return printable(self.path or "cnnspec")
        return f"{printable(self.span.source.path)}:{self.span.line}:{self.span.column}"

    @property
    def sort_key(self) -> tuple[str, int, str]:
        if self.span is None:
            return (self.path or "", 0, self.code)
        return (self.span.source.path, self.span.start, self.code)

    def __str__(self) -> str:
        lines = [f"{self.place}: {self.severity}[{self.code}]: {_one_line(self.message)}"]
        if self.span is not None:
            lines += _excerpt(self.span)
        lines += [f"      {_one_line(fact)}" for fact in _joined(self.facts)]
        if self.chain or self.node:
            origin = [*self.chain, *([f"node {self.node}"] if self.node else [])]
            more = f" (and {self.count - 1} more)" if self.count > 1 else ""
            lines.append(f"  {_one_line('; '.join(origin))}{more}")
        if self.help:
            lines.append(f"  help: {_one_line(self.help)}")
        return "\n".join(lines)

    def as_json(self) -> dict[str, object]:
        """The keys of `check --json`; line and column count from 1."""
        span = self.span
        return {
            "code": self.code,
            "severity": self.severity,
            "file": span.source.path if span else self.path,
            "line": span.line if span else None,
            "column": span.column if span else None,
            "end_line": span.source.position(span.end)[0] if span else None,
            "end_column": span.source.position(span.end)[1] if span else None,
            "node": self.node,
            "message": self.message,
            "facts": list(self.facts),
            "chain": list(self.chain),
            "count": self.count,
            "help": self.help,
        }


def _one_line(text: str) -> str:
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


def _excerpt(span: Span) -> list[str]:
    number, column = span.source.position(span.start)
    line = span.source.line(number)
    if not line.strip():
        return []
    end_line, end_column = span.source.position(max(span.end, span.start + 1))
    width = end_column - column if end_line == number else len(line.rstrip()) - column + 1
    shift = max(0, column - 100)  # a very long line is shown around its fault
    shown = printable(line[shift : shift + 160].replace("\t", " "))
    gutter = f"{number:>5} | "
    caret = " " * (len(printable(line[shift : column - 1].replace("\t", " ")))) + "^" * max(1, min(width, 120))
    return [gutter + shown, " " * (len(gutter) - 2) + "| " + caret]


def _joined(facts: Sequence[str]) -> list[str]:
    """Two short facts share a line, as the two sides of a merge read best side by side."""
    if len(facts) == 2 and sum(map(len, facts)) <= 104:
        return [f"{facts[0]}      {facts[1]}"]
    return list(facts)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like `name`, or None where nothing is near."""
    found = difflib.get_close_matches(name[:64], list(known)[:5000], n=1, cutoff=0.6)
    return found[0] if found else None


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    found = nearest(name, known)
    return f"did you mean '{found}'?" if found else None


def render(diagnostics: Sequence[Diagnostic], shown: int = SHOWN) -> str:
    """The findings sorted by place, the first `shown` whole and the rest counted."""
    ordered = sorted(diagnostics, key=lambda d: d.sort_key)
    parts = [str(d) for d in ordered[:shown]]
    if len(ordered) > shown:
        parts.append(f"... and {len(ordered) - shown} more (--json has all)")
    return "\n".join(parts)


class CnnspecError(Exception):
    """Base of every error a user can cause."""

    exit_code = 70


@dataclass(eq=False)
class SpecError(CnnspecError):
    """The spec has errors; `diagnostics` holds all of a run together, sorted by place."""

    diagnostics: list[Diagnostic] = field(default_factory=list)
    exit_code = 1

    def __str__(self) -> str:
        return render(self.diagnostics)


@dataclass(eq=False)
class _Plain(CnnspecError):
    message: str
    help: str | None = None

    def __str__(self) -> str:
        text = f"error: {printable(self.message)}"
        return f"{text}\n  help: {printable(self.help)}" if self.help else text


class RefutedError(_Plain):
    """The answer is no: a proof that was asked for failed."""

    exit_code = 1


class UsageError(_Plain):
    exit_code = 2


class MissingError(_Plain):
    exit_code = 3


class RunError(_Plain):
    exit_code = 4
