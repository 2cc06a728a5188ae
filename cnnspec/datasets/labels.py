"""Boxes and masks against their image: what is wrong with each, and what is left where the wrong is left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cnnspec.datasets.parts import VOID, Boxes, Raw
from cnnspec.diagnostics import RunError

if TYPE_CHECKING:
    from cnnspec.vision import Pixels

ROUNDING = 0.5
"""Pixels by which a box may leave its image, as rounded numbers do; it is cut there."""


def boxes(raw: Raw, position: int, height: int, width: int, classes: int) -> tuple[Boxes, list[str]]:
    """The good boxes of an image of that size, in pixels and inside it, and what is wrong with the others."""
    assert raw.boxes is not None
    given = raw.boxes[position]
    corners = given.corners.astype(np.float64)
    if raw.relative:
        corners = corners * (width, height, width, height)
    faults, good = [], np.ones(len(given), np.bool_)
    for box, (corner, label) in enumerate(zip(corners.tolist(), given.classes.tolist(), strict=True)):
        if wrong := _wrong(corner, label, height, width, classes):
            good[box] = False
            place = raw.box_place(position, box) if raw.box_place else f"{raw.label_place(position)}: box {box}"
            faults.append(f"{place} {wrong}")
    inside = np.clip(corners, 0, (width, height, width, height)).astype(np.float32)
    return Boxes(given.classes, inside, given.difficult).take(good), faults


def _wrong(corners: list[float], label: int, height: int, width: int, classes: int) -> str | None:
    left, top, right, bottom = corners
    if not np.isfinite(corners).all():
        return "is not finite"
    if right <= left or bottom <= top:
        return f"is {right - left:g} wide and {bottom - top:g} high; both must be more than 0"
    beside = min(right, bottom) <= 0 or left >= width or top >= height
    if beside or min(left, top) < -ROUNDING or right > width + ROUNDING or bottom > height + ROUNDING:
        return f"leaves the image, which is {width} wide and {height} high"
    if not 0 <= label < classes:
        return f"is of a class out of range, allowed are 0 to {classes - 1}"
    return None


def mask(raw: Raw, position: int, height: int, width: int, classes: int) -> tuple[Pixels, str | None, bool]:
    """The mask of an image of that size with `VOID` where its value is no class, what is wrong with such values, and
    whether `raw.void` was among them, which is not wrong.

    Raises RunError where it is of another size, and what `raw.masks` raises.
    """
    assert raw.masks is not None
    given = raw.masks(position)
    if given.shape != (height, width):
        size = " x ".join(map(str, given.shape[::-1]))
        raise RunError(f"{raw.label_place(position)}: the mask is {size}, its image {width} x {height}")
    counts = np.bincount(given.ravel(), minlength=256)
    voided = raw.void != VOID and bool(counts[raw.void])
    if voided:
        given, counts[raw.void] = np.where(given == raw.void, np.uint8(VOID), given), 0
    if not counts[classes:VOID].any():
        return given, None, voided
    values = (np.flatnonzero(counts[classes:VOID]) + classes).tolist()
    some = ", ".join(map(str, values[:5])) + (f" and {len(values) - 5} more" if len(values) > 5 else "")
    number = int(counts[classes:VOID].sum())
    fault = (
        f"{raw.label_place(position)}: {number} pixels of the mask are {some}; allowed are 0 to {classes - 1} and 255"
    )
    return np.where(given < classes, given, np.uint8(VOID)), fault, voided
