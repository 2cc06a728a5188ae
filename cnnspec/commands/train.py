"""`cnnspec train`: labelled images, a recipe, one run folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, replace
from enum import StrEnum
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cnnspec import runs as run_folders
from cnnspec.commands.common import (
    AtOption,
    BadLabel,
    BadSample,
    DataOption,
    DataRootOption,
    DebugFlag,
    DownloadFlag,
    ForceFlag,
    FormatOption,
    JsonFlag,
    NamesOption,
    SetOption,
    StrictFlag,
    compile_spec,
    out,
    pairs,
    say,
    sizes,
)
from cnnspec.commands.progress import bar
from cnnspec.commands.telling import Telling, metrics
from cnnspec.diagnostics import MissingError, RunError, UsageError, printable
from cnnspec.ranks import rank

if TYPE_CHECKING:
    from cnnspec.graph import Graph
    from cnnspec.recipe import Recipe


class Device(StrEnum):
    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    mps = "mps"


class Strategy(StrEnum):
    auto = "auto"
    ddp = "ddp"


def train(
    spec: Annotated[
        str | None, typer.Argument(metavar="SPEC", help="A path, or a shipped spec's name; not with --resume.")
    ] = None,
    recipe: Annotated[
        str | None, typer.Option("--recipe", metavar="RECIPE", help="A path, or a shipped recipe; by the heads' kind.")
    ] = None,
    params: SetOption = None,
    at: AtOption = None,
    data: DataOption = None,
    on_bad_sample: Annotated[
        BadSample | None, typer.Option("--on-bad-sample", help="stop, or skip up to 1 %; recipe.on_bad_sample.")
    ] = None,
    on_bad_label: Annotated[
        BadLabel | None, typer.Option("--on-bad-label", help="error, or skip boxes that cannot be right.")
    ] = None,
    format: FormatOption = None,
    data_root: DataRootOption = None,
    download: DownloadFlag = False,
    weights: Annotated[
        str | None, typer.Option("--weights", metavar="NAME|FILE|RUN|ENTRY=...", help="Weights to begin with.")
    ] = None,
    names: NamesOption = None,
    epochs: Annotated[int | None, typer.Option("--epochs", min=1, help="Short for --set recipe.epochs=N.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Short for --set recipe.seed=N.")] = None,
    folder: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="DIR", help="The run folder; runs/NAME-N unless given.")
    ] = None,
    force: ForceFlag = False,
    resume: Annotated[
        Path | None, typer.Option("--resume", metavar="RUN", help="Go on with a run that was stopped.")
    ] = None,
    device: Annotated[
        Device, typer.Option("--device", help="auto takes the accelerator where there is one.")
    ] = Device.auto,
    devices: Annotated[int, typer.Option("--devices", min=1, help="So many devices, a process each.")] = 1,
    strategy: Annotated[
        Strategy, typer.Option("--strategy", help="How several devices share the work; auto is ddp.")
    ] = Strategy.auto,
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="Refuse operations that are not repeatable on an accelerator.")
    ] = False,
    workers: Annotated[
        int | None, typer.Option("--workers", min=0, help="Processes that read; numbers do not depend on it.")
    ] = None,
    strict: StrictFlag = False,
    json: JsonFlag = False,
    debug: DebugFlag = False,
) -> int:
    short: dict[str, object] = {
        "data": data,
        "on-bad-sample": on_bad_sample,
        "on-bad-label": on_bad_label,
        "format": format,
    }
    short |= {"data-root": data_root, "epochs": epochs, "seed": seed}
    if resume is None and spec is None:
        raise UsageError("train wants a spec, or --resume RUN")
    if resume is None:
        rest = [text for text in params or () if not text.strip().startswith("recipe.")]
        graph = compile_spec(spec or "", params=rest, strict=strict, quiet=rank() > 0)
        graph = replace(graph, typical={**graph.typical, **at_sizes(graph, at)})
        chosen = _recipe(recipe or _usual(graph), params, short)
    else:
        short |= {"weights": weights, "out": folder, "force": force or None}
        chosen, graph = resumed(resume, spec, recipe, params, short)
        if (ended := run_folders.outcome(resume)) is not None:
            if rank():
                return 0
            if not json:
                say(printable(f"{resume} is finished, there is nothing to go on with"))
            return _told(ended, graph, chosen, json, finished_before=True)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that spin while they wait stall on a busy machine
    try:
        from cnnspec_torch import pretrained, runs, training
    except ModuleNotFoundError as error:
        raise MissingError(f"train needs {error.name}", "pip install 'cnnspec[train]'") from None
    from cnnspec import datasets

    with bar("reading") as tick:
        fetch = download and not datasets.is_path(chosen.data)
        given = training.prepare(graph, chosen, device.value, strict, tick, fetch)
    made = resume is None and not (folder is not None and folder.exists())
    where = resume or runs.new_folder(graph.name, folder, force)
    machine = training.Machine(device.value, devices, strategy.value, workers, deterministic)

    def start(net: Any) -> None:
        if weights is None:
            return
        with bar("fetching") as tick:
            loaded = pretrained.load(
                net, graph, weights, names=names, download=download, new_head=True, warn=_warn, tick=tick
            )
        if (text := str(loaded)) and not rank():
            say(printable(text))

    with Telling(json) as reporter, runs.unless_begun(where, made):
        try:
            result = training.fit(
                graph, chosen, where, reporter, machine, given, resume=resume is not None, start=start
            )
        except RunError as error:
            if not rank():
                raise
            say(f"process {rank()}: {error}")
    if rank():  # the first process says what came of it, and ends as is due
        return 0
    return _told({**asdict(result), "folder": str(result.folder)}, graph, chosen, json, finished_before=False)


def _told(result: dict[str, Any], graph: Graph, chosen: Recipe, json: bool, *, finished_before: bool) -> int:
    """Say what a run came to, now or before."""
    if json:
        found = {**result, "spec": graph.name, "hash": graph.hash, "finished_before": finished_before}
        out(dumps({"schema": "cnnspec/train@1", "ok": True, "data": found, "diagnostics": []}))
        return 0
    validation = f"{metrics(result['validation'])} in validation, {result['seconds']:.1f} s"
    out(
        f"{graph.name}: {metrics(result['test'])} on {result['test_images']} held-out images; epoch {result['epoch']} "
        f"of {chosen.whole}, {validation}\n{result['folder']}"
    )
    return 0


def resumed(
    run: Path, spec: str | None, recipe: str | None, params: list[str] | None, short: Mapping[str, object]
) -> tuple[Recipe, Graph]:
    """Recipe and graph of a run that goes on; a spec may stand beside it if it is the same.

    Raises UsageError for what would change the run.
    """
    from cnnspec import recipe as recipes
    from cnnspec.diff import diff

    given = {"--recipe": recipe, "--set": params, **{f"--{name}": value for name, value in short.items()}}
    if said := [name for name, value in given.items() if value is not None]:
        raise UsageError(f"{said[0]} would change the run; --resume goes on as {run / 'recipe.yaml'} says")
    if not (run / "spec.yaml").is_file():
        raise MissingError(f"{run} is no run folder: there is no spec.yaml in it")
    graph = compile_spec(str(run / "spec.yaml"), quiet=True)
    if spec is not None and (other := compile_spec(spec, quiet=True)).hash != graph.hash:
        raise UsageError(
            f"{spec} has the hash {other.hash[:12]}, the run's spec {graph.hash[:12]}; "
            f"they first differ at {diff(graph, other).first}",
            f"cnnspec show {run / 'spec.yaml'} --diff {spec}",
        )
    return recipes.load(str(run / "recipe.yaml")), graph


def at_sizes(graph: Graph, at: list[str] | None) -> dict[str, int]:
    """The sizes of `--at`; raises UsageError for what is no symbol of the input, and for the batch."""
    given = sizes(at)
    if graph.batch in given:
        raise UsageError(f"--at {graph.batch}={given[graph.batch]}: the batch is the recipe's", "--set recipe.batch=N")
    graph.sizes(**given)
    return given


def _warn(text: str) -> None:
    say(printable(f"warning: {text}"))


def _usual(graph: Graph) -> str:
    """The shipped recipe of the heads' kind; of several kinds the one that looks at places."""
    kinds = {head.kind for head in graph.heads.values()}
    return next((kind for kind in ("detect", "segment", "locate") if kind in kinds), "classify")


def _recipe(name: str, texts: list[str] | None, short: Mapping[str, object]) -> Recipe:
    """The recipe with its changes, by `--set` and the options `short` for it."""
    from cnnspec import recipe

    given = pairs(texts, "--set")
    changes = {key.removeprefix("recipe."): given[key] for key in given if key.startswith("recipe.")}
    for option, value in short.items():
        key, text = option.replace("-", "_"), recipe.written(value) if isinstance(value, str) else str(value)
        if value is not None and changes.setdefault(key, text) not in (text, str(value)):
            raise UsageError(f"--{option} {value} and --set recipe.{key}={changes[key]} differ")
    found = recipe.load(name, changes)
    if "epochs" in changes and found.phases and all(phase.epochs for phase in found.phases):
        given_as = f"--set recipe.epochs={changes['epochs']}" if short["epochs"] is None else f"--epochs {found.epochs}"
        own = ", ".join(str(phase.epochs) for phase in found.phases)
        raise UsageError(
            f"{given_as} changes nothing: the phases of the recipe have epochs of their own, {own}",
            "--set 'recipe.phases=[{epochs: N, ...}, ...]' gives others, or a recipe of your own",
        )
    return found
