"""Training: PyTorch Lightning's trainer around a lowered graph, one run folder, and going on where a run stopped."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytorch_lightning as pl
import torch
from pytorch_lightning.trainer.states import TrainerStatus
from pytorch_lightning.utilities.exceptions import SIGTERMException

from cnnspec.canonical import resolved_yaml
from cnnspec.datasets.sheet import png
from cnnspec.diagnostics import RunError, UsageError
from cnnspec.judges.base import CLASSED
from cnnspec.ranks import processes, rank
from cnnspec_torch import (
    batches,
    board,
    book,
    checkpoints,
    crew,
    data,
    faults,
    optimizing,
    pictures,
    reporting,
    room,
    runs,
    scales,
    settings,
    signals,
    suiting,
    tasks,
)
from cnnspec_torch.network import Network
from cnnspec_torch.prediction import input_size, threads

if TYPE_CHECKING:
    from torch.utils.data import DataLoader

    from cnnspec import datasets
    from cnnspec.graph import Graph
    from cnnspec.recipe import Recipe

JUDGED = 256
"""Images of a batch in validation and test."""


@dataclass(frozen=True)
class Machine:
    """Where a run happens; its numbers do not depend on `workers`."""

    device: str = "auto"
    devices: int = 1
    strategy: Literal["auto", "ddp"] = "auto"
    workers: int | None = None
    deterministic: bool = False


@dataclass(frozen=True)
class Result:
    """What a run came to: metrics of the epoch that was best in validation, and of the images held out."""

    folder: Path
    epoch: int
    validation: dict[str, float]
    test: dict[str, float]
    test_images: int
    seconds: float


def fit(
    graph: Graph,
    recipe: Recipe,
    folder: Path,
    report: book.Report,
    machine: Machine = Machine(),
    given: data.Data | None = None,
    *,
    resume: bool = False,
    start: Callable[[torch.nn.Module], None] = lambda net: None,
) -> Result:
    """Train a graph as a recipe says, into a folder that exists; `report` hears of every step and epoch.

    `given` is what `prepare` has read, where it was asked before; `start` may load weights into the network. With
    `resume` the run in the folder goes on from its newest checkpoint.

    The same seed gives the same weights, bit for bit, on the same processor with the same versions and threads, also
    where the run was stopped and resumed. Raises UsageError where graph and data do not fit, RunError where a number is
    not finite or a file cannot be written, MissingError where there is no checkpoint.
    """
    begun = time.perf_counter()
    given = prepare(graph, recipe, machine.device) if given is None else given
    recipe = recipe.model_copy(update={"mean": given.mean, "std": given.std})
    with (
        settings.quiet(),
        threads(graph, recipe.batch),
        settings.reproducible(machine.deterministic),
        runs.locked(folder),
        signals.heard() as heard,
        crew.crew(folder) as others,
    ):
        shown = board.Board(folder) if recipe.tensorboard else None
        kept = book.Book(folder, report, _header(graph, recipe, given), _best(graph, recipe), rank() == 0, shown)
        run = _Run(graph, recipe, given, machine, kept, heard, others)
        if resume:
            run.resume()
        else:
            run.begin(start)
        checkpoints.check_room(folder, run.network.net, recipe)
        if kept.writes and not resume:
            runs.write(folder / "spec.yaml", resolved_yaml(graph).encode())
            runs.write(folder / "recipe.yaml", recipe.text().encode())
            environment = {**runs.environment(str(_device(machine.device))), "spec_hash": graph.hash}
            environment["deterministic"] = machine.deterministic
            runs.write(folder / "environment.json", runs.as_json(environment))
            seen = pictures.of_training(run.samples(given.training, recipe.seed), run.order, given.labels)
            runs.write(folder / "samples.png", png(seen))
        kept.event(_begin(graph, recipe, given, folder, run.order))
        for message in given.warnings:
            kept.event({"event": "warning", "message": message})
        try:
            run.phases()
            return run.finish(begun)
        except (RuntimeError, MemoryError) as error:
            if (known := faults.explained(error, graph, recipe, run.network.awaited())) is not None:
                raise known from None
            raise
        finally:
            kept.close()


class _Run:
    """One run: its network, its order of batches, and a trainer for each phase."""

    def __init__(
        self,
        graph: Graph,
        recipe: Recipe,
        given: data.Data,
        machine: Machine,
        kept: book.Book,
        heard: signals.Signals,
        others: crew.Crew,
    ) -> None:
        self.graph, self.recipe, self.given, self.machine, self.book = graph, recipe, given, machine, kept
        self.others = others
        self.workers = _workers(recipe) if machine.workers is None else machine.workers
        sizes = scales.legal(graph, recipe.sizes)
        self.order = batches.Order(
            given.training, recipe.batch, recipe.seed, rank(), processes(machine.devices), sizes, recipe.sizes_every
        )
        device = _device(machine.device)
        found = tasks.of(graph, recipe, device, self._masks)
        needs = frozenset[str]().union(*(task.needs for task, _ in found))
        size = input_size(graph.at())[1:]
        self.needs, self.size = needs, (size[0], size[1])
        self.network = Network(graph, recipe, found, self.order, self._judged(given.validation), kept, heard)

    def samples(self, part: datasets.Part, seed: int | None) -> batches.Samples:
        given = self.given
        return batches.Samples(part, self.recipe, given.mean, given.std, self.needs, self.size, seed)

    def _masks(self) -> Iterator[Any]:
        training = self.given.training
        assert training.masks is not None
        yield from map(training.masks, range(len(training)))

    def _judged(self, part: datasets.Part) -> DataLoader[batches.Loaded]:
        order = batches.Order(part, JUDGED, None, rank(), processes(self.machine.devices))
        return self._loader(self.samples(part, None), order)

    def _loader(
        self, samples: batches.Samples, order: batches.Order, pinned: bool = False
    ) -> DataLoader[batches.Loaded]:
        self.others.loaders.append(batches.loader(samples, order, self.workers, pinned))
        return self.others.loaders[-1]

    def begin(self, start: Callable[[torch.nn.Module], None]) -> None:
        for task, _ in self.network.tasks:
            if isinstance(task, tasks.Detect):
                task.start(self.network.net)
        start(self.network.net)

    def resume(self) -> None:
        position, tensors, skipped = checkpoints.load(self.book.folder, self.graph, self.recipe)
        if position.samples != (now := len(self.given.training)):
            raise RunError(f"the run began with {position.samples} samples to train on, {now} are there now")
        self.book.resume(position.rows)
        for reason in (*(f"skipped: {one}" for one in skipped), *runs.changes(self.book.folder)):
            self.book.event({"event": "warning", "message": reason})
        torch.set_num_threads(runs.threads(self.book.folder))
        self.network.resume(position, tensors)
        self.book.event({"event": "resume", "epoch": position.epoch + 1, "step": position.step})

    def phases(self) -> None:
        """Fit phase after phase, from where the position stands."""
        network, position, ends = self.network, self.network.position, 0
        training = self._loader(
            self.samples(self.given.training, self.recipe.seed), self.order, torch.cuda.is_available()
        )
        stopped = self.book.stale(position.rows) >= (self.recipe.patience or len(position.rows) + 1)
        for number, stage in enumerate(self.recipe.stages):
            ends += stage.epochs
            if number < position.phase or stopped:
                continue
            if number > position.phase:
                position.steps_in_phase, network.resumed = 0, {}
            position.phase = number
            optimizing.freeze(network.net, stage.freeze)
            network.stage = stage
            if left := ends - position.epoch:
                self.others.trainers.append(trainer := self._trainer(left))
                _fit(trainer, network, training)
                stopped = bool(trainer.should_stop)

    def _trainer(self, epochs: int) -> pl.Trainer:
        machine, strategy = self.machine, str(self.machine.strategy)
        if processes(machine.devices) > 1:
            read = {name for head in self.graph.heads.values() for name in head.of}
            unread = any(output.name not in read for output in self.graph.outputs)
            strategy = "ddp_find_unused_parameters_true" if unread else "ddp"
        return pl.Trainer(
            max_epochs=epochs,
            accelerator=machine.device,
            devices=machine.devices,
            strategy=strategy,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            num_sanity_val_steps=0,
        )

    def finish(self, begun: float) -> Result:
        """Judge the best weights on the images held out."""
        network, given = self.network, self.given
        network.signals.free()
        network.average = None
        network.net.load_state_dict(self.book.best_weights())
        network.to(_device(self.machine.device))
        found = {name: round(value, 6) for name, value in network.judge(self._judged(given.test)).items()}
        best = self.book.best(network.position.rows)
        validation = {name.removeprefix("validation_"): v for name, v in best.items() if name.startswith("validation_")}
        seconds = round(time.perf_counter() - begun, 2)
        self.book.event({"event": "end", "epoch": int(best["epoch"]), "test": found})
        if self.book.writes:
            reporting.report(
                self.book.folder, self.graph, network.net, self.recipe, given, self.size, _labels(self.graph, given)
            )
        return Result(self.book.folder, int(best["epoch"]), validation, found, len(given.test), seconds)


def _fit(trainer: pl.Trainer, network: Network, training: DataLoader[batches.Loaded]) -> None:
    """A KeyboardInterrupt, which the trainer turns into an exit with 1, is raised again as what it was."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(network, training)
    except SIGTERMException:  # one that came before the first step
        raise signals.Left(signal.SIGTERM) from None
    except SystemExit as leaving:
        if trainer.state.status != TrainerStatus.INTERRUPTED or leaving.code != 1:
            raise
        signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from None


