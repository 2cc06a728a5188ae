"""Images and labels as rows of arrays: what IDX and .npy files share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from cnnspec.datasets.parts import Raw, shown

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from cnnspec.vision import Pixels

SPLITS: Mapping[str, str] = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
    "t10k": "test",
}
"""The words for parts in names of files and folders."""


def part(images: Pixels, classes: NDArray[np.int64], images_file: Path, labels_file: Path) -> Raw:
    """Rows of uint8 [n, h, w], or [n, h, w, channels], with their labels."""
    return Raw(
        len(images),
        lambda i, channels: as_channels(np.asarray(images[i]), channels),
        lambda i: f"{shown(images_file)}[{i}]",
        lambda i: f"{shown(labels_file)}[{i}]",
        classes,
    )


def as_channels(image: Pixels, channels: int) -> Pixels:
    """An image [h, w] or [h, w, 1 or 3] as [h, w, channels], by the rules of `cnnspec.vision`."""
    if image.ndim == 3 and image.shape[2] == channels:
        return image
    flat = image if image.ndim == 2 or image.shape[2] == 3 else image[..., 0]
    if flat.ndim == 2:
        return np.repeat(flat[..., None], channels, axis=2)
    return np.asarray(Image.fromarray(flat).convert("L"))[..., None]


def mismatch(images: Pixels, labels: NDArray[np.int64], images_file: Path, labels_file: Path) -> list[str]:
    """What keeps images and labels from being samples."""
    faults = []
    colours = images.shape[3] if images.ndim == 4 else 1
    if images.ndim not in (3, 4) or colours not in (1, 3) or 0 in images.shape[1:]:
        faults.append(
            f"{shown(images_file)}: images of shape {list(images.shape)}; "
            "[n, height, width] or [n, height, width, 1 or 3] is read"
        )
    if labels.ndim != 1:
        faults.append(f"{shown(labels_file)}: labels of shape {list(labels.shape)}; [n] is read")
    elif len(images) != len(labels):
        faults.append(
            f"{shown(labels_file)}: {len(labels)} labels for the {len(images)} images of {shown(images_file)}"
        )
    elif len(images) == 0:
        faults.append(f"{shown(images_file)}: no images in it")
    return faults
