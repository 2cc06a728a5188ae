"""`cnnspec evaluate`: how often a trained network is right, by a run, its weights file, or an ONNX file."""

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
    DebugFlag,
    JsonFlag,
    Texts,
    answer,
    say,
)
from cnnspec.commands.progress import bar
from cnnspec.diagnostics import Diagnostic, MissingError, UsageError, printable

if TYPE_CHECKING:
    from cnnspec.dense import Network
    from cnnspec.evaluating import Classifier, Evaluation
    from cnnspec.recipe import Recipe

SHOWN = 20
"""Classes in the table; of more, those that are recognized worst."""


class Split(StrEnum):
    test = "test"
    validation = "validation"
    train = "train"
    all = "all"


def evaluate(
    target: Annotated[str, typer.Argument(metavar="RUN|FILE", help="A run, a best.safetensors, or an .onnx file.")],
    data: DataOption = None,
    split: Annotated[Split, typer.Option("--split", help="The part of the data; all is every image.")] = Split.test,
    fail_under: Annotated[
        Texts, typer.Option("--fail-under", metavar="'top1>=0.99'", help="Exit with 1 below it (repeatable).")
    ] = None,
    on_bad_sample: Annotated[
        BadSample, typer.Option("--on-bad-sample", help="stop, or skip up to 1 %.")
    ] = BadSample.stop,
    on_bad_label: Annotated[
        BadLabel, typer.Option("--on-bad-label", help="error, or skip boxes that cannot be right.")
    ] = BadLabel.error,
    curves: Annotated[
        Path | None, typer.Option("--curves", metavar="FILE.svg", help="Boxes: draw precision over recall.")
    ] = None,
    batch: BatchOption = 64,
    json: JsonFlag = False,
    debug: DebugFlag = False,
) -> int:
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that spin while they wait stall on a busy machine
    try:
        from cnnspec import datasets, evaluating
        from cnnspec.commands import judging
        from cnnspec.datasets import classes
        from cnnspec.datasets.splitting import chosen
        from cnnspec.dense import Network
    except ModuleNotFoundError as error:
        raise MissingError(f"evaluate needs {error.name}", "pip install 'cnnspec[predict]'") from None
    bounds = [evaluating.least(text) for text in fail_under or ()]
    if not Path(target).exists():
        raise MissingError(f"there is no file or folder {target}")
    recipe = _recipe(Path(target))
    if data is None and not Path(target).is_dir():
        raise UsageError(f"{target} does not say what to evaluate on", "--data NAME|DIR")
    name, digest, network = _network(Path(target))
    if isinstance(network, Network):
        about = {"name": name, "hash": digest}
        skips = on_bad_sample is BadSample.skip, on_bad_label is BadLabel.skip
        asked_of = judging.Judging(data or recipe.data, split.value, bounds, skips, curves)
        return judging.answer_with(network, recipe, asked_of, about, json)
    if curves is not None:
        raise UsageError(f"--curves is for boxes; {name} gives classes")
    if wrong := [metric for metric, _ in bounds if not metric.startswith("top")]:
        raise UsageError(f"--fail-under: {name} has no {wrong[0]}", "its metrics are top1, top5")
    how = network.preparation
    if any(metric == "top5" for metric, _ in bounds) and len(network.labels) <= 5:
        raise UsageError(f"--fail-under: top5 of {len(network.labels)} classes says nothing")
    found = classes.matched(datasets.find(data or recipe.data, how.channels), network.labels)
    parts = chosen(found, split.value, recipe.split.model_dump(), recipe.split_seed)
    wanted = datasets.Wanted(how.channels, how.height, how.width, how.fit, len(network.labels), on_bad_sample == "skip")
    with bar("reading") as tick:
        loaded = datasets.load(found.name, parts, wanted, found.faults, tick)
    with bar("evaluating") as tick:
        result = evaluating.evaluate(network, list(loaded.parts.values()), batch, tick)
    warnings = [Diagnostic("data", text, severity="warning") for text in (*found.notes, *loaded.warnings)]
    for one in () if json else warnings:
        say(printable(f"warning: {one.message}"))
    asked = [(metric, bound, result.metrics[metric] or 0.0) for metric, bound in bounds]
    low = [one for one in asked if one[2] < one[1]]
    document = {
        "name": name,
        "hash": digest,
        "data": found.name,
        "split": split.value,
        "images": result.images,
        **result.metrics,
        "fail_under": [{"metric": metric, "least": bound, "value": value} for metric, bound, value in asked],
        "classes": result.classes,
        "confusion": result.confusion.tolist(),
    }
    text = _text(f"{name} on {found.name}, {split.value}", result)
    text += "".join(f"\n{metric} is {value:.4f}, less than {bound:g}" for metric, bound, value in low)
    return answer("evaluate", json=json, data=document, text=text, diagnostics=warnings, ok=not low)


def _recipe(target: Path) -> Recipe:
    """The recipe of a run, which says what was held out; else the shipped one."""
    from cnnspec import recipe

    file = target / "recipe.yaml"
    return recipe.load(str(file)) if file.is_file() else recipe.Recipe()


def _network(path: Path) -> tuple[str, str, Classifier | Network]:
    """A network with its name and hash. Raises MissingError and RunError as `predict` does."""
    if path.suffix == ".onnx":
        try:
            from cnnspec_onnx.session import Session
        except ModuleNotFoundError as error:
            raise MissingError(f"evaluate needs {error.name} for an ONNX file", "pip install 'cnnspec[onnx]'") from None
        session = Session(path)
        if session.is_dense:
            from cnnspec_onnx.dense_session import network

            return session.name, session.card.hash, network(session)
        return session.name, session.card.hash, session
    try:
        from cnnspec_torch import prediction
    except ModuleNotFoundError as error:
        raise MissingError(f"evaluate needs {error.name}", "pip install 'cnnspec[predict]'") from None
    predictor = prediction.opened(path)
    return predictor.graph.name, predictor.graph.hash, predictor


def _text(what: str, result: Evaluation) -> str:
    top1, top5 = result.metrics.values()
    five = "" if top5 is None else f", top-5 {top5:.2%}"
    rows = [row for row in result.classes if row["images"] or row["precision"] is not None]
    shown = sorted(rows, key=lambda row: 2.0 if row["recall"] is None else row["recall"])[:SHOWN]
    shown = rows if len(rows) <= SHOWN else shown
    width = max(5, *(len(printable(row["label"])) for row in shown))
    lines = [f"{what}: {result.images} images, top-1 {top1:.2%} ({result.right}){five}"]
    lines.append(f"  {'class':<{width}}  images  right   recall  precision")
    for row in shown:
        label = f"{printable(row['label']):<{width}}"
        parts = f"{row['images']:>6}  {row['right']:>5}  {_part(row['recall']):>7}  {_part(row['precision']):>9}"
        lines.append(f"  {label}  {parts}")
    if len(rows) > len(shown):
        lines.append(f"  ... and {len(rows) - len(shown)} more that are recognized better (--json has all)")
    return "\n".join(printable(line) for line in lines)


def _part(value: Any) -> str:
    return "-" if value is None else f"{value:.2%}"
