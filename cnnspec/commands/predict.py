"""`cnnspec predict`: the likeliest classes of images, by a run, a weights file, or a spec with weights."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cnnspec import published, zoo
from cnnspec.commands.common import (
    AtOption,
    BatchOption,
    ConfidenceOption,
    DebugFlag,
    DownloadFlag,
    FitOption,
    ForceFlag,
    JsonFlag,
    MeanOption,
    NamesOption,
    OverlapOption,
    SetOption,
    StdOption,
    WeightsOption,
    answer,
    compile_spec,
    numbers,
    say,
    sizes,
)
from cnnspec.commands.loading import loading
from cnnspec.diagnostics import MissingError, UsageError, printable

if TYPE_CHECKING:
    from cnnspec.dense import Network
    from cnnspec.evaluating import Classifier
    from cnnspec.predicting import Prediction


def predict(
    target: Annotated[
        str, typer.Argument(metavar="RUN|FILE|SPEC", help="A run, its best.safetensors, an .onnx file, or a spec.")
    ],
    images: Annotated[
        list[str], typer.Argument(metavar="IMAGE...", help="PNG, JPEG, WebP, BMP or PPM files, folders, globs.")
    ],
    top_k: Annotated[int, typer.Option("--top-k", metavar="K", min=1, help="Classes shown for an image.")] = 3,
    weights: WeightsOption = None,
    names: NamesOption = None,
    download: DownloadFlag = False,
    random: Annotated[bool, typer.Option("--random", help="Let a spec predict with untrained weights.")] = False,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the untrained weights.")] = 0,
    params: SetOption = None,
    at: AtOption = None,
    fit: FitOption = None,
    mean: MeanOption = None,
    std: StdOption = None,
    batch: BatchOption = 1,
    confidence: ConfidenceOption = None,
    overlap: OverlapOption = None,
    save: Annotated[
        Path | None, typer.Option("--save", metavar="DIR", help="Write pictures with boxes or masks into this folder.")
    ] = None,
    force: ForceFlag = False,
    json: JsonFlag = False,
    debug: DebugFlag = False,
) -> int:
    trained = Path(target).suffix in (".safetensors", ".onnx")
    if zoo.is_path(target) and not Path(target).exists():
        raise MissingError(f"there is no file or folder {target}")
    if Path(target).suffix in (".pt2", ".pth", ".pt"):
        help = "a run, its best.safetensors or an .onnx file says what images need; --weights loads a .pth into a spec"
        raise UsageError(f"predict takes a run, .safetensors, .onnx or a spec, no {Path(target).suffix}", help)
    trained |= Path(target).is_dir() and (zoo.is_path(target) or target not in zoo.names())
    given = {"--weights": weights, "--names": names, "--random": random, "--set": params, "--at": at}
    given |= {"--mean": mean, "--std": std, "--fit": fit, "--download": download}
    if trained and (extra := [name for name, value in given.items() if value]):
        raise UsageError(f"{extra[0]} is for a spec; {target} says it itself")
    if not trained and (weights is None) != random:
        why = "is untrained" if weights is None else "cannot have --weights and --random weights at once"
        raise UsageError(f"{target} {why}", _help(target))
    try:
        from cnnspec import dense, predicting
        from cnnspec.commands import seeing
    except ModuleNotFoundError as error:
        raise MissingError(f"predict needs {error.name}", "pip install 'cnnspec[predict]'") from None
    files = predicting.image_files(images)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that spin while they wait stall on a busy machine
    if trained:
        name, digest, network = _of_file(Path(target))
    else:
        graph = compile_spec(target, params=params)
        prediction = _torch()
        method: published.Fit | None = fit.value if fit else None
        centre, spread = numbers("--mean", mean), numbers("--std", std)
        with loading(weights, names, download) as options:
            network = prediction.from_graph(
                graph,
                weights=weights,
                seed=seed,
                sizes=sizes(at),
                change=lambda how: published.changed(how, method, centre, spread),
                **options,
            )
        name, digest = graph.name, graph.hash
    if random:
        say(f"{name} has random weights: what it says means nothing")
    if isinstance(network, dense.Network):
        looking = seeing.Looking(confidence, overlap, save, force)
        return seeing.answer_with(network, files, looking, {"name": name, "hash": digest, "random": random}, json)
    found = list(predicting.classify(network, files, top_k, batch))
    data = {"name": name, "hash": digest, "random": random, "images": [asdict(one) for one in found]}
    return answer("predict", json=json, data=data, text="\n".join(map(_text, found)))


def _of_file(path: Path) -> tuple[str, str, Classifier | Network]:
    """Name, hash and network of a run, its weights file or an ONNX file; each says itself what its images need."""
    if path.suffix == ".onnx":
        try:
            from cnnspec_onnx.session import Session
        except ModuleNotFoundError as error:
            raise MissingError(f"predict needs {error.name} for an ONNX file", "pip install 'cnnspec[onnx]'") from None
        session = Session(path)
        if session.is_dense:
            from cnnspec_onnx.dense_session import network

            return session.name, session.card.hash, network(session)
        return session.name, session.card.hash, session
    predictor = _torch().opened(path)
    return predictor.graph.name, predictor.graph.hash, predictor


def _help(target: str) -> str:
    from cnnspec.front import compile_file

    known = ", ".join(compile_file(target).weights)
    return f"--weights {f'NAME ({known})' if known else 'FILE'} loads weights, --random predicts with random ones"


def _torch() -> Any:
    try:
        from cnnspec_torch import prediction
    except ModuleNotFoundError as error:
        raise MissingError(f"predict needs {error.name}", "pip install 'cnnspec[predict]'") from None
    return prediction


def _text(one: Prediction) -> str:
    shape = f"{list(one.input)} -> {list(one.output)}"
    lines = [f"{one.image}  {one.size[0]} x {one.size[1]}, {shape} in {1000 * one.seconds:.1f} ms"]
    lines += [f"  {g.probability:7.2%}  {g.id + ' ' if g.id else ''}{g.label}" for g in one.top]
    return "\n".join(map(printable, lines))
