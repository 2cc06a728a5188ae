"""From image files to ranked classes, whatever backend runs the network between."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cnnspec import vision
from cnnspec.diagnostics import MissingError, RunError, UsageError
from cnnspec.published import Fit, Interpolation, Order, Preprocess

if TYPE_CHECKING:
    from cnnspec.evaluating import Classifier
    from cnnspec.vision import Floats, Pixels

_ID = re.compile(r"(n[0-9]{8}) (.+)")
"""ImageNet's labels begin with the WordNet id: `n03877845 palace`."""


@dataclass(frozen=True)
class Guess:
    """One class of a prediction; probability from 0 to 1. `id` is ImageNet's, where the labels have it."""

    number: int
    label: str
    probability: float
    id: str | None = None


@dataclass(frozen=True)
class Prediction:
    """What one image gave; `seconds` is the network's time alone, an equal part of its batch's."""

    image: str
    size: tuple[int, int]
    input: tuple[int, ...]
    output: tuple[int, ...]
    seconds: float
    top: list[Guess]


@dataclass(frozen=True)
class Preparation:
    """How an image becomes an input of a known size; see `cnnspec.published.Preprocess`.

    `resize` is the shorter side before the centre is cut out, for `fit: crop`.
    """

    channels: int
    height: int
    width: int
    fit: Fit
    mean: list[float]
    std: list[float]
    resize: int | None = None
    interpolation: Interpolation = "bilinear"
    antialias: bool = True
    order: Order = "rgb"
    range: int = 1

    @classmethod
    def of(cls, how: Preprocess, channels: int, height: int, width: int) -> Preparation:
        """For a network's input. Raises UsageError where mean and std are not of as many channels.

        At another size than `how` crops, the shorter side before grows in proportion.
        """
        mean, std = how.mean or [0.0] * channels, how.std or [1.0] * channels
        if not len(mean) == len(std) == channels:
            raise UsageError(f"mean and std hold {len(mean)} and {len(std)} numbers, the input has {channels} channels")
        fit, resize, side = how.fit or "stretch", how.resize, min(height, width)
        if resize is not None:
            fit, resize = "crop", max(side, round(resize * side / (how.crop or side)))
        rest = (how.interpolation, how.antialias, how.order, how.range)
        return cls(channels, height, width, fit, mean, std, resize, *rest)

    def pixels(self, image: Pixels) -> Pixels:
        """uint8 [height, width, channels] of one image as loaded."""
        how, side = vision.Sampling(self.interpolation, self.antialias), min(self.height, self.width)
        if self.resize is not None and self.height == self.width:
            return vision.crop_of(image, self.resize, side, how)
        margin = side / self.resize if self.resize is not None else vision.MARGIN
        return vision.resize(image, self.height, self.width, self.fit, margin, how)

    def normalize(self, pixels: Pixels) -> Floats:
        """float32 [..., channels, height, width] of pixels [..., height, width, channels]."""
        return vision.normalize(pixels, self.mean, self.std, self.order, self.range)

    def batch(self, image: Pixels) -> Floats:
        """[1, C, H, W] of one image as loaded."""
        return self.normalize(self.pixels(image))[None]


SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".ppm", ".pgm")


def image_files(given: Sequence[str]) -> list[str]:
    """Files, the images of folders by name, and those that globs find. Raises MissingError where one gives none."""
    found: list[str] = []
    for text in given:
        path = Path(text)
        if path.is_dir():
            some = [one for one in path.iterdir() if one.suffix.lower() in SUFFIXES]
            nothing = f"the folder {text} holds no images ({', '.join(SUFFIXES)})"
        elif re.search(r"[*?\[]", text) and not path.exists():
            root = Path(path.anchor)
            some, nothing = list(root.glob(str(path.relative_to(root)))), f"there is no file {text}"
        else:
            found.append(text)
            continue
        files = sorted(str(one) for one in some if one.is_file())
        if not files:
            raise MissingError(nothing)
        found += files
    return found


@dataclass(frozen=True)
class Unread:
    """An image file that is not there or cannot be read, and why; the others are answered all the same."""

    image: str
    error: MissingError | RunError


def read(path: str, channels: int) -> Pixels | Unread:
    """The image of a file, as `vision.load` gives it, or what that raises."""
    try:
        return vision.load(path, channels)
    except (MissingError, RunError) as error:
        return Unread(path, error)


@dataclass(frozen=True)
class Picture:
    """An image file, its size as width and height, and its pixels as the network wants them, [height, width, c]."""

    path: str
    size: tuple[int, int]
    pixels: Pixels


def pictures(paths: Sequence[str], how: Preparation, batch: int) -> Iterator[list[Picture | Unread]]:
    """Images of files in turn, `batch` at a time."""
    for start in range(0, len(paths), batch):
        yield [_picture(path, how) for path in paths[start : start + batch]]


def _picture(path: str, how: Preparation) -> Picture | Unread:
    image = read(path, how.channels)
    if isinstance(image, Unread):
        return image
    return Picture(path, (image.shape[1], image.shape[0]), how.pixels(image))


def likeliest(network: Classifier, path: str, k: int) -> Prediction:
    """The k likeliest classes of an image file. Raises MissingError and RunError as `vision.load` and `classify` do."""
    one = next(classify(network, [path], k))
    if isinstance(one, Unread):
        raise one.error
    return one


def classify(network: Classifier, paths: Sequence[str], k: int, batch: int = 1) -> Iterator[Prediction | Unread]:
    """The k likeliest classes of each image file, in turn. Raises RunError for scores that are not finite."""
    how, labels = network.preparation, network.labels
    shape = (1, how.channels, how.height, how.width)
    for some in pictures(paths, how, batch):
        there = [one.pixels for one in some if isinstance(one, Picture)]
        start = time.perf_counter()
        scores = iter(network.scores(np.stack(there))) if there else iter(())
        seconds = (time.perf_counter() - start) / max(1, len(there))
        for one in some:
            if isinstance(one, Unread):
                yield one
                continue
            row = next(scores)
            if not np.isfinite(row).all():
                raise RunError(f"{one.path}: the network gives scores that are not finite: its weights are broken")
            top = [_guess(n, labels[n], p) for n, p in vision.top_k(vision.softmax(row), k)]
            yield Prediction(one.path, one.size, shape, (1, *row.shape), seconds, top)


def _guess(number: int, label: str, probability: float) -> Guess:
    found = _ID.fullmatch(label)
    return Guess(number, found[2] if found else label, probability, found[1] if found else None)
