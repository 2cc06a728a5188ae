"""`cnnspec check`: every error and warning of one or more specs, with its place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cnnspec.commands.common import (
    AllowUnusedFlag,
    DebugFlag,
    IgnoreOption,
    InputOption,
    JsonFlag,
    SetOption,
    StrictFlag,
    answer,
    compile_spec,
    count,
    out,
    warnings_of,
)
from cnnspec.diagnostics import SHOWN, Diagnostic, MissingError, SpecError, UsageError, printable, render

if TYPE_CHECKING:
    from cnnspec.graph import Graph


class Format(StrEnum):
    text = "text"
    json = "json"
    github = "github"
    sarif = "sarif"


@dataclass(frozen=True)
class Finding:
    """What one spec gave: its parameter count, or None with errors; `missing` if it cannot be read at all."""

    spec: str
    params: int | None = None
    nodes: int | None = None
    diagnostics: list[Diagnostic] = field(default_factory=list)
    missing: bool = False

    @property
    def ok(self) -> bool:
        return self.params is not None


def check(
    specs: Annotated[list[str], typer.Argument(metavar="SPEC...", help="Paths, or names of shipped specs.")],
    params: SetOption = None,
    inputs: InputOption = None,
    allow_unused: AllowUnusedFlag = False,
    ignore: IgnoreOption = None,
    strict: StrictFlag = False,
    layout: Annotated[Format | None, typer.Option("--format", help="text, json, github or sarif.")] = None,
    json: JsonFlag = False,
    debug: DebugFlag = False,
) -> int:
    if json and layout not in (None, Format.json):
        raise UsageError(f"--json and --format {layout} are two answers: give one of them")
    found = []
    for spec in specs:
        try:
            graph = compile_spec(spec, params=params, inputs=inputs, allow_unused=allow_unused, quiet=True)
            found.append(_judged(spec, graph, ignore, strict))
        except SpecError as error:
            found.append(Finding(spec, diagnostics=error.diagnostics))
        except MissingError as error:
            found.append(Finding(spec, diagnostics=[_missing(spec, error)], missing=True))
    _print(found, Format.json if json else layout or Format.text)
    if any(one.missing for one in found):
        return 3
    return 0 if all(one.ok for one in found) else 1


def _judged(spec: str, graph: Graph, ignore: list[str] | None, strict: bool) -> Finding:
    from cnnspec.cost import trainable

    warnings = warnings_of(graph.warnings, ignore, strict)
    if any(one.severity == "error" for one in warnings):
        return Finding(spec, diagnostics=warnings)
    return Finding(spec, trainable(graph.inference()), len(graph.nodes) - len(graph.inputs), warnings)


def _missing(spec: str, error: MissingError) -> Diagnostic:
    return Diagnostic("missing", error.message, path=spec, help=error.help)


def _print(found: Sequence[Finding], layout: Format) -> None:
    diagnostics = [one for finding in found for one in finding.diagnostics]
    if layout is Format.github:
        lines = [_annotation(one) for one in diagnostics]
        out("\n".join([*lines, *_ok_lines(found)]))
    elif layout is Format.sarif:
        from json import dumps

        out(dumps(sarif(diagnostics), indent=2))
    else:
        shown = render(diagnostics, SHOWN) if diagnostics else ""
        text = "\n".join([*([shown] if shown else []), *_ok_lines(found)])
        data = {"specs": [{"spec": one.spec, "ok": one.ok, "params": one.params, "nodes": one.nodes} for one in found]}
        ok = all(one.ok for one in found)
        answer("check", json=layout is Format.json, data=data, text=text, diagnostics=diagnostics, ok=ok)


def _ok_lines(found: Sequence[Finding]) -> list[str]:
    return [
        f"{printable(one.spec)}: ok, {count(one.params)} parameters, {one.nodes} nodes"
        for one in found
        if one.params is not None
    ]


def _annotation(one: Diagnostic) -> str:
    """A workflow command, as GitHub's runner reads it: properties escape more than the message does."""
    entry = one.as_json()
    keys = {"file": "file", "line": "line", "col": "column", "endLine": "end_line", "endColumn": "end_column"}
    properties = [f"{key}={_property(entry[name])}" for key, name in keys.items() if entry[name] is not None]
    title = f"title={_property(f'cnnspec {one.code}')}"
    message = "\n".join([one.message, *one.facts, *([f"help: {one.help}"] if one.help else [])])
    return f"::{one.severity} {','.join([*properties, title])}::{_escaped(message)}"


def _escaped(text: str) -> str:
    return printable(text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A"))


def _property(value: object) -> str:
    return _escaped(str(value)).replace(":", "%3A").replace(",", "%2C")


def sarif(diagnostics: Sequence[Diagnostic]) -> dict[str, Any]:
    """A SARIF 2.1.0 log; columns count characters, so the run says unicodeCodePoints."""
    rules = sorted({one.code for one in diagnostics})
    driver = {"name": "cnnspec", "rules": [{"id": code} for code in rules]}
    results = [_result(one, rules.index(one.code)) for one in diagnostics]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return {"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]}


def _result(one: Diagnostic, rule: int) -> dict[str, Any]:
    entry = one.as_json()
    result: dict[str, Any] = {"ruleId": one.code, "ruleIndex": rule, "level": one.severity}
    result["message"] = {"text": "\n".join([one.message, *one.facts, *([f"help: {one.help}"] if one.help else [])])}
    if entry["file"] is not None:
        names = {"startLine": "line", "startColumn": "column", "endLine": "end_line", "endColumn": "end_column"}
        region = {key: entry[name] for key, name in names.items() if entry[name] is not None}
        location: dict[str, Any] = {"artifactLocation": {"uri": _uri(str(entry["file"]))}}
        if region:
            location["region"] = region
        result["locations"] = [{"physicalLocation": location}]
    return result


def _uri(path: str) -> str:
    from pathlib import Path
    from urllib.parse import quote

    return Path(path).as_uri() if Path(path).is_absolute() else quote(path.replace("\\", "/"))
