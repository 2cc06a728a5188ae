"""Boxes in numpy: overlaps, non-max suppression, and how an image's pixels lie in a network's input.

Corners are [n, 4] = x1, y1, x2, y2 with x1 < x2 and y1 < y2; centres are [n, 4] = cx, cy, w, h; both in any one unit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cnnspec.vision import Fit

    Floats = NDArray[np.floating[Any]]
    Integers = NDArray[np.int64]


def to_corners(centres: Floats) -> Floats:
    """Corners of boxes [..., 4] given by centre and size."""
    middle, half = centres[..., :2], centres[..., 2:] / 2
    return np.concatenate([middle - half, middle + half], axis=-1)


def to_centres(corners: Floats) -> Floats:
    """Centre and size of boxes [..., 4] given by corners."""
    first, last = corners[..., :2], corners[..., 2:]
    return np.concatenate([(first + last) / 2, last - first], axis=-1)


def areas(corners: Floats) -> Floats:
    sides: Floats = corners[..., 2:] - corners[..., :2]
    return sides[..., 0] * sides[..., 1]


def iou(left: Floats, right: Floats) -> Floats:
    """Intersection over union [n, m] of corners [n, 4] and [m, 4]; 0 where a union has no area."""
    low = np.maximum(left[:, None, :2], right[None, :, :2])
    high = np.minimum(left[:, None, 2:], right[None, :, 2:])
    sides = np.clip(high - low, 0, None)
    return _part(sides[..., 0] * sides[..., 1], areas(left)[:, None], areas(right)[None])


def shape_iou(left: Floats, right: Floats) -> Floats:
    """Intersection over union [n, m] of sizes [n, 2] and [m, 2] laid on one centre.

    Redmon and Farhadi 2016 (arXiv 1612.08242), section 2: 1 less it is the distance by which anchors are found.
    """
    sides = np.minimum(left[:, None], right[None])
    return _part(sides[..., 0] * sides[..., 1], left.prod(-1)[:, None], right.prod(-1)[None])


def _part(shared: Floats, left: Floats, right: Floats) -> Floats:
    union = left + right - shared
    return np.divide(shared, union, out=np.zeros(union.shape, np.result_type(union, 1.0)), where=union > 0)


def nms(corners: Floats, scores: Floats, classes: Integers, threshold: float) -> Integers:
    """Positions of the boxes that stay, from the highest score on; of equal scores the first comes first.

    A box goes where one of its class with a higher score that stays overlaps it by more than `threshold`. It is what
    torchvision.ops.batched_nms gives of float32.
    """
    order = np.argsort(-scores, kind="stable")
    kept = [order[_survivors(corners[order], classes[order] == one, threshold)] for one in np.unique(classes)]
    places = np.sort(np.argsort(order, kind="stable")[np.concatenate(kept)]) if kept else np.zeros(0, np.int64)
    return order[places]


def _survivors(corners: Floats, chosen: NDArray[np.bool_], threshold: float) -> Integers:
    """Positions of those of the chosen boxes, in falling order of scores, that no earlier one covers."""
    left = np.flatnonzero(chosen)
    kept = []
    while len(left):
        first, left = left[0], left[1:]
        kept.append(first)
        left = left[iou(corners[first : first + 1], corners[left])[0] <= threshold]
    return np.asarray(kept, np.int64)


@dataclass(frozen=True)
class Placing:
    """Where an image lies in an input: x of the input is x of the image * scale[0] + offset[0], likewise y."""

    scale: tuple[float, float]
    offset: tuple[float, float]
    image: tuple[int, int]
    """Width and height."""

    def into(self, corners: Floats) -> Floats:
        """Corners in pixels of the image, as pixels of the input."""
        moved: Floats = corners * np.tile(self.scale, 2) + np.tile(self.offset, 2)
        return moved

    def back(self, corners: Floats) -> Floats:
        """Corners in pixels of the input, as pixels of the image, cut off at its edges."""
        moved = (corners - np.tile(self.offset, 2)) / np.tile(self.scale, 2)
        inside: Floats = np.clip(moved, 0, np.tile(self.image, 2))
        return inside


def placed(image: tuple[int, int], height: int, width: int, fit: Fit, margin: float = 0.875) -> Placing:
    """Where an image of width and height lies in an input after `cnnspec.vision.resize` with the same arguments."""
    columns, rows = image
    if fit == "letterbox":
        left, top, new_width, new_height = letterbox(image, height, width)
        return Placing((new_width / columns, new_height / rows), (left, top), image)
    if fit == "stretch":
        return Placing((width / columns, height / rows), (0.0, 0.0), image)
    scale = 1 / (margin * min(rows / height, columns / width))
    return Placing((scale, scale), ((width - scale * columns) / 2, (height - scale * rows) / 2), image)


def letterbox(image: tuple[int, int], height: int, width: int) -> tuple[int, int, int, int]:
    """Left, top, width and height in an input of an image that keeps its proportions and lies in the middle."""
    columns, rows = image
    scale = min(width / columns, height / rows)
    inner = max(1, min(width, round(columns * scale))), max(1, min(height, round(rows * scale)))
    return (width - inner[0]) // 2, (height - inner[1]) // 2, *inner
