"""`cnnspec plot`: the graph as a picture, or as DOT or Mermaid text."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cnnspec.commands.common import (
    AllowUnusedFlag,
    AtOption,
    DebugFlag,
    ForceFlag,
    IgnoreOption,
    InputOption,
    JsonFlag,
    OutOption,
    SetOption,
    SpecArg,
    StrictFlag,
    answer,
    compile_spec,
    refuse_overwrite,
    say,
    sizes,
    want_folder,
    warnings_of,
)
from cnnspec.commands.rows import depth_of
from cnnspec.diagnostics import UsageError

if TYPE_CHECKING:
    from cnnspec.drawing.scene import Scene

LIMIT = 2000
"""Boxes of a picture: more take minutes to lay out, and nobody can read them."""


class Format(StrEnum):
    svg = "svg"
    png = "png"
    pdf = "pdf"
    dot = "dot"
    mermaid = "mermaid"


class Colour(StrEnum):
    kind = "kind"
    macs = "macs"
    params = "params"
    memory = "memory"


SUFFIXES = {f".{name}": Format(name) for name in ("svg", "png", "pdf", "dot")} | {
    ".gv": Format.dot,
    ".mmd": Format.mermaid,
}
FormatOption = Annotated[
    Format | None, typer.Option("--format", help="Of what is written; else by the suffix of FILE, and DOT on stdout.")
]
DepthOption = Annotated[
    str | None, typer.Option("--depth", metavar="N|all", help="Levels of blocks to open, or all: repeats written out.")
]
ColourOption = Annotated[
    Colour, typer.Option("--colour", "--color", help="By kind of operator, or by share of MACs, params or memory.")
]
AcrossFlag = Annotated[bool, typer.Option("--across", help="From left to right, not from top to bottom.")]


def plot(
    spec: SpecArg,
    output: OutOption = None,
    form: FormatOption = None,
    depth: DepthOption = None,
    colour: ColourOption = Colour.kind,
    across: AcrossFlag = False,
    params: SetOption = None,
    at: AtOption = None,
    inputs: InputOption = None,
    allow_unused: AllowUnusedFlag = False,
    ignore: IgnoreOption = None,
    strict: StrictFlag = False,
    force: ForceFlag = False,
    json: JsonFlag = False,
    debug: DebugFlag = False,
) -> int:
    symbols, levels = sizes(at), depth_of(depth)
    form = _form(output, form)
    if output is not None:
        refuse_overwrite(output, force)
        want_folder(output)
    graph = compile_spec(
        spec, params=params, inputs=inputs, allow_unused=allow_unused, ignore=ignore, strict=strict, quiet=json
    )
    from cnnspec.cost import cost_of
    from cnnspec.drawing.colour import MEASURES
    from cnnspec.drawing.scene import scene_of

    scene = scene_of(graph, cost_of(graph, symbols=symbols), depth=levels, measure=MEASURES.get(colour))
    data: dict[str, Any] = {"format": form.value, "depth": scene.depth or "all"}
    data |= {"boxes": len(scene.boxes), "edges": len(scene.edges)}
    found = warnings_of(graph.warnings, ignore, strict)
    picture = _drawn(scene, form, across)
    if output is None:
        text = picture.decode().rstrip("\n")
        return answer("plot", json=json, data={**data, "text": text}, text=text, diagnostics=found)
    from cnnspec.durable import write

    write(output, picture)
    if not json:
        say(f"wrote {output}, {len(scene.boxes)} boxes at --depth {data['depth']}")
    return answer("plot", json=json, data={**data, "file": str(output)}, diagnostics=found)


def _form(output: Path | None, asked: Format | None) -> Format:
    """The format asked for, or that of the file's suffix; raises UsageError where they leave it open."""
    if output is None and asked in (Format.png, Format.pdf):
        raise UsageError(f"--format {asked.value} wants -o FILE.{asked.value}")
    if output is None:
        return asked or Format.dot
    if str(output) == "-":
        raise UsageError("-o wants a file; without it --format dot, mermaid or svg goes to stdout")
    known = SUFFIXES.get(output.suffix.lower())
    if known and asked and known is not asked:
        raise UsageError(f"--format {asked.value} and the suffix of {output} differ")
    form = asked or known
    if form is None:
        raise UsageError(f"plot knows no format '{output.suffix}'", f"one of {' '.join(SUFFIXES)}, or --format")
    return form


def _drawn(scene: Scene, form: Format, across: bool) -> bytes:
    if form is Format.mermaid:
        from cnnspec.drawing.mermaid import mermaid

        return mermaid(scene, across=across).encode()
    from cnnspec.drawing.dot import dot

    text = dot(scene, across=across)
    if form is Format.dot:
        return text.encode()
    if len(scene.boxes) > LIMIT:
        raise UsageError(
            f"{len(scene.boxes)} boxes are too many for a picture, the limit is {LIMIT}", "--depth closes blocks"
        )
    from cnnspec.drawing.render import render

    return render(text, form.value)