def prepare(
    graph: Graph,
    recipe: Recipe,
    device: str = "auto",
    strict: bool = False,
    tick: Callable[[int], None] = lambda number: None,
    download: bool = False,
) -> data.Data:
    """The recipe's data, read and checked for a graph; `tick` hears of every image, well-known data is fetched where it
    lacks and `download`.

    Raises UsageError where the graph does not fit the data or the recipe, or the device is not there, MissingError
    where the data is not, or TensorBoard where it is asked for, RunError where it is bad, or a warning is due and
    `strict`.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there.get(device, True):
        raise UsageError(f"the device '{device}' is not there", "--device auto takes what is")
    if recipe.tensorboard:
        board.wanted()
    need = suiting.needed(graph, recipe)
    if device == "cpu" or not any(there.values()):
        room.check(graph, recipe)
    return data.prepare(recipe, need, strict, tick, download)


def _workers(recipe: Recipe) -> int:
    """Processes that read: none where batches are made at once, else all but one of the cores, at most eight."""
    busy = not recipe.augment.shifts_alone
    return min(8, max(1, len(os.sched_getaffinity(0)) - 1)) if busy and hasattr(os, "sched_getaffinity") else 0


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    return torch.device(name, rank()) if name == "cuda" else torch.device(name)


def _best(graph: Graph, recipe: Recipe) -> tuple[str, bool]:
    """The column that chooses the epoch, and whether more is better: one head's own, of several their loss."""
    judged = [task for task, _ in tasks.of(graph, recipe) if task.head in graph.inference().heads]
    name, more = judged[0].best if len(judged) == 1 else ("loss", False)
    return f"validation_{name}", more


