"""`cnnspec report`: all about a network in one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cnnspec.commands.common import (
    AllowUnusedFlag,
    AtOption,
    BatchOption,
    DebugFlag,
    ForceFlag,
    IgnoreOption,
    InputOption,
    JsonFlag,
    SetOption,
    SpecArg,
    StrictFlag,
    answer,
    bytes_text,
    compile_spec,
    refuse_overwrite,
    say,
    sizes,
    want_folder,
    warnings_of,
)
from cnnspec.commands.plot import Colour, ColourOption

FileOption = Annotated[
    Path | None, typer.Option("-o", "--out", metavar="FILE", help="The file; the spec's name with .html unless given.")
]


def report(
    spec: SpecArg,
    output: FileOption = None,
    colour: ColourOption = Colour.kind,
    params: SetOption = None,
    at: AtOption = None,
    inputs: InputOption = None,
    batch: BatchOption = 1,
    allow_unused: AllowUnusedFlag = False,
    ignore: IgnoreOption = None,
    strict: StrictFlag = False,
    force: ForceFlag = False,
    json: JsonFlag = False,
    debug: DebugFlag = False,
) -> int:
    symbols = sizes(at)
    graph = compile_spec(
        spec, params=params, inputs=inputs, allow_unused=allow_unused, ignore=ignore, strict=strict, quiet=json
    )
    from cnnspec.cost import cost_of
    from cnnspec.drawing import report as page
    from cnnspec.drawing.colour import MEASURES
    from cnnspec.durable import write

    path = output or Path(f"{graph.name}.html")
    refuse_overwrite(path, force)
    want_folder(path)
    found = warnings_of(graph.warnings, ignore, strict)
    cost = cost_of(graph, batch=batch, symbols=symbols)
    whole = page.report(graph, cost, found, MEASURES.get(colour)).encode()
    write(path, whole)
    if not json:
        say(f"wrote {path}, {bytes_text(len(whole))}")
    return answer("report", json=json, data={"file": str(path), "bytes": len(whole)}, diagnostics=found)
