"""Training a classifier: PyTorch Lightning's loop around a lowered graph, cross-entropy, one run folder."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import signal
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.trainer.states import TrainerStatus
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torchmetrics.classification import MulticlassAccuracy

from cnnspec.canonical import resolved_yaml
from cnnspec.diagnostics import RunError, UsageError
from cnnspec_torch import data, runs
from cnnspec_torch.prediction import classify_head, head_scores, input_size, threads

if TYPE_CHECKING:
    from cnnspec.graph import Graph
    from cnnspec.recipe import Recipe

AUXILIARY = 0.3
"""Weight of the loss of a training-only output: Szegedy et al. 2014, Going Deeper with Convolutions, section 5."""


@dataclass(frozen=True)
class Result:
    """What a run came to; accuracies from 0 to 1, of the epoch that was best in validation."""

    folder: Path
    epoch: int
    validation_accuracy: float
    test_accuracy: float
    test_errors: int
    test_images: int
    seconds: float


def fit(
    graph: Graph,
    recipe: Recipe,
    folder: Path,
    report: runs.Report,
    device: str = "auto",
    given: data.Data | None = None,
) -> Result:
    """Train a graph as a recipe says, into a folder that exists; `report` hears of every step and epoch.

    `given` is what `prepare` has read, where it was asked before.

    The same seed gives the same weights, bit for bit, on the same processor with the same versions and threads.
    Raises UsageError where graph and data do not fit, RunError where a loss is not finite or a file cannot be written.
    """
    start = time.perf_counter()
    given = prepare(graph, recipe, device) if given is None else given
    head, classes = classify_head(graph)
    recipe = recipe.model_copy(update={"mean": given.mean, "std": given.std})
    with _quiet(), threads(graph, recipe.batch), _reproducible(recipe.seed):
        book = runs.Book(folder, report, _header(graph, recipe, head, given))
        network = Classifier(graph, recipe, head, classes, book)
        trainer = _trainer(recipe, device)
        _write_start(folder, graph, recipe, str(trainer.strategy.root_device))
        for message in given.warnings:
            book.event({"event": "warning", "message": message})
        book.event(_begin(graph, recipe, given, folder))
        _run(trainer, network, given, recipe)
        return _finish(network, trainer, given, recipe, time.perf_counter() - start)


def prepare(
    graph: Graph,
    recipe: Recipe,
    device: str = "auto",
    strict: bool = False,
    tick: Callable[[int], None] = lambda number: None,
) -> data.Data:
    """The recipe's data, read and checked for a graph; `tick` hears of every image.

    Raises UsageError where the graph does not fit the data or the device is not there, MissingError where the data
    is not, RunError where it is bad, or a warning is due and `strict`.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there.get(device, True):
        raise UsageError(f"the device '{device}' is not there", "--device auto takes what is")
    if others := [name for name, one in graph.heads.items() if one.kind != "classify"]:
        raise UsageError(
            f"the head '{others[0]}' is of kind {graph.heads[others[0]].kind}; only classify is trained yet"
        )
    _, classes = classify_head(graph)
    if device == "cpu" or not any(there.values()):
        _check_memory(graph, recipe)
    return data.prepare(recipe, *input_size(graph.at()), classes, strict, tick)


def _check_memory(graph: Graph, recipe: Recipe) -> None:
    """Raises RunError where a step would take more than the machine has."""
    kind = "momentum" if recipe.optimizer == "sgd" else "adam"
    live = graph.memory(batch=recipe.batch, optimizer=kind).live
    if live.training_peak > (has := ram()):
        largest = max(graph.cost(batch=recipe.batch).rows, key=lambda row: row.activation_bytes)
        raise RunError(
            f"a step of {recipe.batch} images would take {live.training_peak} bytes at {live.training_peak_at}, this "
            f"machine has {has}; the largest node is {largest.path} with {largest.activation_bytes} bytes",
            "--set recipe.batch=N takes fewer images at a time",
        )


