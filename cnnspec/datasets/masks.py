"""Folders of images and masks: `images/` and `masks/`, each flat or with `train`, `val` and `test`, or in each of
these; and how a mask is read: one number a pixel, the index of its class (of a palette, where it has one), 255 for
void.

`classes.txt` names the classes, a line each; a line `void` (or ignore, unlabeled) is no class, its index is void.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, UnidentifiedImageError

from cnnspec import limits, vision
from cnnspec.datasets import files
from cnnspec.datasets.parts import VOID, Found, Raw, shown
from cnnspec.diagnostics import MissingError, RunError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnnspec.vision import Pixels

NAMES = "classes.txt"
MASKS = (".png", ".bmp")
_VOIDS = ("void", "ignore", "ignored", "unlabeled", "unlabelled")


def find(folder: Path) -> Found | None:
    """The images and masks of a folder; None where it has no folders `images` with `masks` beside them."""
    pairs = files.pairs(folder, "masks")
    if not pairs:
        return None
    found = Found(str(folder), {})
    labels, table, beyond = None, None, VOID
    if (path := folder / NAMES).is_file():
        labels, table = classes(path, found.faults)
        beyond = VOID if table is not None else len(labels)
    for part, images, masks in pairs:
        if part in found.parts:
            found.faults.append(f"{shown(images)}: another folder beside it is the {part} part too")
            continue
        found.parts[part] = _part(found, images, masks, table, beyond)
    return Found(found.name, found.parts, labels, found.faults, found.notes)


def classes(path: Path, faults: list[str]) -> tuple[tuple[str, ...], Pixels | None]:
    """The names of classes, and where one of them is void the class of each value of a mask."""
    try:
        names = [name for _, name in files.lines(path, limits.FILE_BYTES)]
    except RunError as error:
        faults.append(error.message)
        return (), None
    for number, name in enumerate(names):
        if name in names[:number]:
            faults.append(f"{shown(path)}: the class '{shown(name)}' stands twice")
    known = [name for name in names if name.lower() not in _VOIDS]
    if not 0 < len(known) < VOID:
        faults.append(f"{shown(path)}: {len(known)} classes; masks tell 1 to {VOID - 1} apart")
    if len(known) == len(names):
        return tuple(known), None
    table = np.arange(256, dtype=np.uint8)  # a value beyond the names stays out of range
    for value, name in enumerate(names[:VOID]):
        table[value] = VOID if name.lower() in _VOIDS else known.index(name)
    return tuple(known), table


def _part(found: Found, images: Path, masks: Path, table: Pixels | None, beyond: int) -> Raw:
    pictures, drawn = files.images(images), files.of_kind(masks, MASKS)
    found.faults.extend(
        f"{shown(path)}: no mask in {shown(masks)}" for name, path in pictures.items() if name not in drawn
    )
    found.faults.extend(
        f"{shown(path)}: no image in {shown(images)}" for name, path in drawn.items() if name not in pictures
    )
    if not pictures:
        found.faults.append(f"{shown(images)}: no images in it")
    both = [name for name in pictures if name in drawn]
    return raw([pictures[name] for name in both], [drawn[name] for name in both], table, beyond)


def raw(images: Sequence[Path], masks: Sequence[Path], table: Pixels | None = None, void: int = VOID) -> Raw:
    """Images with masks, whose values are looked up in `table` where there is one."""

    def mask(position: int) -> Pixels:
        values = read(masks[position])
        return values if table is None else table[values]

    return Raw(
        len(images),
        lambda i, channels: vision.load(images[i], channels),
        lambda i: shown(images[i]),
        lambda i: shown(masks[i]),
        masks=mask,
        void=void,
    )


def read(path: Path) -> Pixels:
    """The values of a mask, uint8 [h, w]: grey as it is, the index of a palette, never a colour.

    Raises MissingError where it is not there, RunError for other images and values above 255.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the cap below is an error, Pillow's own a warning first
            with Image.open(path, formats=("PNG", "BMP")) as image:
                if image.width * image.height > vision.PIXELS:
                    raise RunError(f"{path}: {image.width * image.height} pixels, the limit is {vision.PIXELS}")
                mode, values = image.mode, np.asarray(image)
    except FileNotFoundError:
        raise MissingError(f"cannot read {path}: No such file or directory") from None
    except UnidentifiedImageError:
        raise RunError(f"{path}: no mask in a known format (PNG, BMP)") from None
    except Image.DecompressionBombError:
        raise RunError(f"{path}: too many pixels, the limit is {vision.PIXELS}") from None
    except (OSError, SyntaxError, ValueError, EOFError, IndexError) as error:  # what Pillow's decoders raise
        raise RunError(f"{path}: the mask cannot be decoded: {error}") from None
    if values.ndim != 2:
        raise RunError(f"{path}: a mask of mode {mode}; one number a pixel is read, its class")
    if values.dtype != np.uint8 and values.dtype != np.bool_ and values.size and values.max() > VOID:
        raise RunError(f"{path}: the mask holds {values.max()}; classes are 0 to {VOID - 1}, and {VOID} is void")
    return values.astype(np.uint8)
