"""Training data as tensors in memory: read, split, resized and normalized; and the order of the batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad
from torch.utils.data import DataLoader, Dataset, Sampler

from cnnspec import vision
from cnnspec.diagnostics import MissingError, RunError, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cnnspec.recipe import Recipe
    from cnnspec.vision import Pixels

DIGITS = tuple("0123456789")


@dataclass(frozen=True)
class Batch:
    """Which samples come together, and by how many rows and columns each is moved."""

    positions: list[int]
    moves: list[tuple[int, int]] | None = None


@dataclass(frozen=True)
class Part(Dataset[tuple[Tensor, Tensor]]):
    """One part of a split: images float32 [n, c, h, w] and class numbers int64 [n]; `black` is 0 as normalized."""

    images: Tensor
    classes: Tensor
    black: Tensor

    def __len__(self) -> int:
        return len(self.classes)

    def __getitem__(self, batch: Batch) -> tuple[Tensor, Tensor]:
        images = self.images[batch.positions]
        if batch.moves is not None:
            images = moved(images, torch.tensor(batch.moves), self.black)
        return images, self.classes[batch.positions]


def moved(images: Tensor, moves: Tensor, black: Tensor) -> Tensor:
    """Images [n, c, h, w] moved by (rows, columns) of `moves` [n, 2]; what comes in is black [c, 1, 1]."""
    number, channels, height, width = images.shape
    most = int(moves.abs().max())
    wide = pad(images - black, (most, most, most, most)) + black
    rows = torch.arange(height) + most - moves[:, :1]
    columns = torch.arange(width) + most - moves[:, 1:]
    which = torch.arange(number)[:, None, None, None], torch.arange(channels)[:, None, None]
    return wide[*which, rows[:, None, :, None], columns[:, None, None, :]]


@dataclass(frozen=True)
class Data:
    """What a recipe's `data` gives at one size, with the mean and std its images were normalized by."""

    labels: tuple[str, ...]
    training: Part
    validation: Part
    test: Part
    mean: list[float]
    std: list[float]


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


def digits() -> tuple[list[Pixels], NDArray[np.int64]]:
    """scikit-learn's 1,797 handwritten digits as white ink on black [8, 8, 1], and their classes.

    E. Alpaydin, C. Kaynak: Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
    return [image[..., None] for image in images], bunch.target.astype(np.int64)


def split(classes: NDArray[np.int64], parts: tuple[float, ...], seed: int) -> list[NDArray[np.int64]]:
    """Positions for each part in turn and for the rest, with every class in proportion; sorted within each part."""
    chosen: list[list[int]] = [[] for _ in range(len(parts) + 1)]
    for label in np.unique(classes):
        members = np.flatnonzero(classes == label)
        np.random.default_rng((seed, int(label))).shuffle(members)
        ends = np.rint(np.cumsum([0.0, *parts]) * len(members)).astype(int).tolist()
        for part, (start, end) in zip(chosen, zip(ends, [*ends[1:], len(members)], strict=True), strict=True):
            part.extend(members[start:end].tolist())
    return [np.sort(np.asarray(part, dtype=np.int64)) for part in chosen]


def check(recipe: Recipe, channels: int, classes: int) -> None:
    """Raises UsageError where the channels or classes of data and network differ, MissingError without scikit-learn."""
    try:
        import sklearn.datasets  # noqa: F401
    except ModuleNotFoundError:
        raise MissingError(f"the data '{recipe.data}' needs scikit-learn", "pip install 'cnnspec[train]'") from None
    if channels != 1:
        raise UsageError(f"the data '{recipe.data}' has 1 channel, the network's input has {channels}")
    if classes != len(DIGITS):
        raise UsageError(
            f"the data '{recipe.data}' has {len(DIGITS)} classes, the network's head has {classes}",
            f"where the spec has a param for it: --set classes={len(DIGITS)}",
        )
    if recipe.mean is not None and len(recipe.mean) != channels:
        raise UsageError(f"the recipe's mean has {len(recipe.mean)} numbers, the input {channels} channels")


def prepare(recipe: Recipe, channels: int, height: int, width: int, classes: int) -> Data:
    """The recipe's data for an input [N, channels, height, width] and a head of so many classes.

    Raises UsageError as `check` does, RunError where a part of the split is empty.
    """
    check(recipe, channels, classes)
    pixels, target = digits()
    resized = [vision.resize(image, height, width, recipe.fit) for image in pixels]
    test, validation, training = split(target, (recipe.split.test, recipe.split.validation), recipe.split_seed)
    for name, positions in {"validation": validation, "test": test}.items():
        if len(positions) == 0:
            raise RunError(f"the {name} part of the split is empty", f"--set recipe.split.{name}=0.2")
    mean, std = recipe.mean, recipe.std
    if mean is None or std is None:
        mean, std = measure([resized[index] for index in training])

    black = torch.from_numpy(vision.normalize(np.zeros((1, 1, channels), np.uint8), mean, std))
    parts = []
    for positions in (training, validation, test):
        images = np.stack([vision.normalize(resized[index], mean, std) for index in positions])
        parts.append(Part(torch.from_numpy(images), torch.from_numpy(target[positions]), black))
    training_part, validation_part, test_part = parts
    return Data(DIGITS, training_part, validation_part, test_part, mean, std)


def measure(images: list[Pixels]) -> tuple[list[float], list[float]]:
    """Mean and standard deviation by channel in parts of 255, to six digits."""
    values = np.stack(images).reshape(-1, images[0].shape[2]).astype(np.float64) / 255
    return [round(x, 6) for x in values.mean(0).tolist()], [round(max(x, 1e-6), 6) for x in values.std(0).tolist()]
