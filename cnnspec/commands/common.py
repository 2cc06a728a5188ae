"""What the verbs share: options, the way to a graph, and the two ways to answer."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cnnspec.diagnostics import CnnspecError, Diagnostic, RunError, SpecError, UsageError, render

if TYPE_CHECKING:
    from cnnspec.graph import Graph

Texts = list[str] | None

SpecArg = Annotated[
    str, typer.Argument(metavar="SPEC", help="A path (with a / or a suffix), or a shipped spec's name.")
]
JsonFlag = Annotated[bool, typer.Option("--json", help="Answer with one JSON document on stdout.")]
DebugFlag = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
SetOption = Annotated[Texts, typer.Option("--set", metavar="NAME=V", help="Another value for a param (repeatable).")]
AtOption = Annotated[Texts, typer.Option("--at", metavar="h=10,w=10", help="Values for the symbols of the input.")]
InputOption = Annotated[
    Texts, typer.Option("--input", metavar="NAME=N,3,225,300", help="Another declaration of an input (repeatable).")
]
BatchOption = Annotated[int, typer.Option("--batch", metavar="N", min=1, help="Images in a batch.")]
DtypeOption = Annotated[str, typer.Option("--dtype", help="float32, bfloat16, float16 or float64.")]
AllowUnusedFlag = Annotated[bool, typer.Option("--allow-unused", help="Let entries of the net reach no output.")]
IgnoreOption = Annotated[Texts, typer.Option("--ignore", metavar="CODE", help="Leave out this warning (repeatable).")]
StrictFlag = Annotated[bool, typer.Option("--strict", help="Take warnings for errors.")]
OutOption = Annotated[Path | None, typer.Option("-o", "--out", metavar="FILE", help="Write to a file.")]
ForceFlag = Annotated[bool, typer.Option("--force", help="Overwrite what is there.")]

WeightsOption = Annotated[
    str | None,
    typer.Option("--weights", metavar="NAME|FILE", help="Published, a file, or a run; ENTRY=NAME|FILE."),
]
DownloadFlag = Annotated[bool, typer.Option("--download", help="Fetch published weights that are not here.")]
NamesOption = Annotated[str | None, typer.Option("--names", metavar="PEER", help="Whose names the weights have.")]
MeanOption = Annotated[str | None, typer.Option("--mean", metavar="R,G,B", help="Taken off, in parts of 255.")]
DataOption = Annotated[str | None, typer.Option("--data", metavar="NAME|DIR", help="Labelled images to read.")]
StdOption = Annotated[str | None, typer.Option("--std", metavar="R,G,B", help="Divided by, in parts of 255.")]

ConfidenceOption = Annotated[
    float | None, typer.Option("--confidence", min=0, max=1, help="Boxes of a higher score are shown; 0.25 by default.")
]
OverlapOption = Annotated[
    float | None,
    typer.Option("--overlap", min=0, max=1, help="Boxes that overlap a better one more are left out; 0.5 by default."),
]


class BadSample(StrEnum):
    stop = "stop"
    skip = "skip"


class BadLabel(StrEnum):
    error = "error"
    skip = "skip"


FormatOption = Annotated[str | None, typer.Option("--format", help="How a folder is read; recognized unless given.")]
DataRootOption = Annotated[
    str | None, typer.Option("--data-root", metavar="DIR", help="Where well-known data is looked for; data/.")
]


class Fit(StrEnum):
    stretch = "stretch"
    crop = "crop"
    letterbox = "letterbox"


FitOption = Annotated[Fit | None, typer.Option("--fit", help="Images to the input's size: stretch, crop, letterbox.")]


def compile_spec(
    spec: str,
    *,
    params: Texts = None,
    inputs: Texts = None,
    allow_unused: bool = False,
    ignore: Texts = None,
    strict: bool = False,
    quiet: bool = False,
) -> Graph:
    """The graph of a path or a shipped name; its warnings are said on stderr unless `quiet`.

    Raises SpecError, UsageError and MissingError as the front does, and SpecError for warnings if `strict`.
    """
    from cnnspec.front import compile_file

    graph = compile_file(
        spec, params=pairs(params, "--set"), inputs=pairs(inputs, "--input"), allow_unused=allow_unused
    )
    found = warnings_of(graph.warnings, ignore, strict)
    if any(one.severity == "error" for one in found):
        raise SpecError(found)
    if found and not quiet:
        say(render(found))
    return graph


@contextmanager
def uncollected() -> Iterator[None]:
    """No search for cycles meanwhile: compiling makes much and drops little, so that it would look long for nothing."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def warnings_of(found: Iterable[Diagnostic], ignore: Texts, strict: bool) -> list[Diagnostic]:
    """The warnings without the ignored codes; as errors where they are taken strictly."""
    kept = [one for one in found if one.code not in (ignore or ())]
    return [replace(one, severity="error") for one in kept] if strict else kept


