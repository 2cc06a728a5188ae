"""Training data: parts of uint8 images, normalized batch by batch; and the order of the batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from cnnspec import datasets, vision
from cnnspec.datasets import classes as naming
from cnnspec.datasets.digits import digits as digits
from cnnspec.datasets.parts import listed, shown
from cnnspec.datasets.splitting import split as split
from cnnspec.diagnostics import RunError, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cnnspec.recipe import Recipe
    from cnnspec.vision import Pixels

TOGETHER = 1024
"""Images read at once to measure their mean and deviation."""


@dataclass(frozen=True)
class Batch:
    """Which samples come together, and by how many rows and columns each is moved."""

    positions: list[int]
    moves: list[tuple[int, int]] | None = None


@dataclass(frozen=True)
class Part(Dataset[tuple[Tensor, Tensor]]):
    """One part of a split: a batch of it is images float32 [n, c, h, w] and class numbers int64 [n]."""

    samples: datasets.Part
    mean: list[float]
    std: list[float]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, batch: Batch) -> tuple[Tensor, Tensor]:
        images = self.samples.images[batch.positions]
        if batch.moves is not None:
            images = moved(images, np.asarray(batch.moves))
        assert self.samples.classes is not None  # asked for by `Wanted.kinds`
        classes = torch.from_numpy(self.samples.classes[batch.positions])
        return torch.from_numpy(vision.normalize(images, self.mean, self.std)), classes


def moved(images: Pixels, moves: NDArray[np.int64]) -> Pixels:
    """Images [n, h, w, c] moved by (rows, columns) of `moves` [n, 2]; what comes in is black."""
    number, height, width, _ = images.shape
    most = int(np.abs(moves).max())
    wide = np.pad(images, ((0, 0), (most, most), (most, most), (0, 0)))
    rows = np.arange(height) + most - moves[:, :1]
    columns = np.arange(width) + most - moves[:, 1:]
    moved: Pixels = wide[np.arange(number)[:, None, None], rows[:, :, None], columns[:, None, :]]
    return moved


@dataclass(frozen=True)
class Data:
    """What a recipe's `data` gives at one size, with the mean and std its images are normalized by, and warnings."""

    labels: tuple[str, ...]
    training: Part
    validation: Part
    test: Part
    mean: list[float]
    std: list[float]
    warnings: list[str]


class Order(Sampler[Batch]):
    """Batches of positions. With a seed they are shuffled, and each sample moved by up to `shift` pixels each way,
    anew in every epoch: both come from (seed, epoch, position) alone."""

    def __init__(self, number: int, batch: int, seed: int | None = None, shift: int = 0) -> None:
        self.number, self.batch, self.seed, self.shift, self.epoch = number, batch, seed, shift, 0

    def set_epoch(self, epoch: int) -> None:
        """Called by the trainer before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-self.number // self.batch) - self._drops

    def __iter__(self) -> Iterator[Batch]:
        order, moves = np.arange(self.number), None
        if self.seed is not None:
            random = np.random.default_rng((self.seed, self.epoch))
            moves = random.integers(-self.shift, self.shift, (self.number, 2), endpoint=True) if self.shift else None
            random.shuffle(order)
        for start in range(0, len(self) * self.batch, self.batch):
            positions = order[start : start + self.batch]
            yield Batch(positions.tolist(), None if moves is None else moves[positions].tolist())

    @property
    def _drops(self) -> bool:
        """A last batch of one sample is left out in training: batch normalization cannot learn from it."""
        return self.seed is not None and self.batch > 1 and self.number > self.batch and self.number % self.batch == 1


def loader(part: Part, batch: int, seed: int | None = None, shift: int = 0) -> DataLoader[tuple[Tensor, Tensor]]:
    """Batches of a part; shuffled by epoch, and moved by up to `shift` pixels, where a seed is given."""
    return DataLoader(part, sampler=Order(len(part), batch, seed, shift), batch_size=None)


def prepare(
    recipe: Recipe,
    channels: int,
    height: int,
    width: int,
    classes: int,
    strict: bool = False,
    tick: Callable[[int], None] = lambda number: None,
) -> Data:
    """The recipe's data for an input [N, channels, height, width] and a head of so many classes.

    Raises what `datasets.find`, `named`, `divided` and `load` raise, and RunError for warnings if `strict`.
    """
    found = datasets.find(recipe.data, channels)
    labels = naming.named(found, classes)
    if recipe.mean is not None and len(recipe.mean) != channels:
        raise UsageError(f"the recipe's mean has {len(recipe.mean)} numbers, the input {channels} channels")
    parts = found.parts if found.faults else datasets.divided(found, recipe.split.model_dump(), recipe.split_seed)
    wanted = datasets.Wanted(
        channels, height, width, recipe.fit, max(classes, len(labels)), recipe.on_bad_sample == "skip"
    )
    loaded = datasets.load(found.name, parts, wanted, found.faults, tick)
    warnings = [*found.notes, *loaded.warnings]
    if strict and warnings:
        raise RunError(f"warnings about the data {shown(found.name)}\n{listed(warnings)}")
    mean, std = recipe.mean, recipe.std
    if mean is None or std is None:
        mean, std = measure(loaded.parts["train"].images)
    training, validation, test = (Part(loaded.parts[name], mean, std) for name in ("train", "validation", "test"))
    return Data(labels, training, validation, test, mean, std, warnings)


def measure(images: datasets.Images) -> tuple[list[float], list[float]]:
    """Mean and standard deviation by channel in parts of 255, to six digits."""
    counts: NDArray[np.int64] = np.zeros((1, 256), np.int64)
    for start in range(0, len(images), TOGETHER):
        flat = images[range(start, min(start + TOGETHER, len(images)))]
        found = np.stack([np.bincount(flat[..., channel].ravel(), minlength=256) for channel in range(flat.shape[3])])
        counts = counts + found
    values, number = np.arange(256) / 255, counts.sum(1)
    mean = counts @ values / number
    std = np.sqrt((counts * (values - mean[:, None]) ** 2).sum(1) / number)
    return [round(x, 6) for x in mean.tolist()], [round(max(x, 1e-6), 6) for x in std.tolist()]
