"""A spec file with what it uses and extends, parsed: names and expressions, nothing evaluated."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from cnnspec import given, limits, reader, zoo
from cnnspec.diagnostics import Diagnostic, MissingError, Source, Span, SpecError, did_you_mean
from cnnspec.expression import FileReader, parse
from cnnspec.reader import Mapping, Node, Scalar
from cnnspec.spec import Document, HeadOf, OutputOptions, check_name, document
from cnnspec.syntax import Call, Expr, Name


@dataclass(frozen=True, slots=True)
class Entry:
    """One `name: expression`; expr is None where the expression has a syntax error."""

    name: str
    expr: Expr | None
    key: Span
    span: Span


@dataclass(frozen=True, slots=True)
class Argument:
    name: str
    default: Expr | None
    span: Span


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """A block's signature and body; a one-line body is the entry `out`."""

    name: str
    tensors: tuple[str, ...]
    arguments: tuple[Argument, ...]
    body: dict[str, Entry]
    key: Span


@dataclass(eq=False)
class File:
    """One file, with its parent's entries merged in where it extends one."""

    source: Source
    path: Path | None
    root: Path
    document: Document
    node: Mapping
    inputs: dict[str, Entry] = field(default_factory=dict)
    params: dict[str, Entry] = field(default_factory=dict)
    blocks: dict[str, Block] = field(default_factory=dict)
    net: dict[str, Entry] = field(default_factory=dict)
    uses: dict[str, File] = field(default_factory=dict)
    inherited: set[str] = field(default_factory=set)
    outputs: dict[str, OutputOptions] = field(default_factory=dict)
    output_spans: dict[str, Span] = field(default_factory=dict)
    heads: dict[str, HeadOf] = field(default_factory=dict)
    head_spans: dict[str, Span] = field(default_factory=dict)
    typical: dict[str, int] = field(default_factory=dict)
    found: list[Diagnostic] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)
    """Names of blocks whose signature cannot be read: their calls stay silent."""
    numbers: FileReader | None = None
    """What reads a file of numbers that this one names."""
    references: dict[str, set[str]] = field(default_factory=dict)
    """The entries of net that each entry names, once names are checked."""


def load(target: str | Path) -> File:
    """The file of a path or a shipped name; raises MissingError where there is none, SpecError for its faults."""
    shown = str(target)
    if isinstance(target, str) and not zoo.is_path(target):
        path = zoo.folder() / f"{target}.yaml"
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", target) or not path.is_file():
            help = (
                did_you_mean(target, zoo.names()) or "cnnspec list shows the shipped specs; a path has a / or a suffix"
            )
            raise MissingError(f"there is no shipped spec '{target}'", help)
        shown = _short(path)
    else:
        path = Path(target)
    try:
        source = reader.read_file(path, shown)
    except OSError as error:
        raise MissingError(f"cannot read {shown}: {_reason(error)}") from None
    return _Loader(path.resolve().parent).file(source, path.resolve())


def load_text(text: str, shown: str = "spec", root: Path | None = None) -> File:
    """The same for a text at hand; what it uses is looked for under `root`."""
    text = reader.decode(text.encode("utf-8", "surrogatepass"), shown)
    return _Loader((root or Path.cwd()).resolve()).file(Source(shown, text), None)


