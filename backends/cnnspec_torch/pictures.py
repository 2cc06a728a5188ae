"""What the network sees in training, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from cnnspec import boxes
from cnnspec.datasets import Boxes
from cnnspec.datasets.colours import colours
from cnnspec.datasets.sheet import draw_boxes, legend, overlay, scaled, sheet
from cnnspec_torch.batches import Batch

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from cnnspec.vision import Floats, Pixels
    from cnnspec_torch.batches import Order, Samples

SHOWN = 24
COLUMNS = 6
PLAIN = ("background",)
"""Classes of masks that are not coloured."""
SMALL, LARGE = 112, 224
"""Sides of a sample on the sheet, in pixels: of classes, and where there are places to see."""


def of_training(samples: Samples, order: Order, labels: Sequence[str]) -> Pixels:
    """A sheet of the first samples of epoch 0 as the network gets them, with their classes, boxes or masks drawn in.

    They are what comes out of `samples`, so moved, cut and coloured as the recipe says, and normalized; that is undone.
    """
    positions = order.positions(0)[:SHOWN].tolist()
    images, targets, _ = samples[Batch(0, positions, len(positions))]
    dense = bool(samples.needs & {"box", "boxes", "masks"})
    side = LARGE if dense else SMALL
    pictures = [
        _with_truth(image, number, targets, labels, side)
        for number, image in enumerate(pixels(images, samples.mean, samples.std))
    ]
    named = targets["classes"].tolist() if "classes" in targets else None
    found = sheet(pictures, [labels[one] for one in named] if named is not None else None, COLUMNS, side)
    if "masks" not in targets:
        return found
    return np.concatenate([legend(labels, colours(len(labels)), found.shape[1]), found])


def pixels(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Pixels:
    """uint8 [n, h, w, c] of normalized images [n, c, h, w]."""
    plain: Floats = images.numpy() * np.asarray(std, np.float32)[:, None, None]
    plain += np.asarray(mean, np.float32)[:, None, None]
    return np.rint(plain * 255).clip(0, 255).astype(np.uint8).transpose(0, 2, 3, 1)


def _with_truth(image: Pixels, number: int, targets: dict[str, Tensor], labels: Sequence[str], side: int) -> Pixels:
    picture = scaled(image, side)
    if "masks" in targets:
        mask = targets["masks"][number].numpy().astype(np.uint8)
        rows, columns = (np.arange(new) * old // new for new, old in zip(picture.shape[:2], mask.shape, strict=True))
        plain = [number for number, label in enumerate(labels) if label in PLAIN]
        picture = overlay(picture, mask[rows[:, None], columns], colours(len(labels)), plain=plain)
    if "boxes" in targets:
        these = targets["boxes"][targets["boxes"][:, 0] == number].numpy()
        picture = _boxes(picture, these[:, 2:], these[:, 1].astype(np.int64), labels)
    elif "box" in targets:
        picture = _boxes(picture, targets["box"][number : number + 1].numpy(), np.zeros(1, np.int64), ("",))
    return picture


def _boxes(picture: Pixels, centres: Floats, classes: NDArray[np.int64], labels: Sequence[str]) -> Pixels:
    height, width = picture.shape[:2]
    corners = boxes.to_corners(centres) * np.asarray([width, height, width, height], np.float32)
    found = Boxes(classes, corners.astype(np.float32), np.zeros(len(classes), np.bool_))
    return draw_boxes(picture, found, labels)
