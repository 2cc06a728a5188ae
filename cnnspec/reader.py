"""YAML text to nodes with positions: YAML 1.2 scalars, no tags, anchors, merge keys, nulls or second documents.

PyYAML's event stream is walked with budgets, so that nothing hostile is ever composed; its composer and
constructors are not used at all.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from cnnspec import limits, traps
from cnnspec.diagnostics import Diagnostic, Source, Span, SpecError, printable

_TWICE = "use a block to write a thing twice"
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_DECIMAL = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_ODD_NUMBER = re.compile(r"[-+]?(0[0-9_]+|0[xob][0-9a-fA-F_]+|[0-9][0-9_]*_[0-9_]*|[0-9]+(:[0-9]+)+)")
_NULLS = ("", "~", "null", "Null", "NULL")
_REFUSED = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]|\r(?!\n)")
_ENCODINGS = (
    (b"\xff\xfe\0\0", "UTF-32"),
    (b"\0\0\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)


@dataclass(frozen=True, slots=True)
class Scalar:
    """One scalar: `text` as YAML gives it, `span` as written (with its quotes)."""

    span: Span
    text: str
    plain: bool


@dataclass(frozen=True, slots=True)
class Sequence:
    span: Span
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Mapping:
    """`entries` by key, in the order written; `keys` holds the key's own scalar."""

    span: Span
    entries: dict[str, Node] = field(default_factory=dict)
    keys: dict[str, Scalar] = field(default_factory=dict)


Node = Scalar | Sequence | Mapping