def pairs(texts: Texts, option: str) -> dict[str, str]:
    """`NAME=V` texts by name; raises UsageError for other forms and for a name given twice."""
    result: dict[str, str] = {}
    for text in texts or ():
        name, sign, value = text.partition("=")
        name = name.strip()
        if not sign or not name or not value.strip():
            raise UsageError(f"{option} wants NAME=VALUE, got '{text}'")
        if name in result:
            raise UsageError(f"{option} gives '{name}' twice: {result[name]} and {value.strip()}")
        result[name] = value.strip()
    return result


def sizes(at: Texts) -> dict[str, int]:
    """Symbol values of `--at h=10,w=10`; raises UsageError."""
    texts = [part for text in at or () for part in text.split(",")]
    result = {}
    for name, value in pairs(texts, "--at").items():
        if not (value.isascii() and value.isdigit() and len(value) < 20):
            raise UsageError(f"--at wants whole numbers of at least 1, got {name}={value}")
        result[name] = int(value)
    return result


def numbers(option: str, text: str | None) -> list[float] | None:
    """The numbers of `--mean` and `--std`; raises UsageError."""
    if text is None:
        return None
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found or not all(map(isfinite, found)) or (option == "--std" and min(found) <= 0):
        raise UsageError(f"{option} wants numbers as 0.485,0.456,0.406, got '{text}'")
    return found


def answer(
    verb: str,
    *,
    json: bool,
    data: Mapping[str, Any],
    text: str = "",
    diagnostics: Sequence[Diagnostic] = (),
    ok: bool = True,
) -> int:
    """Print the one JSON document, or the text; the exit code is 0, or 1 where the answer is no."""
    if json:
        from json import dumps

        document = {
            "schema": f"cnnspec/{verb}@1",
            "ok": ok,
            "data": data,
            "diagnostics": [one.as_json() for one in sorted(diagnostics, key=lambda one: one.sort_key)],
        }
        text = dumps(document, indent=2, allow_nan=False)
    if text:
        out(text)
    return 0 if ok else 1


def diagnostics_of(error: CnnspecError) -> list[Diagnostic]:
    """What the JSON document says of an error."""
    if isinstance(error, SpecError):
        return error.diagnostics
    code = {2: "usage", 3: "missing", 4: "run"}.get(error.exit_code, "internal")
    return [Diagnostic(code, getattr(error, "message", str(error)), help=getattr(error, "help", None))]


def out(text: str) -> None:
    """A result, to stdout. A reader that has gone away is no error."""
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        _discard(sys.stdout)
    except OSError as error:
        _discard(sys.stdout)
        raise RunError(f"cannot write the result: {error.strerror}") from None


def say(text: str) -> None:
    """Talk, to stderr."""
    try:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
    except BrokenPipeError:
        _discard(sys.stderr)


def _discard(stream: Any) -> None:
    """What is still to be written goes nowhere, so that the flush at exit is quiet too."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def styled() -> bool:
    """Whether stdout is a terminal that may be written to in colour."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def write_new(path: Path, text: str, *, force: bool) -> None:
    """Write a file whole; raises UsageError where it is there already and not `force`, or cannot be written."""
    refuse_overwrite(path, force)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None


def refuse_overwrite(path: Path, force: bool) -> None:
    if not force and os.path.lexists(path):
        raise UsageError(f"{path} is there already", help="--force overwrites it")


def want_suffix(path: Path, suffix: str) -> None:
    """Raises UsageError for a file that is to be written under a name of something else."""
    if path.suffix.lower() != suffix:
        raise UsageError(f"-o {path} does not end in {suffix}")


def want_folder(path: Path) -> None:
    """Raises UsageError where there is no folder for the file."""
    if not path.parent.is_dir():
        raise UsageError(f"cannot write {path}: there is no folder {path.parent}")


def count(number: int) -> str:
    """A number with people's unit behind it: `60,192,808 (60.2 M)`."""
    short = scaled(number)
    return f"{number:,} ({short})" if number >= 10_000 else f"{number:,}"


def scaled(number: int) -> str:
    """Three digits and a decimal unit: 11.5 G."""
    value, units = float(number), ["", " k", " M", " G", " T", " P", " E"]
    while value >= 999.5 and len(units) > 1:
        value, units = value / 1000, units[1:]
    return f"{value:.3g}{units[0]}"


def seconds_text(number: float) -> str:
    """Three digits and a unit: 1.23 ms; whole seconds from 1,000 on."""
    if number >= 999.5:
        return f"{number:,.0f} s"
    units = ("s", 1.0), ("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9)
    unit, size = next((pair for pair in units if number >= 0.9995 * pair[1]), units[-1])
    return f"{number / size:.3g} {unit}"


def bytes_text(number: int) -> str:
    """Bytes in decimal units, as the chapter's 12 MB: 12,000,000."""
    short = scaled(number)
    return f"{short}B" if " " in short else f"{short} B"
