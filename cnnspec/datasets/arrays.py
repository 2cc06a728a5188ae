"""Arrays of numpy: `images.npy` and `labels.npy`, or such a pair for each part: `train-images.npy`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnspec.datasets.parts import WHOLE, Found, shown
from cnnspec.datasets.rows import SPLITS, mismatch, part
from cnnspec.diagnostics import RunError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NAME = re.compile(r"(?:(?P<split>[a-z]+)[-_])?(?P<what>images|labels)\.npy")


def find(folder: Path) -> Found | None:
    """The arrays of a folder; None where there are none."""
    files: dict[tuple[str, str], Path] = {}
    for path in sorted(folder.glob("*.npy")):
        name = _NAME.fullmatch(path.name)
        split = (SPLITS.get(name["split"]) if name["split"] else WHOLE) if name else None
        if name and split and path.is_file():
            files[split, name["what"]] = path
    if not files:
        return None
    found = Found(str(folder), {})
    for split in dict.fromkeys(split for split, _ in files):
        _pair(found, split, files.get((split, "images")), files.get((split, "labels")))
    if WHOLE in found.parts and len(found.parts) > 1:
        found.faults.append(f"{shown(folder)}: images.npy beside the arrays of parts; which are meant?")
    return found


def _pair(found: Found, split: str, images: Path | None, labels: Path | None) -> None:
    if images is None or labels is None:
        missing = "labels" if labels is None else "images"
        found.faults.append(f"{shown(images or labels)}: the file of its {missing} is missing beside it")
        return
    faults: list[str] = []
    arrays = []
    for path in (images, labels):
        try:
            arrays.append(read(path))
        except RunError as error:
            faults.append(error.message)
    if not faults:
        pixels, given = arrays
        if pixels.dtype != np.uint8:
            faults.append(f"{shown(images)}: holds {pixels.dtype}; pixels are uint8, 0 to 255")
        faults += mismatch(pixels, given, images, labels) or _fractions(given, labels)
        if not faults:
            found.parts[split] = part(pixels, given.astype(np.int64), images, labels)
    found.faults.extend(faults)


def read(path: Path) -> NDArray[Any]:
    """The array of an .npy file, its rows read as they are used. Raises RunError for any other file."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise RunError(f"{shown(path)}: is no whole .npy array: {error}") from None
    if not isinstance(array, np.ndarray):
        array.close()
        raise RunError(f"{shown(path)}: is an archive of arrays; an .npy file holds one")
    return array


def _fractions(labels: NDArray[Any], path: Path) -> list[str]:
    """Labels that are no whole numbers, or an array of a kind that is not for counting."""
    if np.issubdtype(labels.dtype, np.integer):
        return []
    wrong: list[int] = []
    if np.issubdtype(labels.dtype, np.floating):
        wrong = np.flatnonzero(~np.isfinite(labels) | (labels != np.round(labels))).tolist()
    found = [f"{shown(path)}[{row}]: the label {labels[row]:g} is no whole number" for row in wrong]
    return found or [f"{shown(path)}: holds {labels.dtype}; labels are whole numbers of an integer type"]
