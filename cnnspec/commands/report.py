"""`cnnspec report`: all about a network, or a run, in one HTML file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from cnnspec import zoo
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
    StrictFlag,
    answer,
    bytes_text,
    compile_spec,
    refuse_overwrite,
    say,
    sizes,
    want_folder,
    want_suffix,
    warnings_of,
)
from cnnspec.commands.plot import Colour, ColourOption
from cnnspec.diagnostics import Diagnostic, MissingError, RunError, UsageError, printable

FileOption = Annotated[
    Path | None, typer.Option("-o", "--out", metavar="FILE", help="The file; NAME.html, or a run's report.html.")
]


def report(
    spec: Annotated[
        str, typer.Argument(metavar="SPEC|RUN", help="A path, a shipped spec's name, or the folder of a run.")
    ],
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
    if output is not None:
        want_suffix(output, ".html")
    if Path(spec).is_dir() and (zoo.is_path(spec) or spec not in zoo.names()):
        given = {"--set": params, "--at": at, "--input": inputs, "--allow-unused": allow_unused, "--ignore": ignore}
        given |= {"--strict": strict, "--colour": colour is not Colour.kind, "--batch": batch != 1}
        if extra := [name for name, value in given.items() if value]:
            raise UsageError(f"{extra[0]} is for a spec; {spec} is a run")
        return _run(Path(spec), output, force, json)
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


def _run(folder: Path, output: Path | None, force: bool, json: bool) -> int:
    """The page on a run, judged anew on the images it held out; without data it says why there are no results."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that spin while they wait stall on a busy machine
    try:
        from cnnspec import runs
        from cnnspec.commands.judged import Wish, judged
        from cnnspec.drawing import examples, run_page
    except ModuleNotFoundError as error:
        raise MissingError(f"report needs {error.name} for a run", "pip install 'cnnspec[predict]'") from None
    from cnnspec.durable import write

    path = output or folder / "report.html"
    run = runs.read(folder)
    refuse_overwrite(path, force)
    want_folder(path)
    note = ""
    try:
        found = judged(folder, Wish())
        text = run_page.page(run, found.evaluation, examples.of(found.network, found.judges, found.evaluation))
    except (MissingError, RunError, UsageError) as error:
        note = f"the network was not judged: {error.message}"
        text = run_page.page(run, None, (), f"{note[0].upper()}{note[1:]}")
    whole = text.encode()
    write(path, whole)
    if not json:
        say(f"wrote {path}, {bytes_text(len(whole))}")
    warnings = [Diagnostic("run", note, severity="warning")] if note else []
    for one in () if json else warnings:
        say(printable(f"warning: {one.message}"))
    return answer("report", json=json, data={"file": str(path), "bytes": len(whole)}, diagnostics=warnings)
