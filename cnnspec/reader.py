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

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_DECIMAL = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_ODD_NUMBER = re.compile(r"[-+]?(0[0-9_]+|0[xob][0-9a-fA-F_]+|[0-9][0-9_]*_[0-9_]*|[0-9]+(:[0-9]+)+)")
_NULLS = ("", "~", "null", "Null", "NULL")


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
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with open(descriptor, "rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        if not stat.S_ISREG(mode):
            raise OSError(0, "is a folder" if stat.S_ISDIR(mode) else "is no regular file", str(path))
        data = file.read(limits.FILE_BYTES + 1)
        size = os.fstat(file.fileno()).st_size
    if len(data) > limits.FILE_BYTES:
        raise _refusal("limit.file", f"the file has {size} bytes, the limit is {limits.FILE_BYTES} (1 MiB)", shown)
    return Source(shown, decode(data, shown))


def decode(data: bytes, shown: str) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _refusal("yaml.encoding", "the file is UTF-16; a spec is UTF-8", shown, "save it as UTF-8")
    try:
        text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8")
    except UnicodeDecodeError as error:
        what = f"byte {data[error.start]:#04x} at offset {error.start} is not UTF-8"
        raise _refusal("yaml.encoding", what, shown, "save it as UTF-8") from None
    found = re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufeff]|\r(?!\n)", text)
    if found:
        offset = len(text[: found.start()].encode())
        what = (
            "a byte order mark in the middle"
            if found[0] == "\ufeff"
            else f"the control character {printable(found[0])}"
        )
        raise _refusal("yaml.encoding", f"{what} at byte offset {offset}", shown, "remove it")
    return text


def _refusal(code: str, message: str, path: str, help: str | None = None) -> SpecError:
    return SpecError([Diagnostic(code, message, path=path, help=help)])


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
        raise SpecError([Diagnostic("yaml.syntax", "the text is no YAML", path=source.path)]) from None
    if root is None:
        raise SpecError([Diagnostic("yaml.empty", "empty spec: the file holds no text but comments", path=source.path)])
    if not isinstance(root, Mapping):
        kind = "list" if isinstance(root, Sequence) else "scalar"
        raise SpecError([Diagnostic("yaml.top", f"expected a mapping of sections, got a {kind}", root.span)])
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
        return None if isinstance(root, Scalar) and root.plain and root.text in _NULLS else root

    def node(self, event: Any, depth: int, flow: bool) -> Node:
        if isinstance(event, yaml.AliasEvent):
            raise self.fail(
                "yaml.alias", f"alias *{event.anchor} is not allowed", event, "use a block to write a thing twice"
            )
        if event.anchor is not None:
            raise self.fail(
                "yaml.anchor", f"anchor &{event.anchor} is not allowed", event, "use a block to write a thing twice"
            )
        if event.tag is not None:
            raise self.fail("yaml.tag", f"tags are not allowed, got {event.tag}", event, "remove the tag")
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
        if flow and plain and event.value.count("(") != event.value.count(")"):
            raise SpecError([*self.found, traps.flow_comma(span)])
        return Scalar(span, event.value, plain)

    def sequence(self, start: Any, depth: int, flow: bool) -> Sequence:
        items = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            item = self.node(event, depth + 1, flow)
            self.refuse_null(item, "an item of the list is empty", item.span)
            items.append(item)
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
                line = keys[key.text].span.line
                message = f"'{key.text}' stands twice: here and in line {line}"
                self.found.append(Diagnostic("yaml.duplicate", message, key.span, help="keep one of them"))
                continue
            keys[key.text] = key
            if not self.refuse_null(value, f"'{key.text}' has no value", key.span):
                entries[key.text] = value
        return Mapping(self.whole(start, event), entries, keys)

    def whole(self, start: Any, end: Any) -> Span:
        first, last = self.span(start), self.span(end)
        return Span(self.source, first.start, max(first.end, last.end if start.flow_style else last.start))

    def refuse_null(self, node: Node, message: str, span: Span) -> bool:
        null = isinstance(node, Scalar) and node.plain and node.text in _NULLS
        if null:
            help = "write a value, or remove the line; the word for nothing is none"
            self.found.append(Diagnostic("yaml.null", message, span, help=help))
        return null

    def key(self, node: Node) -> Scalar | None:
        kind: str | None = None
        if not isinstance(node, Scalar):
            kind = "list" if isinstance(node, Sequence) else "mapping"
        elif node.plain and node.text == "<<":
            raise SpecError([Diagnostic("yaml.merge", "merge keys << are not allowed", node.span, help="use a block")])
        elif node.plain and node.text in _NULLS:
            kind = "null"
        elif node.plain and node.text in ("true", "false"):
            kind = "boolean"
        elif node.plain and _DECIMAL.fullmatch(node.text):
            kind = "number"
        if kind is None:
            assert isinstance(node, Scalar)
            return node
        shown = node.span.text[:40] or "~"
        self.found.append(Diagnostic("yaml.key", f"the key {shown} is a {kind}, a key is a name", node.span))
        return None


def literal(node: Scalar) -> int | float | bool | str:
    """The YAML 1.2 value of a scalar where data is due; raises SpecError for numbers in an odd notation."""
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
        message = f"an integer of {digits} digits is out of range: -2^53 to 2^53"
        raise SpecError([Diagnostic("value.range", message, span)])
    return value


def odd_number(text: str, span: Span) -> Diagnostic:
    return Diagnostic("value.number", f"'{text}' is no number here", span, help="write decimal digits alone")


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
