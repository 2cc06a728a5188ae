"""Text of an expression to its tree: a tokenizer and a parser by recursive descent, both with limits.

Loosest first: `a if c else b`; `->`; `or`, `and`, `not`; one comparison; `+ -`; `* // %`; unary `-`;
call, attribute, index. Nothing is ever evaluated here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from cnnspec import limits, traps
from cnnspec.diagnostics import Diagnostic, Source, Span, SpecError, printable
from cnnspec.reader import Mapping, Node, Scalar, Sequence, is_null, no_value, odd_number, whole
from cnnspec.syntax import (
    KEYWORDS,
    WORDS,
    Attribute,
    Binary,
    Call,
    Canonical,
    Conditional,
    Expr,
    Given,
    Index,
    ListOf,
    Literal,
    Loop,
    Name,
    Pipe,
    Unary,
)

_TOKEN = re.compile(
    r"(?P<number>(?:[0-9][0-9_]*|(?=\.[0-9]))(?:\.[0-9_]*)?(?:[eE][-+]?[0-9]+)?[A-Za-z_0-9]*)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<text>'[^'\n]*')"
    r"|(?P<sign>->|==|!=|<=|>=|//|[-+*%<>()\[\],.=;:])"
    r"|(?P<blank>[ \r\n\t]+)"
)
FileReader = Callable[[str, Span], tuple[Any, ...]]
_COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str  # number name text sign end
    text: str
    start: int
    end: int


def parse(node: Node, read: FileReader | None = None) -> Expr:
    """The tree of a value that stands where an expression may; `read` gives the numbers of a file, as {file: ...} asks.

    Raises SpecError at the first fault.
    """
    if is_null(node):
        raise no_value(node)
    if isinstance(node, Scalar):
        return _Parser(node).whole()
    if isinstance(node, Sequence):
        return ListOf(node.span, tuple(parse(item, read) for item in node.items))
    if "file" in node.entries and "op" not in node.entries:
        return _given(node, read)
    return _canonical(node, read)


def _given(node: Mapping, read: FileReader | None) -> Given:
    target = node.entries["file"]
    if is_null(target):
        raise no_value(target)
    if read is not None and isinstance(target, Scalar) and target.text and len(node.entries) == 1:
        return Given(node.span, read(target.text, target.span))
    message = "a file of numbers is named by its path alone" if read else "a file of numbers cannot stand here"
    raise SpecError([Diagnostic("expr.given", message, node.span, help="write {file: codes.json} under params")])


def _canonical(node: Mapping, read: FileReader | None) -> Canonical:
    head = node.entries.get("op")
    if head is not None and is_null(head):
        raise no_value(head)
    if not isinstance(head, Scalar):
        help = "write {op: conv, in: x, filters: 64}, or an expression"
        raise SpecError([Diagnostic("expr.canonical", "a mapping here needs the key op", node.span, help=help)])
    sources = node.entries.get("in")
    if isinstance(sources, Mapping):
        help = "give what stands there an entry of its own"
        raise SpecError(
            [Diagnostic("expr.canonical", "in: is a name, a path or a list of them", sources.span, help=help)]
        )
    inputs = () if sources is None else sources.items if isinstance(sources, Sequence) else (sources,)
    named = tuple(
        (Name(node.keys[key].span, key), _field(head.text, key, value, read))
        for key, value in node.entries.items()
        if key not in ("op", "in")
    )
    return Canonical(node.span, Name(head.span, head.text), tuple(parse(i, read) for i in inputs), named)


def _field(op: str, name: str, value: Node, read: FileReader | None) -> Expr:
    from cnnspec.ops import BY_NAME  # the operators know which of their fields hold text

    if op in BY_NAME and isinstance(value, Scalar) and name in BY_NAME[op].text_fields() and value.text[:1].isalpha():
        return Literal(value.span, value.text)
    return parse(value, read)


def _named(sign: str) -> str:
    """A character in quotes, and by its code where it may look like another or like none."""
    return f"'{printable(sign)}'" if sign.isascii() else f"'{printable(sign)}' (U+{ord(sign):04X})"


class _Parser:
    def __init__(self, scalar: Scalar) -> None:
        self.source: Source = scalar.span.source
        self.start, self.end = scalar.span.start, scalar.span.end
        if not scalar.plain:
            self.start, self.end = self.start + 1, self.end - 1
            written = self.source.text[self.start : self.end]
            if re.sub(r"\s+", " ", scalar.text) != re.sub(r"\s+", " ", written):
                help = "write it plainly, or in quotes of the other kind"
                raise self.fail("expr.escape", "a quoted expression holds no escapes", self.start, self.end, help)
        if self.end - self.start > limits.SCALAR_CHARS:
            message = f"an expression of {self.end - self.start} characters, the limit is {limits.SCALAR_CHARS}"
            raise self.fail("limit.expression", message, self.start, self.start + 1)
        self.tokens = self.tokenize()
        self.at = 0
        self.depth = 0

    def fail(self, code: str, message: str, start: int, end: int, help: str | None = None) -> SpecError:
        span = Span(self.source, start, min(end, len(self.source.text)))
        return SpecError([Diagnostic(code, message, span, help=help)])

    def span(self, start: int) -> Span:
        return Span(self.source, start, self.tokens[self.at - 1].end)

    # tokens

    def tokenize(self) -> list[_Token]:
        tokens, at, text = [], self.start, self.source.text
        while at < self.end:
            found = _TOKEN.match(text, at, self.end)
            if not found:
                raise self.foreign(at)
            if found.lastgroup != "blank":
                tokens.append(_Token(str(found.lastgroup), found[0], at, found.end()))
            at = found.end()
        tokens.append(_Token("end", "the end", self.end, self.end))
        return tokens

    def foreign(self, at: int) -> SpecError:
        sign = self.source.text[at]
        if sign == "'":
            rest = self.source.text[self.end :].split("\n")[0]
            if rest.lstrip().startswith("#"):
                return SpecError([traps.cut_text(Span(self.source, at, self.end))])
            return self.fail("expr.syntax", "the text is not closed", at, self.end, "add a ' at its end")
        foreign = traps.FOREIGN.get(sign)
        message = f"the language has no {foreign}" if foreign else f"unexpected character {_named(sign)}"
        return self.fail("expr.syntax", message, at, at + 1)

    @property
    def here(self) -> _Token:
        return self.tokens[self.at]

    def sign(self, *signs: str) -> _Token | None:
        """The token, taken, if it is one of these signs or keywords."""
        token = self.tokens[self.at]
        if token.text in signs and token.kind in ("sign", "name"):
            self.at += 1
            return token
        return None

    def expect(self, sign: str, what: str) -> _Token:
        if token := self.sign(sign):
            return token
        raise self.unexpected(f"expected {sign!r} {what}")

    def unexpected(self, expected: str, hint: str | None = None) -> SpecError:
        token = self.here
        doubled = token.text + self.tokens[min(self.at + 1, len(self.tokens) - 1)].text
        before = self.tokens[self.at - 1].text + token.text
        for pair in (before, doubled):
            if pair in ("**", "<<", ">>"):
                return self.fail("expr.syntax", f"the language has no {traps.FOREIGN[pair]}", token.start, token.end)
        end = max(token.end, token.start + 1)
        previous, following = self.tokens[self.at - 1], self.tokens[min(self.at + 1, len(self.tokens) - 1)]
        if token.text == ":" and previous.kind == following.kind == "number":
            span = Span(self.source, previous.start, following.end)
            return SpecError([odd_number(span.text, span)])
        if token.text == "." and following.text.lower() in ("nan", "inf"):
            return self.fail("value.range", f"numbers are finite, got .{following.text}", token.start, following.end)
        arrow = token.text == "=" and following.text == ">"
        help = "write ->" if arrow else traps.HINTS.get(token.text, hint)
        return self.fail("expr.syntax", f"{expected}, got {token.text}", token.start, end, help)

    # grammar, loosest first

    def whole(self) -> Expr:
        if self.here.kind == "end":
            raise self.fail("expr.syntax", "the expression is empty", self.start, max(self.end, self.start + 1))
        result = self.conditional()
        if self.here.kind != "end":
            raise self.unexpected("expected the end of the expression", "a comma, an operator or -> may be missing")
        return result

    def enter(self) -> None:
        self.depth += 1
        if self.depth > limits.EXPRESSION_DEPTH:
            message = f"nested deeper than {limits.EXPRESSION_DEPTH} levels"
            raise self.fail("limit.expression", message, self.here.start, max(self.here.end, self.here.start + 1))

    def conditional(self) -> Expr:
        self.enter()
        start = self.here.start
        result = self.pipe()
        if self.sign("if"):
            test = self.either()
            self.expect("else", "after the condition")
            otherwise = self.conditional()
            result = Conditional(self.span(start), result, test, otherwise)
        self.depth -= 1
        return result

    def pipe(self) -> Expr:
        start = self.here.start
        first = self.either()
        steps = []
        while self.sign("->"):
            steps.append(self.either())
        return Pipe(self.span(start), first, tuple(steps)) if steps else first

    def either(self) -> Expr:
        return self.left_to_right(("or",), self.both)

    def both(self) -> Expr:
        return self.left_to_right(("and",), self.negation)

    def left_to_right(self, signs: tuple[str, ...], tighter: Callable[[], Expr]) -> Expr:
        start = self.here.start
        left = tighter()
        count = 0
        while token := self.sign(*signs):
            count += 1
            if count > limits.EXPRESSION_DEPTH:
                raise self.fail("limit.expression", f"more than {count - 1} operators in a row", token.start, token.end)
            right = tighter()
            left = Binary(self.span(start), token.text, left, right)
        return left

    def negation(self) -> Expr:
        return self.prefixed("not", self.comparison)

    def prefixed(self, sign: str, tighter: Callable[[], Expr]) -> Expr:
        start = self.here.start
        if not self.sign(sign):
            return tighter()
        self.enter()
        operand = self.prefixed(sign, tighter)
        self.depth -= 1
        return Unary(self.span(start), sign, operand)

    def comparison(self) -> Expr:
        start = self.here.start
        left = self.sum()
        if token := self.sign(*_COMPARISONS):
            right = self.sum()
            left = Binary(self.span(start), token.text, left, right)
            if self.here.text in _COMPARISONS:
                raise self.fail(
                    "expr.syntax", "comparisons are not chained", self.here.start, self.here.end, "join two with and"
                )
        return left

    def sum(self) -> Expr:
        return self.left_to_right(("+", "-"), self.product)

    def product(self) -> Expr:
        return self.left_to_right(("*", "//", "%"), self.negative)

    def negative(self) -> Expr:
        return self.prefixed("-", self.postfix)

    def postfix(self) -> Expr:
        start = self.here.start
        result = self.atom()
        count = 0
        while token := self.sign("(", ".", "["):
            count += 1
            if count > limits.EXPRESSION_DEPTH:
                message = f"more than {count - 1} calls, attributes and indices in a row"
                raise self.fail("limit.expression", message, token.start, token.end)
            if token.text == "(":
                result = self.call(start, result)
            elif token.text == ".":
                if self.here.kind != "name":
                    raise self.unexpected("expected a name after the dot")
                self.at += 1
                result = Attribute(self.span(start), result, self.tokens[self.at - 1].text)
            else:
                index = self.conditional()
                self.expect("]", "after the index")
                result = Index(self.span(start), result, index)
        return result

    def call(self, start: int, callee: Expr) -> Call:
        if not isinstance(callee, Name | Attribute):
            raise self.fail("expr.syntax", "only a name can be called", callee.span.start, callee.span.end)
        args: list[Expr] = []
        named: list[tuple[Name, Expr]] = []
        split: int | None = None
        while not self.sign(")"):
            following = self.tokens[min(self.at + 1, len(self.tokens) - 1)]
            if self.here.kind == "name" and following.text == "=":
                name = Name(Span(self.source, self.here.start, self.here.end), self.here.text)
                self.at += 2
                named.append((name, self.conditional()))
            elif named:
                raise self.unexpected("expected a keyword argument (positional ones stand first)")
            else:
                args.append(self.conditional())
            if self.here.text == ";" and split is None and not named:
                self.at += 1
                split = len(args)
            elif self.here.text != ")":
                self.expect(",", "or ')' in the argument list")
        return Call(self.span(start), callee, tuple(args), tuple(named), split)

    def atom(self) -> Expr:
        token = self.here
        span = Span(self.source, token.start, token.end)
        self.at += 1
        if token.kind == "number":
            return Literal(span, number(token.text, span))
        if token.kind == "text":
            return Literal(span, token.text[1:-1])
        if token.kind == "name" and token.text not in KEYWORDS:
            return Literal(span, WORDS[token.text]) if token.text in WORDS else Name(span, token.text)
        if token.text == "(":
            return self.parenthesis()
        if token.text == "[":
            return self.list_of(token.start)
        self.at -= 1
        raise self.unexpected("expected a name, number, list or parenthesis")

    def parenthesis(self) -> Expr:
        start = self.tokens[self.at - 1].start
        inner = self.conditional()
        if self.sign("for"):
            names = [self.binding()]
            while self.sign(","):
                names.append(self.binding())
            self.expect("in", "after the names of a loop")
            over = self.either()
            self.expect(")", "after the loop")
            return Loop(self.span(start), inner, tuple(names), over)
        if not self.sign(")"):
            hint = "a list is written [1, 2]" if self.here.text == "," else None
            raise self.unexpected("expected ')' to close the parenthesis", hint)
        return inner

    def binding(self) -> Name:
        token = self.here
        if token.kind != "name" or token.text in KEYWORDS or token.text in WORDS:
            raise self.unexpected("expected a name for the loop")
        self.at += 1
        return Name(self.span(token.start), token.text)

    def list_of(self, start: int) -> ListOf:
        items: list[Expr] = []
        while not self.sign("]"):
            items.append(self.conditional())
            if self.here.text != "]":
                self.expect(",", "or ']' in the list")
        return ListOf(self.span(start), tuple(items))


def number(text: str, span: Span) -> int | Fraction:
    """An integer, or the exact fraction of a decimal; raises SpecError for other notations and ranges."""
    if re.fullmatch(r"0|[1-9][0-9]*", text):
        return whole(text, span)
    if not re.fullmatch(r"(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?", text):
        raise SpecError([odd_number(text, span)])
    exponent = re.search(r"[eE]([-+]?[0-9]+)", text)
    if len(text) > 64 or (exponent and (len(exponent[1]) > 4 or abs(int(exponent[1])) > 300)):
        message = f"the decimal {text[:40]} is out of range: 64 characters, and an exponent from -300 to 300"
        raise SpecError([Diagnostic("value.range", message, span)])
    return Fraction(text)
