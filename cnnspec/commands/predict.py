"""`cnnspec predict`: the likeliest classes of images, by a run, a weights file, or a spec with weights."""

from __future__ import annotations

import os
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
    Texts,
    WeightsOption,
    compile_spec,
    numbers,
    say,
    sizes,
)
from cnnspec.commands.loading import loading
from cnnspec.diagnostics import MissingError, UsageError

if TYPE_CHECKING:
    from cnnspec.dense import Network
    from cnnspec.evaluating import Classifier
    from cnnspec.graph import Graph


TOP = 3
"""Classes that are shown unless told otherwise."""


def predict(
    target: Annotated[
        str, typer.Argument(metavar="RUN|FILE|SPEC", help="A run, its best.safetensors, an .onnx file, or a spec.")
    ],
    images: Annotated[
        list[str], typer.Argument(metavar="IMAGE...", help="PNG, JPEG, WebP, BMP or PPM files, folders, globs.")
    ],
    top_k: Annotated[
        int | None, typer.Option("--top-k", metavar="K", min=1, help="Classes shown for an image; 3 by default.")
    ] = None,
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
        Path | None, typer.Option("--save", metavar="DIR", help="Write pictures with what was found into this folder.")
    ] = None,
    features: Annotated[
        Texts, typer.Option("--features", metavar="NODE", help="Save the values of a node (repeatable).")
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
    if features and save is None:
        raise UsageError("--features wants --save DIR: there the arrays and pictures go")
    if features and Path(target).suffix == ".onnx":
        raise UsageError("--features is for a run or a spec; the nodes of an ONNX file are no outputs")
    try:
        from cnnspec import dense, predicting
        from cnnspec.commands import classifying, seeing
    except ModuleNotFoundError as error:
        raise MissingError(f"predict needs {error.name}", "pip install 'cnnspec[predict]'") from None
    files = predicting.image_files(images)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that spin while they wait stall on a busy machine
    network: Any
    body: Any
    if trained:
        name, digest, network = _of_file(Path(target))
        body = network
    else:
        graph = compile_spec(target, params=params)
        _check_weights(target, graph, weights, random)
        method: published.Fit | None = fit.value if fit else None
        centre, spread = numbers("--mean", mean), numbers("--std", std)
        with loading(weights, names, download) as options:
            options |= {"weights": weights, "seed": seed, "sizes": sizes(at)}
            options["change"] = lambda how: published.changed(how, method, centre, spread)
            body, network = _of_spec(graph, features, options)
        name, digest = graph.name, graph.hash
    if random:
        say(f"{name} has random weights: what it says means nothing")
    about: dict[str, Any] = {"name": name, "hash": digest, "random": random}
    seeing.check_choice(name, network, top_k, confidence is not None or overlap is not None)
    asked = classifying.Asked(TOP if top_k is None else top_k, batch, save, force)
    unread: list[predicting.Unread] = []
    if features and save is not None:
        if isinstance(body, dense.Network):
            raise UsageError(f"--features of {target} wants the spec: predict SPEC --weights {target}")
        about["features"], unread = classifying.save_features(files, features, body, asked, save)
    if network is None:
        return classifying.answer_features(files, about, unread, json)
    if isinstance(network, dense.Network):
        looking = seeing.Looking(confidence, overlap, save, force)
        return seeing.answer_with(network, files, looking, about, json)
    return classifying.answer_with(network, files, asked, about, json)


def _of_spec(graph: Graph, features: Texts, options: dict[str, Any]) -> tuple[Any, Any]:
    """The network inside, and as its head is read: None where only features are asked of one without heads."""
    prediction = _torch()
    if not features:
        found = prediction.from_graph(graph, **options)
        return found, found
    body = prediction.body(graph, **options)
    return body, prediction.predictor(body) if graph.inference().heads else None


def _check_weights(target: str, graph: Graph, weights: str | None, random: bool) -> None:
    """Raises UsageError where a network that learns has no weights, or two kinds of them."""
    if (weights is None) == random or (weights is None and graph.cost().params.total == 0):
        return
    why = "is untrained" if weights is None else "cannot have --weights and --random weights at once"
    known = f"NAME ({', '.join(graph.weights)})" if graph.weights else "FILE"
    raise UsageError(f"{target} {why}", f"--weights {known} loads weights, --random predicts with random ones")


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


def _torch() -> Any:
    try:
        from cnnspec_torch import prediction
    except ModuleNotFoundError as error:
        raise MissingError(f"predict needs {error.name}", "pip install 'cnnspec[predict]'") from None
    return prediction
