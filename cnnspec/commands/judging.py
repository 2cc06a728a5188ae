"""What `evaluate` says of a network that finds boxes or masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnspec import datasets, judging, precision
from cnnspec.commands.common import answer, say, want_folder
from cnnspec.commands.progress import bar
from cnnspec.datasets import classes
from cnnspec.datasets.splitting import chosen
from cnnspec.diagnostics import Diagnostic, MissingError, UsageError, printable

if TYPE_CHECKING:
    from cnnspec.dense import Network
    from cnnspec.judging import BoxesJudged, MasksJudged
    from cnnspec.recipe import Recipe


@dataclass(frozen=True)
class Judging:
    """What the command line asked for; `skips` are bad samples and bad labels."""

    data: str
    split: str
    bounds: Sequence[tuple[str, float]]
    skips: tuple[bool, bool]
    curves: Path | None


METRICS = {"detect": ("map", "map50", "map75"), "segment": ("mean_iou", "pixel_accuracy")}


def answer_with(network: Network, recipe: Recipe, asked: Judging, about: Mapping[str, Any], json: bool) -> int:
    """Judge the network on the part, and answer; raises UsageError for options that it does not take, and what reading
    the data and `cnnspec.judging` raise."""
    _check(network, asked)
    kind = "boxes" if network.kind == "detect" else "masks"
    channels, number = network.preparation.channels, len(network.labels)
    found = classes.matched(datasets.find(asked.data, channels, kinds=frozenset({kind})), network.labels)
    parts = chosen(found, asked.split, recipe.split.model_dump(), recipe.split_seed)
    skip, skip_labels = asked.skips
    wanted = datasets.Wanted(channels, 0, 0, None, number, skip, frozenset({kind}), skip_labels)
    with bar("reading") as tick:
        loaded = datasets.load(found.name, parts, wanted, found.faults, tick)
    some = list(loaded.parts.values())
    with bar("evaluating") as tick:
        result = _judged(network, some, tick)
    warnings = [Diagnostic("data", text, severity="warning") for text in (*found.notes, *loaded.warnings)]
    for one in () if json else warnings:
        say(printable(f"warning: {one.message}"))
    metrics = result.metrics
    low = [one for one in asked.bounds if metrics[one[0]] < one[1]]
    document = {
        **about,
        "data": found.name,
        "split": asked.split,
        "images": sum(map(len, some)),
        **metrics,
        "fail_under": [{"metric": name, "least": least, "value": metrics[name]} for name, least in asked.bounds],
        "classes": result.classes,
        **_more(result),
    }
    text = _text(document, result)
    text += "".join(f"\n{name} is {metrics[name]:.4f}, less than {least:g}" for name, least in low)
    if asked.curves is not None:
        text += f"\n{_draw(result, asked.curves, str(document['name']))}"
    return answer("evaluate", json=json, data=document, text=text, diagnostics=warnings, ok=not low)


def _check(network: Network, asked: Judging) -> None:
    there = METRICS[network.kind]
    if wrong := [metric for metric, _ in asked.bounds if metric not in there]:
        raise UsageError(f"--fail-under: {network.graph.name} has no {wrong[0]}", f"its metrics are {', '.join(there)}")
    if network.suppressed:
        help = "written without --nms it can be: average precision wants boxes of low scores too"
        raise UsageError("a model with non-max suppression inside is not judged", help)
    if asked.curves is None:
        return
    if network.kind != "detect":
        raise UsageError(f"--curves is for boxes; {network.graph.name} gives masks")
    if asked.curves.suffix != ".svg":
        raise UsageError(f"--curves {asked.curves} does not end in .svg")
    want_folder(asked.curves)


def _judged(network: Network, parts: Sequence[datasets.Part], tick: judging.Tick) -> BoxesJudged | MasksJudged:
    if network.kind == "segment":
        return judging.judge_masks(network, parts, tick)
    try:
        return judging.judge_boxes(network, parts, tick=tick)
    except ModuleNotFoundError as error:
        raise MissingError(f"evaluate needs {error.name} for boxes", "pip install 'cnnspec[train]'") from None


def _more(result: BoxesJudged | MasksJudged) -> dict[str, Any]:
    if isinstance(result, judging.MasksJudged):
        return {"confusion": result.confusion.tolist()}
    from cnnspec.drawing.curves import points

    curves = {label: points(one) for label, one in result.curves().items()}
    return {"protocol": result.protocol, **{rule: result.voc(rule) for rule in precision.PROTOCOLS}, "curves": curves}


def _text(document: Mapping[str, Any], result: BoxesJudged | MasksJudged) -> str:
    head = f"{document['name']} on {document['data']}, {document['split']}: {document['images']} images"
    if isinstance(result, judging.MasksJudged):
        head += f", mean IoU {document['mean_iou']:.4f}, pixel accuracy {document['pixel_accuracy']:.2%}"
        lines, column, unit = [head], "iou", "pixels"
    else:
        lines = [f"{head}, mAP {document['map']:.4f}, mAP50 {document['map50']:.4f}, mAP75 {document['map75']:.4f}"]
        lines.append(f"  {document['protocol']}")
        lines += [f"  {document[rule]:.4f} by {words}" for rule, words in precision.PROTOCOLS.items()]
        column, unit = "map", "boxes"
    width = max(5, *(len(printable(row["label"])) for row in document["classes"]))
    name = {"iou": "IoU", "map": "mAP"}[column]
    lines.append(f"  {'class':<{width}}  {unit:>10}  {name:>6}")
    for row in document["classes"]:
        value = "-" if row[column] is None else f"{row[column]:.4f}"
        lines.append(f"  {printable(row['label']):<{width}}  {row[unit]:>10}  {value:>6}")
    return "\n".join(map(printable, lines))


def _draw(result: BoxesJudged | MasksJudged, path: Path, name: str) -> str:
    from cnnspec import durable
    from cnnspec.drawing.curves import svg

    assert isinstance(result, judging.BoxesJudged)
    durable.write(path, svg(result.curves(), f"{name}: precision over recall at IoU 0.5").encode())
    return printable(f"wrote {path}")