def _header(graph: Graph, recipe: Recipe, given: data.Data) -> Callable[[int, dict[str, float]], runs.Header]:
    spec, sizes = resolved_yaml(graph), {k: v for k, v in graph.sizes().items() if k != graph.batch}
    heads = graph.inference().heads
    order = (*CLASSED, "locate")  # what predict looks for
    head = min(heads, key=lambda name: order.index(heads[name].kind))
    labels = _labels(graph, given)

    def header(epoch: int, metrics: dict[str, float]) -> runs.Header:
        return runs.Header(
            schema="cnnspec/weights@1",
            spec=spec,
            hash=graph.hash,
            head=head,
            labels=labels,
            sizes=sizes,
            fit=recipe.fit,
            mean=given.mean,
            std=given.std,
            epoch=epoch,
            metrics=metrics,
        )

    return header


def _labels(graph: Graph, given: data.Data) -> list[str]:
    """What the classes are called that heads tell apart: as the spec says, else the data; none where no head does."""
    heads = [head for head in graph.inference().heads.values() if head.kind in CLASSED]
    named = next((head.labels for head in heads if head.labels and len(head.labels) == len(given.labels)), given.labels)
    return list(named) if heads else []


def _begin(graph: Graph, recipe: Recipe, given: data.Data, folder: Path, order: batches.Order) -> book.Event:
    return {
        "event": "begin",
        "spec": graph.name,
        "folder": str(folder),
        "data": recipe.data,
        "training": len(given.training),
        "validation": len(given.validation),
        "test": len(given.test),
        "epochs": recipe.whole,
        "steps": recipe.whole * order.steps,
        "seed": recipe.seed,
    }
