"""From an image file to ranked classes, whatever backend runs the network between."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cnnspec import vision
from cnnspec.diagnostics import RunError

if TYPE_CHECKING:
    from cnnspec.vision import Floats, Pixels


@dataclass(frozen=True)
class Guess:
    """One class of a prediction; probability from 0 to 1."""

    number: int
    label: str
    probability: float


@dataclass(frozen=True)
class Prediction:
    """What one image gave; `seconds` is the network's time alone."""

    image: str
    size: tuple[int, int]
    input: tuple[int, ...]
    output: tuple[int, ...]
    seconds: float
    top: list[Guess]


@dataclass(frozen=True)
class Preparation:
    """How an image becomes an input."""

    channels: int
    height: int
    width: int
    fit: vision.Fit
    mean: list[float]
    std: list[float]

    def pixels(self, image: Pixels) -> Pixels:
        return vision.resize(image, self.height, self.width, self.fit)

    def batch(self, image: Pixels) -> Floats:
        """[1, C, H, W] of one image as loaded."""
        return vision.normalize(self.pixels(image), self.mean, self.std)[None]


def rank(
    path: str, k: int, how: Preparation, labels: tuple[str, ...], scores: Callable[[Pixels], tuple[Floats, float]]
) -> Prediction:
    """The k likeliest classes of an image file; `scores` gives [1, classes], larger for likelier ones, and seconds.

    Raises MissingError and RunError as `vision.load` does, and RunError for scores that are not finite.
    """
    image = vision.load(path, how.channels)
    found, seconds = scores(image)
    if not np.isfinite(found).all():
        raise RunError(f"{path}: the network gives scores that are not finite: its weights are broken")
    ranked = vision.top_k(vision.softmax(found[0]), k)
    top = [Guess(number, labels[number], probability) for number, probability in ranked]
    shape = (1, how.channels, how.height, how.width)
    return Prediction(path, (image.shape[1], image.shape[0]), shape, tuple(found.shape), seconds, top)


def timed(run: Callable[[], Floats]) -> tuple[Floats, float]:
    """What a call gives, and its seconds."""
    start = time.perf_counter()
    found = run()
    return found, time.perf_counter() - start
