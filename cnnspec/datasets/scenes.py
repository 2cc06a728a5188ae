"""Built-in data with boxes and masks: scikit-learn's handwritten digits on pieces of its two photographs.

digits-located   one digit an image: its class and its box; 64 x 64
digits-scenes    two to eight digits an image, scattered with little overlap: a box for each; 128 x 128
digits-masks     such scenes, smaller, with a mask: background 0, digit d is d + 1, the soft edge of ink void; 96 x 96

Training, validation and test share neither a digit nor a pixel of a photograph. Everything about image i of a part
comes from (seed, part, i).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from cnnspec.datasets.digits import LABELS, digits
from cnnspec.datasets.parts import VOID, Boxes, Found, Raw, boxes_of
from cnnspec.datasets.splitting import PARTS, split
from cnnspec.diagnostics import MissingError, UsageError

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from cnnspec.vision import Floats, Pixels

BACKGROUND = "background"
OVERLAP = 0.05
"""The largest part of a digit's box that another's may cover."""

STRIPS = {"train": (0, 352), "validation": (352, 496), "test": (496, 640)}
"""Columns of the photographs, 427 x 640, that a part's backgrounds are cut from."""


@dataclass(frozen=True)
class Kind:
    """One of the data sets: height and width of its images, the least and most digits in one, their heights in parts
    of the image's, and how many images each part has."""

    size: int
    digits: tuple[int, int]
    heights: tuple[float, float]
    number: dict[str, int]


KINDS = {
    "digits-located": Kind(64, (1, 1), (0.28, 0.6), {"train": 2000, "validation": 300, "test": 300}),
    "digits-scenes": Kind(128, (2, 8), (0.16, 0.36), {"train": 1000, "validation": 150, "test": 150}),
    "digits-masks": Kind(96, (2, 6), (0.24, 0.42), {"train": 800, "validation": 150, "test": 150}),
}


@dataclass(frozen=True)
class Scene:
    """An image uint8 [size, size, 3] with its digits' boxes and its mask uint8 [size, size]."""

    image: Pixels
    boxes: Boxes
    mask: Pixels


def find(name: str, channels: int, seed: int = 0) -> Found:
    """The data of a name in `KINDS`. Raises MissingError without scikit-learn, UsageError for channels that images do
    not have."""
    if channels not in (1, 3):
        raise UsageError(f"the data '{name}' has 1 or 3 channels, the network's input has {channels}")
    try:
        parts = {part: scenes(name, part, seed) for part in PARTS}
    except ModuleNotFoundError:
        raise MissingError(f"the data '{name}' needs scikit-learn", "pip install 'cnnspec[train]'") from None
    labels = (BACKGROUND, *LABELS) if name == "digits-masks" else LABELS
    return Found(name, {part: _raw(name, part, made) for part, made in parts.items()}, labels)


def _raw(name: str, part: str, made: list[Scene]) -> Raw:
    def load(position: int, channels: int) -> Pixels:
        image = made[position].image
        return image if channels == 3 else np.asarray(Image.fromarray(image).convert("L"))[..., None]

    def place(position: int) -> str:
        return f"{name}/{part}[{position}]"

    boxes = [one.boxes for one in made]
    if name == "digits-masks":
        return Raw(len(made), load, place, place, masks=lambda i: made[i].mask)
    classes = np.asarray([one.classes[0] for one in boxes]) if name == "digits-located" else None
    return Raw(len(made), load, place, place, classes, boxes)


@cache
def scenes(name: str, part: str, seed: int = 0) -> list[Scene]:
    """The images of a part. Raises ModuleNotFoundError without scikit-learn."""
    kind, (pens, classes), photos = KINDS[name], _digits(), _photos()
    chosen = dict(zip(("validation", "test", "train"), split(classes, (0.2, 0.2), 0), strict=True))[part]
    left, right = STRIPS[part]
    grounds = [photo[:, left:right] for photo in photos]
    made = []
    for number in range(kind.number[part]):
        random = np.random.default_rng((seed, list(KINDS).index(name), PARTS.index(part), number))
        count = int(random.integers(kind.digits[0], kind.digits[1], endpoint=True))
        # one an image: every digit in turn; else drawn
        which = random.choice(chosen, count) if count > 1 else [chosen[number % len(chosen)]]
        made.append(_scene(kind, random, grounds, [(pens[i], int(classes[i])) for i in which]))
    return made


