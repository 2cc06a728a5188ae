"""`cnnspec predict`: the likeliest classes of images, by a run, a weights file, or a spec with weights."""

from __future__ import annotations

import os
from dataclasses import asdict
from enum import StrEnum
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cnnspec import zoo
from cnnspec.commands.common import AtOption, DebugFlag, JsonFlag, SetOption, answer, compile_spec, say, sizes
from cnnspec.diagnostics import MissingError, UsageError, printable

if TYPE_CHECKING:
    from cnnspec.predicting import Prediction
    from cnnspec_torch.prediction import Predictor


class Fit(StrEnum):
    stretch = "stretch"
    crop = "crop"


def predict(
    target: Annotated[
        str, typer.Argument(metavar="RUN|FILE|SPEC", help="A run folder, its best.safetensors, or a spec.")
    ],
    images: Annotated[list[str], typer.Argument(metavar="IMAGE...", help="PNG, JPEG, WebP, BMP or PPM files.")],
    top_k: Annotated[int, typer.Option("--top-k", metavar="K", min=1, help="Classes shown for an image.")] = 3,
    weights: Annotated[Path | None, typer.Option("--weights", metavar="FILE", help="Weights for a spec.")] = None,
    names: Annotated[str | None, typer.Option("--names", metavar="PEER", help="Whose names the weights have.")] = None,
    random: Annotated[bool, typer.Option("--random", help="Let a spec predict with untrained weights.")] = False,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the untrained weights.")] = 0,
    params: SetOption = None,
    at: AtOption = None,
    fit: Annotated[Fit | None, typer.Option("--fit", help="Images to the input's size: stretch, or crop.")] = None,
    mean: Annotated[str | None, typer.Option("--mean", metavar="R,G,B", help="Taken off, in parts of 255.")] = None,
    std: Annotated[str | None, typer.Option("--std", metavar="R,G,B", help="Divided by, in parts of 255.")] = None,
    json: JsonFlag = False,
    debug: DebugFlag = False,
) -> int:
    trained = Path(target).suffix == ".safetensors"
    if zoo.is_path(target) and not Path(target).exists():
        raise MissingError(f"there is no file or folder {target}")
    trained |= Path(target).is_dir() and (zoo.is_path(target) or target not in zoo.names())
    given = {"--weights": weights, "--names": names, "--random": random, "--set": params, "--at": at}
    given |= {"--mean": mean, "--std": std, "--fit": fit}
    if trained and (extra := [name for name, value in given.items() if value]):
        raise UsageError(f"{extra[0]} is for a spec; {target} says it itself")
    if not trained and (weights is None) != random:
        why = "is untrained" if weights is None else "cannot have --weights and --random weights at once"
        raise UsageError(f"{target} {why}", "--weights FILE loads weights, --random predicts with random ones")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that spin while they wait stall on a busy machine
    try:
        from cnnspec_torch import prediction
    except ModuleNotFoundError as error:
        raise MissingError(f"predict needs {error.name}", "pip install 'cnnspec[predict]'") from None
    if trained:
        predictor = prediction.from_file(Path(target))
    else:
        graph = compile_spec(target, params=params)
        predictor = prediction.from_graph(
            graph,
            weights=weights,
            names=names,
            seed=seed,
            sizes=sizes(at),
            fit=fit.value if fit else None,
            mean=_numbers("--mean", mean),
            std=_numbers("--std", std),
        )
    if random:
        say(f"{predictor.graph.name} has random weights: what it says means nothing")
    found = [predictor(image, top_k) for image in images]
    text = "\n".join(_text(one) for one in found)
    return answer("predict", json=json, data=_data(predictor, found, random), text=text)


def _numbers(option: str, text: str | None) -> list[float] | None:
    if text is None:
        return None
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers or not all(map(isfinite, numbers)) or (option == "--std" and min(numbers) <= 0):
        raise UsageError(f"{option} wants numbers as 0.485,0.456,0.406, got '{text}'")
    return numbers


def _data(predictor: Predictor, found: list[Prediction], random: bool) -> dict[str, Any]:
    graph = predictor.graph
    return {"name": graph.name, "hash": graph.hash, "random": random, "images": [asdict(one) for one in found]}


def _text(one: Prediction) -> str:
    shape = f"{list(one.input)} -> {list(one.output)}"
    lines = [f"{one.image}  {one.size[0]} x {one.size[1]}, {shape} in {1000 * one.seconds:.1f} ms"]
    lines += [f"  {guess.probability:7.2%}  {guess.label}" for guess in one.top]
    return "\n".join(map(printable, lines))