def ram() -> int:
    """Bytes of the machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def rate(schedule: str, step: int, steps: int) -> float:
    """The part of the highest learning rate that step 0 .. steps - 1 uses.

    one_cycle climbs in a straight line from 1/25 over the first 30 % of the steps and falls by a cosine towards 0:
    Smith and Topin 2018, Super-Convergence (arXiv 1708.07120), without the cycle of the momentum.
    """
    if schedule == "constant":
        return 1.0
    climb = 0.3 * steps if schedule == "one_cycle" else 0.0
    if step < climb:
        return 0.04 + 0.96 * step / climb
    return 0.5 * (1 + math.cos(math.pi * (step - climb) / (steps - climb)))


class Classifier(pl.LightningModule):
    """A lowered graph with its loss, optimizer and accuracy."""

    def __init__(self, graph: Graph, recipe: Recipe, head: str, classes: int, book: runs.Book) -> None:
        super().__init__()
        self.net = graph.lower("torch", recipe.seed)
        self.graph, self.recipe, self.head, self.book = graph, recipe, head, book
        self.accuracy = MulticlassAccuracy(num_classes=classes, average="micro")
        self.losses: list[Tensor] = []
        self.validation_losses: list[tuple[Tensor, int]] = []

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        images, classes = batch
        outputs = self.net(images)
        loss = torch.zeros((), device=images.device)
        for name in self.graph.heads:
            weight = 1.0 if name == self.head else AUXILIARY
            loss = loss + weight * cross_entropy(head_scores(outputs, self.graph, name), classes)
        self._must_be_finite(loss, "loss")
        self.losses.append(loss.detach())
        self.book.report({"event": "step", "epoch": self.current_epoch + 1, "step": self.global_step + 1})
        return loss

    def _must_be_finite(self, loss: Tensor, what: str) -> None:
        if not bool(torch.isfinite(loss)):
            message = f"the {what} is {float(loss)} at step {self.global_step + 1}, epoch {self.current_epoch + 1}"
            lower = f"try a lower rate: --set recipe.lr={self.recipe.lr / 10:g}"
            raise RunError(f"{message}, learning rate {self.learning_rate:.3g}", lower)

    @property
    def learning_rate(self) -> float:
        optimizer = self.optimizers()
        return float(optimizer.param_groups[0]["lr"]) if not isinstance(optimizer, list) else 0.0

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        images, classes = batch
        scores = head_scores(self.net(images), self.graph, self.head)
        self.validation_losses.append((cross_entropy(scores, classes, reduction="sum"), len(classes)))
        self.accuracy.update(scores, classes)

    def on_validation_epoch_end(self) -> None:
        total = torch.stack([loss for loss, _ in self.validation_losses]).sum()
        self._must_be_finite(total, "validation loss")
        mean = float(total) / sum(number for _, number in self.validation_losses)
        row = {
            "epoch": self.current_epoch + 1,
            "loss": round(float(torch.stack(self.losses).mean()), 6),
            "validation_loss": round(mean, 6),
            "validation_accuracy": round(float(self.accuracy.compute()), 6),
            "lr": round(self.learning_rate, 9),
        }
        self.accuracy.reset()
        self.losses.clear()
        self.validation_losses.clear()
        self.book.epoch(row, self.net.state_dict())

    def test_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        images, classes = batch
        self.accuracy.update(head_scores(self.net(images), self.graph, self.head), classes)

    def configure_optimizers(self) -> Any:
        recipe = self.recipe
        optimizer = _optimizer(recipe, list(self.net.parameters()))
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = LambdaLR(optimizer, lambda step: rate(recipe.schedule, min(step, steps - 1), steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def _optimizer(recipe: Recipe, parameters: list[torch.nn.Parameter]) -> Optimizer:
    if recipe.optimizer == "sgd":
        return SGD(parameters, recipe.lr, momentum=0.9, weight_decay=recipe.weight_decay)
    kind = Adam if recipe.optimizer == "adam" else AdamW
    return kind(parameters, recipe.lr, weight_decay=recipe.weight_decay)


def _header(graph: Graph, recipe: Recipe, head: str, given: data.Data) -> Callable[[int, float], runs.Header]:
    spec, sizes = resolved_yaml(graph), {k: v for k, v in graph.sizes().items() if k != graph.batch}
    named = graph.heads[head].labels
    labels = list(named if named is not None and len(named) == len(given.labels) else given.labels)

    def header(epoch: int, accuracy: float) -> runs.Header:
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
            validation_accuracy=accuracy,
        )

    return header


def _write_start(folder: Path, graph: Graph, recipe: Recipe, device: str) -> None:
    runs.write(folder / "spec.yaml", resolved_yaml(graph).encode())
    runs.write(folder / "recipe.yaml", recipe.text().encode())
    runs.write(folder / "environment.json", runs.as_json({**runs.environment(device), "spec_hash": graph.hash}))


def _begin(graph: Graph, recipe: Recipe, given: data.Data, folder: Path) -> runs.Event:
    return {
        "event": "begin",
        "spec": graph.name,
        "folder": str(folder),
        "data": recipe.data,
        "training": len(given.training),
        "validation": len(given.validation),
        "test": len(given.test),
        "epochs": recipe.epochs,
        "steps": recipe.epochs * len(data.Order(len(given.training), recipe.batch, recipe.seed)),
        "seed": recipe.seed,
    }


def _trainer(recipe: Recipe, device: str) -> pl.Trainer:
    return pl.Trainer(
        max_epochs=recipe.epochs,
        accelerator=device,
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )


def _run(trainer: pl.Trainer, network: Classifier, given: data.Data, recipe: Recipe) -> None:
    """Fit; Ctrl-C, which the trainer turns into an exit with 1 and then ignores, is raised again as what it was."""
    handler = signal.getsignal(signal.SIGINT)
    training = data.loader(given.training, recipe.batch, recipe.seed, recipe.shift)
    try:
        trainer.fit(network, training, data.loader(given.validation, 256))
    except SystemExit as leaving:
        if trainer.state.status != TrainerStatus.INTERRUPTED or leaving.code != 1:
            raise
        signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from None


def _finish(network: Classifier, trainer: pl.Trainer, given: data.Data, recipe: Recipe, seconds: float) -> Result:
    book = network.book
    network.net.load_state_dict(book.weights)
    trainer.test(network, data.loader(given.test, 256), verbose=False)
    accuracy, number = round(float(network.accuracy.compute()), 6), len(given.test)
    epoch, validated = int(book.best["epoch"]), book.best["validation_accuracy"]
    errors = round((1 - accuracy) * number)
    result = Result(book.folder, epoch, validated, accuracy, errors, number, round(seconds, 2))
    book.event({"event": "end", "epoch": result.epoch, "test_accuracy": accuracy, "test_errors": errors})
    return result


@contextlib.contextmanager
def _reproducible(seed: int) -> Iterator[None]:
    """Random numbers (dropout's) from the seed, and the caller's untouched; cuDNN's repeatable algorithms."""
    with torch.random.fork_rng(), torch.backends.cudnn.flags(benchmark=False, deterministic=True):
        torch.manual_seed(seed)
        yield


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without Lightning's advice: it speaks of workers and loggers, which a run in memory has no use for."""
    logger = logging.getLogger("pytorch_lightning")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