def _short(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _reason(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else str(error.strerror)


class _Loader:
    """Reads a root file and what it uses; keeps the chain and the count within their limits."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.chain: list[Path | str] = []
        self.files: dict[Path, File] = {}
        self.given: dict[Path, tuple[Any, ...] | str] = {}

    def file(self, source: Source, path: Path | None) -> File:
        node, found = reader.read(source)
        try:
            doc, unknown = document(node)
        except SpecError as error:
            raise SpecError([*found, *error.diagnostics]) from None
        file = File(source, path, self.root, doc, node, found=[*found, *unknown])
        self.chain.append(path or source.path)
        try:
            if doc.extends is not None:
                self.extend(file, self.used(file, doc.extends, reader.locate(node, ("extends",))))
            for name, target in doc.use.items():
                span = reader.locate(node, ("use", name))
                _check_names(file, [(name, "a used spec", span)], numbered=False)
                file.uses[name] = self.used(file, target, span)
        finally:
            self.chain.pop()
        file.numbers = partial(self.numbers, file)
        _own_sections(file)
        return file

    def extend(self, file: File, parent: File) -> None:
        for section in ("inputs", "params", "blocks", "net", "uses", "heads", "typical", "outputs"):
            getattr(file, section).update(getattr(parent, section))
        file.output_spans.update(parent.output_spans)
        file.head_spans.update(parent.head_spans)
        file.inherited = set(parent.net)
        file.found += parent.found

    def used(self, file: File, target: str, span: Span) -> File:
        path, root = self.resolve(file, target, span)
        if path in self.chain:
            chain = [*self.chain[self.chain.index(path) :], path]
            names = " -> ".join(Path(part).name for part in chain)
            raise SpecError([Diagnostic("use.cycle", f"files use each other in a circle: {names}", span)])
        if len(self.chain) >= limits.USE_DEPTH:
            names = " -> ".join(Path(part).name for part in [*self.chain, path])
            raise SpecError([Diagnostic("limit.use", f"files used {limits.USE_DEPTH} deep, the limit: {names}", span)])
        if path in self.files:
            return self.files[path]
        self.one_more(span)
        try:
            source = reader.read_file(path, _short(path))
        except OSError as error:
            raise SpecError([_unreadable(target, path, error, span)]) from None
        outer, self.root = self.root, root
        try:
            used = self.files[path] = self.file(source, path)
        except SpecError as error:
            raise SpecError(_used_by(error.diagnostics, span)) from None
        finally:
            self.root = outer
        used.found = _used_by(used.found, span)
        return used

    def one_more(self, span: Span) -> None:
        if len(self.files) + len(self.given) + 1 >= limits.USE_FILES:
            raise SpecError([Diagnostic("limit.use", f"more than {limits.USE_FILES} files", span)])

    def numbers(self, file: File, target: str, span: Span) -> tuple[Any, ...]:
        """The lists of a file of numbers. A fault names the line that asks for it, and quotes nothing of the file."""
        path = self.under_root(file, target, span)
        if path not in self.given:
            self.one_more(span)
            self.given[path] = _numbers(path)
        found = self.given[path]
        if isinstance(found, str):
            raise SpecError([Diagnostic("use.numbers", f"cannot read '{target}': {found}", span)])
        return found

    def resolve(self, file: File, target: str, span: Span) -> tuple[Path, Path]:
        """The path a `use` means and the folder it has to stay under."""
        if not zoo.is_path(target):
            folder = zoo.folder().resolve()
            if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}", target):
                raise SpecError(
                    [Diagnostic("use.path", f"'{target}' names no shipped spec", span, help=_known(target))]
                )
            return folder / f"{target}.yaml", folder
        return self.under_root(file, target, span), self.root

    def under_root(self, file: File, target: str, span: Span) -> Path:
        """The real path of a target relative to the file that names it."""
        if "://" in target or target.startswith(("/", "~", "\\")) or "\\" in target:
            help = "write a path relative to this file"
            raise SpecError([Diagnostic("use.path", f"'{target}' is no relative path", span, help=help)])
        base = file.path.parent if file.path else self.root
        path = Path(os.path.normpath(base / target))
        try:
            real = path.resolve()
        except (OSError, RuntimeError):  # a link to itself
            message = f"cannot read '{target}': too many levels of symbolic links"
            raise SpecError([Diagnostic("use.missing", message, span, help=f"looked for {_short(path)}")]) from None
        if not path.is_relative_to(self.root) or not real.is_relative_to(self.root):
            message = f"'{target}' leads out of the folder of the root file, {self.root.name}/"
            raise SpecError([Diagnostic("use.path", message, span, help="keep used files under that folder")])
        return real


def _numbers(path: Path) -> tuple[Any, ...] | str:
    """What a file of numbers holds, or what is wrong with it."""
    try:
        return given.numbers(reader.read_file(path).text)
    except OSError as error:
        return _reason(error)
    except SpecError as error:
        return error.diagnostics[0].message
    except given.Malformed as error:
        return str(error)


def _unreadable(target: str, path: Path, error: OSError, span: Span) -> Diagnostic:
    if not zoo.is_path(target):
        help = _known(target) or "cnnspec list shows the shipped specs; a path has a / or a suffix"
        return Diagnostic("use.missing", f"there is no shipped spec '{target}'", span, help=help)
    message = f"cannot read '{target}': {_reason(error)}"
    return Diagnostic("use.missing", message, span, help=f"looked for {_short(path)}")


def _used_by(diagnostics: list[Diagnostic], span: Span) -> list[Diagnostic]:
    """The faults of a used file, each with the line that uses it."""
    fact = f"used in {span.source.path}:{span.line}"
    return [
        d if d.span is not None and d.span.source is span.source else replace(d, facts=(*d.facts, fact))
        for d in diagnostics
    ]


def _known(target: str) -> str | None:
    return did_you_mean(target, zoo.names()) if not zoo.is_path(target) else None


def _own_sections(file: File) -> None:
    """Parse this file's own sections over what it inherited; faults are collected in file.found."""
    doc = file.document
    if doc.input is not None:
        file.inputs.update(_entries(file, doc.input, "an input"))
    if doc.params is not None:
        file.params.update(_entries(file, doc.params, "a param"))
    if doc.blocks is not None:
        for key, value in doc.blocks.entries.items():
            _block(file, doc.blocks.keys[key], value)
    if doc.net is not None:
        own = _entries(file, doc.net, "an entry")
        file.net.update(own)
        file.inherited -= own.keys()
    if doc.outputs is not None:
        listed = doc.outputs if isinstance(doc.outputs, dict) else {name: OutputOptions() for name in doc.outputs}
        file.outputs = dict(listed)
        steps = list(listed) if isinstance(doc.outputs, dict) else range(len(doc.outputs))
        spans = [reader.locate(file.node, ("outputs", step)) for step in steps]
        names = listed if isinstance(doc.outputs, dict) else doc.outputs
        for name, span in zip(names, spans, strict=True):
            if name in file.output_spans and isinstance(doc.outputs, list) and doc.outputs.count(name) > 1:
                message = f"the output '{name}' is listed twice"
                file.found.append(Diagnostic("spec.output", message, span, help="list it once"))
            file.output_spans[name] = span
    if doc.heads is not None:
        file.heads = dict(doc.heads)
        file.head_spans = {name: reader.locate(file.node, ("heads", name)) for name in doc.heads}
    if doc.typical is not None:
        file.typical = dict(doc.typical)


def _entries(file: File, section: Mapping, what: str) -> dict[str, Entry]:
    entries = {}
    for name, value in section.entries.items():
        key = section.keys[name].span
        path = what == "an entry" and "." in name
        _check_names(file, [(part, what, key) for part in (name.split(".") if path else [name])])
        entries[name] = Entry(name, _parse(file, value), key, value.span)
    return entries


def _parse(file: File, node: Node) -> Expr | None:
    try:
        return parse(node, file.numbers)
    except SpecError as error:
        file.found += error.diagnostics
        return None


def _check_names(file: File, names: Iterable[tuple[str, str, Span]], *, numbered: bool = True) -> None:
    for name, what, span in names:
        fault = check_name(name, what)
        if fault is None and not numbered and re.search(r"_[0-9]+$", name):
            fault = f"'{name}' cannot name {what}: _ and digits at its end number repeated steps"
        if fault:
            file.found.append(Diagnostic("name.form", fault, span))


def _block(file: File, key: Scalar, value: Node) -> None:
    signature = _parse(file, key)
    if isinstance(signature, Name):
        name, tensors, arguments = signature.id, ["x"], list[Argument]()
    elif isinstance(signature, Call) and isinstance(signature.callee, Name):
        name = signature.callee.id
        split = signature.split
        tensors = ["x"] if split is None else [_bare(file, e, "a tensor") for e in signature.args[:split]]
        rest = signature.args[split or 0 :]
        arguments = [Argument(_bare(file, e, "an argument"), None, e.span) for e in rest]
        arguments += [Argument(n.id, default, n.span) for n, default in signature.named]
    else:
        if signature is not None:
            help = "write name(arguments): or name(tensors; arguments):"
            file.found.append(Diagnostic("block.signature", "this is no signature of a block", key.span, help=help))
        file.broken.add(re.match(r"\w*", key.text)[0])  # type: ignore[index]
        return
    _check_names(file, [(name, "a block", key.span)], numbered=False)
    _check_names(file, [(a.name, "an argument", a.span) for a in arguments])
    if isinstance(value, Mapping) and "op" not in value.entries:
        body = _entries(file, value, "an entry")
    else:
        body = {"out": Entry("out", _parse(file, value), key.span, value.span)}
    if name in file.blocks and file.blocks[name].key.source is file.source:
        message = f"the block '{name}' stands twice: here and in line {file.blocks[name].key.line}"
        file.found.append(Diagnostic("yaml.duplicate", message, key.span, help="keep one of them"))
        return
    file.blocks[name] = Block(name, tuple(tensors), tuple(arguments), body, key.span)


def _bare(file: File, expr: Expr, what: str) -> str:
    if isinstance(expr, Name):
        return expr.id
    message = f"{what} in a signature is a bare name"
    file.found.append(Diagnostic("block.signature", message, expr.span))
    return "_"
