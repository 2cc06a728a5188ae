"""The recipe's data for a graph: found, checked, divided, measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cnnspec import datasets
from cnnspec.datasets import classes as naming
from cnnspec.datasets.parts import listed, shown
from cnnspec.diagnostics import RunError, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cnnspec.recipe import Recipe

TOGETHER = 1024
"""Images read at once to measure their mean and deviation."""


@dataclass(frozen=True)
class Data:
    """What a recipe's `data` gives at one size, with the mean and std its images are normalized by, and warnings."""

    labels: tuple[str, ...]
    training: datasets.Part
    validation: datasets.Part
    test: datasets.Part
    mean: list[float]
    std: list[float]
    warnings: list[str]


@dataclass(frozen=True)
class Need:
    """What a graph needs: its input's size, how many classes its heads tell apart, and the kinds of labels."""

    channels: int
    height: int
    width: int
    classes: int
    kinds: frozenset[str]


def prepare(
    recipe: Recipe,
    need: Need,
    strict: bool = False,
    tick: Callable[[int], None] = lambda number: None,
    download: bool = False,
) -> Data:
    """The recipe's data for a graph.

    Raises what `datasets.find`, `must_have`, `named`, `divided` and `load` raise, and RunError for warnings if
    `strict`.
    """
    root = Path(recipe.data_root) if recipe.data_root is not None else None
    found = datasets.find(recipe.data, need.channels, recipe.format, need.kinds, root, download)
    datasets.must_have(found.name, found.parts, need.kinds)  # before their classes are compared: it is the graver fault
    labels = naming.named(found, need.classes or found.classes)  # a box has a class that the network need not learn
    if recipe.mean is not None and len(recipe.mean) != need.channels:
        raise UsageError(f"the recipe's mean has {len(recipe.mean)} numbers, the input {need.channels} channels")
    parts = found.parts if found.faults else datasets.divided(found, recipe.split.model_dump(), recipe.split_seed)
    whole = recipe.augment.crop is not None or recipe.sizes is not None or bool(need.kinds & {"box", "boxes", "masks"})
    wanted = datasets.Wanted(
        need.channels,
        need.height,
        need.width,
        None if whole else recipe.fit,
        max(need.classes, len(labels)),
        recipe.on_bad_sample == "skip",
        need.kinds,
        recipe.on_bad_label == "skip",
    )
    loaded = datasets.load(found.name, parts, wanted, found.faults, tick)
    warnings = [*found.notes, *loaded.warnings]
    if strict and warnings:
        raise RunError(f"warnings about the data {shown(found.name)}\n{listed(warnings)}")
    mean, std = recipe.mean, recipe.std
    if mean is None or std is None:
        mean, std = measure(loaded.parts["train"].images)
    training, validation, test = (loaded.parts[name] for name in ("train", "validation", "test"))
    return Data(labels, training, validation, test, mean, std, warnings)


def measure(images: datasets.Images) -> tuple[list[float], list[float]]:
    """Mean and standard deviation by channel in parts of 255, to six digits."""
    counts: NDArray[np.int64] = np.zeros((1, 256), np.int64)
    kept = isinstance(images.kept, np.ndarray)
    together = TOGETHER if kept else 1
    for start in range(0, len(images), together):
        some = range(start, min(start + together, len(images)))
        flat = images[some] if kept else images.one(start)[None]
        found = np.stack([np.bincount(flat[..., channel].ravel(), minlength=256) for channel in range(flat.shape[3])])
        counts = counts + found
    values, number = np.arange(256) / 255, counts.sum(1)
    mean = counts @ values / number
    std = np.sqrt((counts * (values - mean[:, None]) ** 2).sum(1) / number)
    return [round(x, 6) for x in mean.tolist()], [round(max(x, 1e-6), 6) for x in std.tolist()]
