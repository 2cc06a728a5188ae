"""`cnnspec train`: a recipe's data, cross-entropy, one run folder."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from enum import StrEnum
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cnnspec.commands.common import DebugFlag, ForceFlag, JsonFlag, SetOption, SpecArg, compile_spec, out, pairs, say
from cnnspec.diagnostics import MissingError, UsageError

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from cnnspec.recipe import Recipe


class Device(StrEnum):
    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    mps = "mps"


def train(
    spec: SpecArg,
    recipe: Annotated[
        str, typer.Option("--recipe", metavar="RECIPE", help="A path, or a shipped recipe.")
    ] = "classify",
    params: SetOption = None,
    epochs: Annotated[int | None, typer.Option("--epochs", min=1, help="Short for --set recipe.epochs=N.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Short for --set recipe.seed=N.")] = None,
    folder: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="DIR", help="The run folder; runs/NAME-N unless given.")
    ] = None,
    force: ForceFlag = False,
    device: Annotated[
        Device, typer.Option("--device", help="auto takes the accelerator where there is one.")
    ] = Device.auto,
    json: JsonFlag = False,
    debug: DebugFlag = False,
) -> int:
    chosen, rest = _recipe(recipe, params, epochs, seed)
    graph = compile_spec(spec, params=rest)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that spin while they wait stall on a busy machine
    try:
        from cnnspec_torch import runs, training
    except ModuleNotFoundError as error:
        raise MissingError(f"train needs {error.name}", "pip install 'cnnspec[train]'") from None
    training.check(graph, chosen, device.value)
    where = runs.new_folder(graph.name, folder, force)
    with _Reporter(json) as reporter:
        result = training.fit(graph, chosen, where, reporter, device.value)
    data = {**asdict(result), "folder": str(result.folder), "spec": graph.name, "hash": graph.hash}
    if json:
        out(dumps({"schema": "cnnspec/train@1", "ok": True, "data": data, "diagnostics": []}))
        return 0
    right = result.test_images - result.test_errors
    out(
        f"{graph.name}: {result.test_accuracy:.2%} of the held-out images ({right} of {result.test_images}), epoch "
        f"{result.epoch} of {chosen.epochs}, {result.validation_accuracy:.2%} in validation, {result.seconds:.1f} s\n"
        f"{where}"
    )
    return 0


def _recipe(name: str, texts: list[str] | None, epochs: int | None, seed: int | None) -> tuple[Recipe, list[str]]:
    """The recipe with its changes, and what `--set` says of the spec's params."""
    from cnnspec import recipe

    given = pairs(texts, "--set")
    changes = {key.removeprefix("recipe."): given[key] for key in given if key.startswith("recipe.")}
    for key, value in {"epochs": epochs, "seed": seed}.items():
        if value is not None and changes.setdefault(key, str(value)) != str(value):
            raise UsageError(f"--{key} {value} and --set recipe.{key}={changes[key]} differ")
    return recipe.load(name, changes), [text for text in texts or () if not text.strip().startswith("recipe.")]


class _Reporter:
    """Tells of a run: JSON Lines on stdout, else on stderr a bar where it is a terminal and plain lines where not."""

    def __init__(self, json: bool) -> None:
        self.json = json
        self.bar: Progress | None = None
        self.task: TaskID | None = None

    def __enter__(self) -> _Reporter:
        if not self.json and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
            self.bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self.bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.bar:
            self.bar.stop()

    def __call__(self, event: dict[str, Any]) -> None:
        if event["event"] == "step":
            if self.bar and self.task is not None:
                self.bar.advance(self.task)
        elif self.json:
            out(dumps(event))
        elif event["event"] == "begin":
            self._begin(event)
        elif event["event"] == "epoch":
            self._epoch(event)

    def _begin(self, event: dict[str, Any]) -> None:
        parts = f"{event['training']} training, {event['validation']} validation, {event['test']} held out"
        say(f"{event['spec']} on {event['data']}: {parts}; into {event['folder']}")
        if self.bar:
            self.task = self.bar.add_task("epoch 1", total=event["steps"])

    def _epoch(self, event: dict[str, Any]) -> None:
        text = (
            f"epoch {event['epoch']:>3}  loss {event['loss']:.4f}  validation {event['validation_loss']:.4f} "
            f"{event['validation_accuracy']:.2%}{'  best' if event['best'] else ''}"
        )
        if self.bar and self.task is not None:
            self.bar.update(self.task, description=text)
        else:
            say(text)
