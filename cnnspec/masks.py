"""Masks in numpy: weights of classes, sizes that a network takes, and scores brought to an image's size."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cnnspec.diagnostics import RunError
from cnnspec.tensor import Dim, Size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]


def class_weights(masks: Iterable[NDArray[np.uint8]], classes: int, kind: Literal["inverse", "median"]) -> list[float]:
    """What the pixels of each class weigh in a loss, by how rare it is in masks [h, w].

    inverse  pixels of all classes / (classes * pixels of the class), so that every class weighs the same in all
    median   the median of the classes' frequencies / the class's frequency, which is its part of the pixels of the
             images that have it: Eigen and Fergus 2015 (arXiv 1411.4734), section 6.3.2

    A class that does not occur weighs 1. Raises RunError where no pixel counts.
    """
    pixels, there = np.zeros(classes, np.int64), np.zeros(classes, np.int64)
    for mask in masks:
        count = np.bincount(mask[mask < classes], minlength=classes)[:classes]
        pixels += count
        there += np.where(count > 0, count.sum(), 0)
    seen = pixels > 0
    if not seen.any():
        raise RunError("no pixel of the training masks counts: there are no weights of classes")
    weights = np.ones(classes)
    if kind == "inverse":
        weights[seen] = pixels.sum() / (classes * pixels[seen])
    else:
        frequency = pixels[seen] / there[seen]
        weights[seen] = np.median(frequency) / frequency
    return [float(weight) for weight in weights]


def legal(size: Size, pixels: int, bounds: Mapping[str, int]) -> int:
    """The smallest value that a free size of an input takes and that holds so many pixels; a fixed size itself."""
    if not isinstance(size, Dim):
        return size
    turns = -(-(pixels - size.offset) // size.factor)
    return size.factor * max(turns, bounds.get(size.symbol, 1)) + size.offset


def resized(scores: Floats, height: int, width: int) -> Floats:
    """Scores [c, h, w] at another size, bilinear between the centres of pixels, without smoothing.

    It is torch's interpolate with mode='bilinear', align_corners=False.
    """
    for axis, size in ((1, height), (2, width)):
        if (old := scores.shape[axis]) == size:
            continue
        place = np.clip((np.arange(size) + 0.5) * (old / size) - 0.5, 0, old - 1)
        low = np.floor(place).astype(np.int64)
        part = (place - low).astype(scores.dtype).reshape(-1, *(1,) * (2 - axis))
        below, above = scores.take(low, axis), scores.take(np.minimum(low + 1, old - 1), axis)
        scores = below + (above - below) * part
    return scores
