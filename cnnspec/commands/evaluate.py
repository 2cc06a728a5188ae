"""`cnnspec evaluate`: how good a trained network is, by a run, its weights file, or an ONNX file."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cnnspec.commands.common import (
    BadLabel,
    BadSample,
    BatchOption,
    DataOption,
    DataRootOption,
    DebugFlag,
    ForceFlag,
    FormatOption,
    JsonFlag,
    Texts,
    answer,
    say,
)
from cnnspec.commands.telling import metrics
from cnnspec.diagnostics import Diagnostic, MissingError, UsageError, printable

if TYPE_CHECKING:
    from cnnspec.commands.judged import Judged
    from cnnspec.judges import Outcome

SHOWN = 20
"""Classes in the table; of more, those that are known worst."""


class Split(StrEnum):
    test = "test"
    validation = "validation"
    train = "train"
    all = "all"


class Runner(StrEnum):
    torch = "torch"
    onnx = "onnx"


def evaluate(
    target: Annotated[str, typer.Argument(metavar="RUN|FILE", help="A run, a best.safetensors, or an .onnx file.")],
    data: DataOption = None,
    format: FormatOption = None,
    data_root: DataRootOption = None,
    split: Annotated[Split, typer.Option("--split", help="The part of the data; all is every image.")] = Split.test,
    fail_under: Annotated[
        Texts, typer.Option("--fail-under", metavar="'map50>=0.5'", help="Exit with 1 below it (repeatable).")
    ] = None,
    on_bad_sample: Annotated[
        BadSample | None, typer.Option("--on-bad-sample", help="stop, or skip up to 1 %; as the run did.")
    ] = None,
    on_bad_label: Annotated[
        BadLabel | None, typer.Option("--on-bad-label", help="error, or skip what cannot be right; as the run did.")
    ] = None,
    backend: Annotated[
        Runner | None, typer.Option("--backend", help="What runs a run: torch, or onnx for onnxruntime.")
    ] = None,
    picture: Annotated[
        Path | None, typer.Option("--picture", metavar="DIR", help="Draw confusion and precision into this folder.")
    ] = None,
    batch: BatchOption = 64,
    force: ForceFlag = False,
    json: JsonFlag = False,
    debug: DebugFlag = False,
) -> int:
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that spin while they wait stall on a busy machine
    try:
        from cnnspec import evaluating
        from cnnspec.commands import drawn
        from cnnspec.commands.judged import Wish, judged
    except ModuleNotFoundError as error:
        raise MissingError(f"evaluate needs {error.name}", "pip install 'cnnspec[predict]'") from None
    bounds = [evaluating.least(text) for text in fail_under or ()]
    if not Path(target).exists():
        raise MissingError(f"there is no file or folder {target}")
    if backend == Runner.torch and Path(target).suffix == ".onnx":
        raise UsageError(f"--backend torch cannot run {target}: it is an ONNX file")
    wish = Wish(
        data,
        format,
        data_root,
        split.value,
        on_bad_sample and on_bad_sample.value,
        on_bad_label and on_bad_label.value,
        batch,
        (backend or Runner.torch).value,
        bounds,
    )
    found = judged(Path(target), wish)
    result = found.evaluation
    warnings = [Diagnostic("data", text, severity="warning") for text in found.warnings]
    for one in () if json else warnings:
        say(printable(f"warning: {one.message}"))
    asked = [(metric, bound, result.metrics[metric]) for metric, bound in bounds]
    low = [one for one in asked if one[2] < one[1]]
    files = drawn.write(picture, result, force) if picture else []
    for path in () if json else files:
        say(f"wrote {path}")
    document = {
        "name": found.name,
        "hash": found.hash,
        "data": found.data,
        "split": split.value,
        "images": result.images,
        "metrics": result.metrics,
        "fail_under": [{"metric": metric, "least": bound, "value": value} for metric, bound, value in asked],
        "heads": [evaluating.document(one) for one in result.outcomes],
        "pictures": list(map(str, files)),
    }
    text = _text(found, split.value)
    text += "".join(f"\n{metric} is {value:.4f}, less than {bound:g}" for metric, bound, value in low)
    return answer("evaluate", json=json, data=document, text=text, diagnostics=warnings, ok=not low)


def _text(found: Judged, split: str) -> str:
    outcomes, number = found.evaluation.outcomes, found.evaluation.images
    lines = [f"{found.name} on {found.data}, {split}: {number} images"]
    for one in outcomes:
        lines.append(f"{one.head}: {metrics(one.metrics)}" if len(outcomes) > 1 else metrics(one.metrics))
        lines += [f"  {protocol}" for protocol in one.protocols]
        lines += _table(one)
    return "\n".join(printable(line) for line in lines)


def _table(one: Outcome) -> list[str]:
    """A line for each class that there is, or was found; of many those that are known worst."""
    rows = [row for row in one.classes if any(value for key, value in row.items() if key != "label")]
    if not rows:
        return []
    worst = sorted(rows, key=lambda row: 2.0 if row[one.by] is None else row[one.by])
    shown = rows if len(rows) <= SHOWN else worst[:SHOWN]
    cells = [["class", *(key for key in rows[0] if key != "label")]]
    cells += [[row["label"], *(_cell(value) for key, value in row.items() if key != "label")] for row in shown]
    widths = [max(len(printable(row[place])) for row in cells) for place in range(len(cells[0]))]
    lines = [
        "  ".join(
            [f"  {printable(row[0]):<{widths[0]}}", *(f"{t:>{w}}" for t, w in zip(row[1:], widths[1:], strict=True))]
        )
        for row in cells
    ]
    if len(rows) > len(shown):
        lines.append(f"  ... and {len(rows) - len(shown)} more that are known better (--json has all)")
    return lines


def _cell(value: Any) -> str:
    return "-" if value is None else f"{value:.2%}" if isinstance(value, float) else f"{value:,}"