def read_file(path: str | Path, shown: str | None = None) -> Source:
    """The text of a regular file, decoded strictly.

    Raises OSError where it cannot be opened or is no regular file, and SpecError where it is too large or is not
    plain UTF-8 text.
    """
    shown = shown or str(path)
    if "\0" in str(path):
        raise OSError(0, "a path holds no NUL", shown)
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with open(descriptor, "rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        if not stat.S_ISREG(mode):
            raise OSError(0, "is a folder" if stat.S_ISDIR(mode) else "is no regular file", str(path))
        data = file.read(limits.FILE_BYTES + 1)
        size = os.fstat(file.fileno()).st_size
    if len(data) > limits.FILE_BYTES:
        message = f"the file has {size} bytes, the limit is {limits.FILE_BYTES} (1 MiB)"
        raise SpecError([Diagnostic("limit.file", message, Span(Source(shown, ""), 0, 0))])
    return Source(shown, decode(data, shown))


def decode(data: bytes, shown: str) -> str:
    """The text of UTF-8 bytes without a byte order mark; raises SpecError for what is none, and control characters."""
    for mark, encoding in _ENCODINGS:
        if data.startswith(mark):
            start = Span(Source(shown, ""), 0, 0)
            message = f"the file is {encoding}; a spec is UTF-8"
            raise SpecError([Diagnostic("yaml.encoding", message, start, help="save the file as UTF-8")])
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("utf-8-sig", "surrogateescape")  # a byte that is not UTF-8 becomes a surrogate
    if found := _REFUSED.search(text):
        raise SpecError([_refused(data, text, found, shown)])
    return text


def _refused(data: bytes, text: str, found: re.Match[str], shown: str) -> Diagnostic:
    sign, at = found[0], found.start()
    mark = 3 if data.startswith(b"\xef\xbb\xbf") else 0
    offset = len(text[:at].encode("utf-8", "surrogateescape")) + mark
    legible = re.sub(r"[\ud800-\udfff]", "\ufffd", text)
    what, help = f"the control character {printable(sign)}", "remove it"
    if sign == "\ufeff":
        what = "a byte order mark in the middle"
    elif sign == "\0":
        help = "save the file as UTF-8 text"
    elif sign == "\r":
        help = "save the file with \\n at the ends of its lines"
    elif "\ud800" <= sign <= "\udfff":
        what, help = f"the byte {data[offset]:#04x} is not UTF-8", "save the file as UTF-8"
    return Diagnostic(
        "yaml.encoding", f"{what} at byte offset {offset}", Span(Source(shown, legible), at, at + 1), help=help
    )


def is_null(node: Node) -> bool:
    """Whether a node is one of the ways YAML writes nothing."""
    return isinstance(node, Scalar) and node.plain and node.text in _NULLS


def no_value(node: Node) -> SpecError:
    span = node.span
    hidden = re.match(r"[ \t]*#", span.source.text[span.end :])
    help = "write a value, or remove the line; no options are {}, and the word for nothing is none"
    if hidden and span.start == span.end:
        help = "what follows # is a comment; write a value before it"
    return SpecError([Diagnostic("yaml.null", "a value is missing here", span, help=help)])


def read(source: Source) -> tuple[Mapping, list[Diagnostic]]:
    """The document as a mapping, and the faults that do not stop the reading; raises SpecError for those that do."""
    reader = _Reader(source)
    if tab := traps.tab_indentation(source):
        raise SpecError([tab])
    try:
        root = reader.document()
    except yaml.MarkedYAMLError as error:
        raise SpecError([*reader.found, traps.explain(source, error)]) from None
    except yaml.YAMLError:
        raise SpecError([Diagnostic("yaml.syntax", "the text is no YAML", Span(source, 0, 0))]) from None
    if root is None:
        message, help = "empty spec: the file holds no text but comments", "cnnspec init writes a first spec"
        raise SpecError([Diagnostic("yaml.empty", message, Span(source, 0, 0), help=help)])
    if not isinstance(root, Mapping):
        kind = "a list" if isinstance(root, Sequence) else "text"
        message, help = f"expected a mapping of sections, got {kind}", "a spec begins with cnnspec: 1 and name: NAME"
        raise SpecError([Diagnostic("yaml.top", message, root.span, help=help)])
    return root, reader.found


class _Reader:
    """Walks the events of one source; `found` collects what does not stop the reading."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.found: list[Diagnostic] = []
        self.events: Iterator[Any] = yaml.parse(source.text, Loader=_LOADER)

    def span(self, event: Any) -> Span:
        start = self.offset(event.start_mark)
        return Span(self.source, start, max(start, self.offset(event.end_mark)))

    def offset(self, mark: Any) -> int:
        starts, end = self.source.line_starts, len(self.source.text)
        return min(starts[mark.line] + mark.column, end) if mark.line < len(starts) else end

    def fail(self, code: str, message: str, event: Any, help: str | None = None) -> SpecError:
        return SpecError([*self.found, Diagnostic(code, message, self.span(event), help=help)])

    def sign(self, code: str, message: str, event: Any, sign: str, help: str) -> SpecError:
        """A fault at the word before a value that begins with the sign."""
        start = self.offset(event.start_mark)
        found = re.compile(rf"[&!]*{re.escape(sign)}[^\s,\[\]{{}}]*").search(self.source.text, start)
        span = Span(self.source, found.start(), found.end()) if found else self.span(event)
        goes_on = re.match(r"[ \t]+(->|[-+*/%]|if\b)", self.source.text[span.end :])
        help = f"an expression does not begin with {sign}" if goes_on else help
        return SpecError([*self.found, Diagnostic(code, message, span, help=help)])

    def document(self) -> Node | None:
        root: Node | None = None
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                if event.version or event.tags:
                    raise self.fail("yaml.directive", "directives (%YAML, %TAG) are not allowed", event)
                if root is not None:
                    line = self.span(event).line
                    raise self.fail(
                        "yaml.documents", f"a second document starts at line {line}", event, "keep one a file"
                    )
            elif not isinstance(event, (yaml.StreamStartEvent, yaml.StreamEndEvent, yaml.DocumentEndEvent)):
                root = self.node(event, 1, flow=False)
        return None if root is not None and is_null(root) else root

    def node(self, event: Any, depth: int, flow: bool) -> Node:
        if isinstance(event, yaml.AliasEvent):
            raise self.sign("yaml.alias", f"alias *{event.anchor} is not allowed", event, "*", _TWICE)
        if event.anchor is not None:
            raise self.sign("yaml.anchor", f"anchor &{event.anchor} is not allowed", event, "&", _TWICE)
        if event.tag is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            raise self.sign("yaml.tag", f"tags are not allowed, got {tag}", event, "!", "remove the tag")
        if isinstance(event, yaml.ScalarEvent):
            return self.scalar(event, flow)
        if depth > limits.YAML_DEPTH:
            raise self.fail("limit.depth", f"nested deeper than {limits.YAML_DEPTH} levels", event)
        inside = flow or bool(event.flow_style)
        if isinstance(event, yaml.SequenceStartEvent):
            return self.sequence(event, depth, inside)
        return self.mapping(event, depth, inside)

    def scalar(self, event: Any, flow: bool) -> Scalar:
        span = self.span(event)
        if event.style in ("|", ">"):
            raise SpecError([*self.found, traps.block_scalar(span, event.style)])
        if len(event.value) > limits.SCALAR_CHARS:
            raise self.fail("limit.scalar", f"{len(event.value)} characters, the limit is {limits.SCALAR_CHARS}", event)
        plain = event.style not in ("'", '"')
        if found := _REFUSED.search(event.value):
            message = f"an escape for the control character {printable(found[0])}"
            raise self.fail("yaml.escape", message, event, "remove it")
        if flow and plain and event.value.count("(") != event.value.count(")"):
            raise SpecError([*self.found, traps.flow_comma(span)])
        return Scalar(span, event.value, plain)

    def sequence(self, start: Any, depth: int, flow: bool) -> Sequence:
        items = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            items.append(self.node(event, depth + 1, flow))
        return Sequence(self.whole(start, event), tuple(items))

    def mapping(self, start: Any, depth: int, flow: bool) -> Mapping:
        entries: dict[str, Node] = {}
        keys: dict[str, Scalar] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key = self.key(self.node(event, depth + 1, flow))
            value = self.node(next(self.events), depth + 1, flow)
            if key is None:
                continue
            if key.text in keys:
                first = keys[key.text].span
                where = f"line {first.line}" if first.line != key.span.line else f"column {first.column}"
                message = f"'{key.text}' stands twice: here and in {where}"
                self.found.append(Diagnostic("yaml.duplicate", message, key.span, help="keep one of them"))
                continue
            keys[key.text], entries[key.text] = key, value
        return Mapping(self.whole(start, event), entries, keys)

    def whole(self, start: Any, end: Any) -> Span:
        first, last = self.span(start), self.span(end)
        return Span(self.source, first.start, max(first.end, last.end if start.flow_style else last.start))

    def key(self, node: Node) -> Scalar | None:
        kind: str | None = None
        if not isinstance(node, Scalar):
            kind = "a list" if isinstance(node, Sequence) else "a mapping"
        elif node.plain and node.text == "<<":
            help = "write the entries out, or use a block"
            raise SpecError(
                [*self.found, Diagnostic("yaml.merge", "merge keys << are not allowed", node.span, help=help)]
            )
        elif is_null(node) or not node.text:
            kind = "empty"
        elif node.plain and node.text in ("true", "false"):
            kind = "a boolean"
        elif node.plain and _DECIMAL.fullmatch(node.text):
            kind = "a number"
        if kind is None:
            assert isinstance(node, Scalar)
            return node
        shown = f"the key {node.span.text[:40]}".rstrip()
        self.found.append(Diagnostic("yaml.key", f"{shown} is {kind}, a key is a name", node.span))
        return None


def literal(node: Scalar) -> int | float | bool | str:
    """The YAML 1.2 value of a scalar where data is due; raises SpecError for nulls and numbers in an odd notation."""
    if is_null(node):
        raise no_value(node)
    text = node.text
    if not node.plain:
        return text
    if text in ("true", "false"):
        return text == "true"
    if _INTEGER.fullmatch(text):
        return whole(text, node.span)
    if _ODD_NUMBER.fullmatch(text):
        raise SpecError([odd_number(text, node.span)])
    if _DECIMAL.fullmatch(text) or text in (".inf", "-.inf", ".nan"):
        return float(text.replace(".inf", "inf").replace(".nan", "nan"))
    return text


def whole(text: str, span: Span) -> int:
    digits = len(text.lstrip("+-"))
    value = int(text) if digits <= 20 else limits.INTEGER + 1
    if abs(value) > limits.INTEGER:
        shown = text if digits <= 40 else f"an integer of {digits} digits"
        message = f"{shown} is out of range: -2^53 to 2^53"
        raise SpecError([Diagnostic("value.range", message, span)])
    return value


def odd_number(text: str, span: Span) -> Diagnostic:
    help = "write decimal digits, with no leading zero, underscore, colon or letter"
    if product := re.fullmatch(r"([1-9][0-9]*)([A-Za-z_]+)", text):
        help = f"write {product[1]}*{product[2]}"
    return Diagnostic("value.number", f"'{text[:40]}' is no decimal number", span, help=help)


def to_python(node: Node) -> Any:
    """Plain values: dict, list, int, float, bool and str; raises SpecError for numbers in an odd notation."""
    if isinstance(node, Scalar):
        return literal(node)
    if isinstance(node, Sequence):
        return [to_python(item) for item in node.items]
    return {key: to_python(value) for key, value in node.entries.items()}


def locate(node: Node, path: tuple[int | str, ...]) -> Span:
    """The span of what a path of keys and indices leads to, or of the last step that exists."""
    span = node.span
    for step in path:
        if isinstance(node, Mapping) and step in node.entries:
            span = node.keys[str(step)].span
            node = node.entries[str(step)]
        elif isinstance(node, Mapping) and step in node.keys:
            return node.keys[str(step)].span
        elif isinstance(node, Sequence) and isinstance(step, int) and step < len(node.items):
            node = node.items[step]
            span = node.span
        else:
            continue  # pydantic puts the tag of a union between the steps
    return node.span if isinstance(node, Scalar) else span


def key_span(root: Mapping, path: tuple[int | str, ...]) -> Span:
    """The span of the key that a path of keys and indices ends with."""
    node: Node = root
    for step in path[:-1]:
        if isinstance(node, Mapping) and step in node.entries:
            node = node.entries[str(step)]
        elif isinstance(node, Sequence) and isinstance(step, int):
            node = node.items[step]
    return node.keys[str(path[-1])].span if isinstance(node, Mapping) and path[-1] in node.keys else node.span