@cache
def _digits() -> tuple[list[Image.Image], NDArray[np.int64]]:
    """The digits with a margin to turn in, 12 x 12, and their classes."""
    images, classes = digits()
    return [Image.fromarray(np.pad(image[..., 0], 2)) for image in images], classes


@cache
def _photos() -> tuple[Pixels, ...]:
    """scikit-learn's two photographs, uint8 [427, 640, 3]."""
    from sklearn.datasets import load_sample_images

    return tuple(load_sample_images().images)


def _scene(kind: Kind, random: Generator, grounds: list[Pixels], pens: list[tuple[Image.Image, int]]) -> Scene:
    image = _ground(kind.size, random, grounds)
    mask = np.zeros((kind.size, kind.size), np.uint8)
    classes: list[int] = []
    corners: list[tuple[int, int, int, int]] = []
    for pen, label in pens:
        ink = _ink(pen, kind, random)
        height, width = ink.shape
        for _ in range(20):  # where there is no room, the image has one digit less
            x, y = (int(random.integers(0, kind.size - side, endpoint=True)) for side in (width, height))
            if all(_covered((x, y, x + width, y + height), other) <= OVERLAP for other in corners):
                _write(image, mask, ink, x, y, label, random)
                classes.append(label)
                corners.append((x, y, x + width, y + height))
                break
    return Scene(np.rint(image).astype(np.uint8), boxes_of(classes, corners), mask)


def _ground(size: int, random: Generator, grounds: list[Pixels]) -> Floats:
    """A square piece of a photograph, of 72 to 144 pixels, brought to size; half of them mirrored."""
    ground = grounds[int(random.integers(len(grounds)))]
    side = int(random.integers(72, 144, endpoint=True))
    y, x = (int(random.integers(0, ground.shape[axis] - side, endpoint=True)) for axis in (0, 1))
    piece = ground[y : y + side, x : x + side]
    piece = piece[:, ::-1] if random.random() < 0.5 else piece
    small = Image.fromarray(np.ascontiguousarray(piece)).resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(small).astype(np.float32)


def _ink(pen: Image.Image, kind: Kind, random: Generator) -> Floats:
    """A digit at a new size and slant, from 0 to 1 [h, w], cut to what can be seen of it."""
    height = float(random.uniform(*kind.heights)) * kind.size
    large = pen.resize((round(1.5 * height),) * 2, Image.Resampling.BICUBIC)
    turned = large.rotate(float(random.uniform(-12, 12)), Image.Resampling.BICUBIC)
    ink: Floats = np.minimum(np.asarray(turned).astype(np.float32) / np.float32(200), np.float32(1))
    rows, columns = (np.flatnonzero((ink >= 0.5).any(axis)) for axis in (1, 0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _covered(ours: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> float:
    """The part of the smaller of two boxes that the other covers."""
    width, height = (min(ours[axis + 2], other[axis + 2]) - max(ours[axis], other[axis]) for axis in (0, 1))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (ours, other)]
    return max(0, width) * max(0, height) / min(areas)


def _write(image: Floats, mask: Pixels, ink: Floats, x: int, y: int, label: int, random: Generator) -> None:
    """Writes a digit in a colour that is lighter or darker than what it covers, by 90 to 150 of 255."""
    height, width = ink.shape
    spot, under = image[y : y + height, x : x + width], mask[y : y + height, x : x + width]
    luma = np.array([0.299, 0.587, 0.114], np.float32)
    below = float((spot @ luma)[ink >= 0.5].mean())
    contrast = float(random.uniform(90, 150))
    lighter = below + contrast <= 255 if below < 128 else below - contrast < 0
    tint = random.uniform(-70, 70, 3).astype(np.float32)
    colour = np.clip(below + (contrast if lighter else -contrast) + tint - tint @ luma, 0, 255)
    spot += ink[..., None] * (colour - spot)
    under[ink >= 0.15] = VOID
    under[ink >= 0.5] = label + 1
