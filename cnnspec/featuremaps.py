"""Pictures of what a network sees inside: feature maps, and the filters of convolutions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from cnnspec.datasets.sheet import sheet

if TYPE_CHECKING:
    from cnnspec.vision import Floats, Pixels

MAPS = 64
"""Feature maps of a node that its picture shows, the first."""
FILTERS = 32
"""Filters, and maps of each, that a picture shows, the first."""


def shaded(values: Floats) -> Pixels:
    """[h, w] as uint8 [h, w, 1], the least black and the largest white; where all are alike, black."""
    low, high = float(values.min()), float(values.max())
    scale = 255 / (high - low) if high > low else 0.0
    grey: Pixels = np.rint((values - low) * scale).astype(np.uint8)[..., None]
    return grey


def picture_of_maps(maps: Floats) -> Pixels:
    """A sheet of the maps [C, h, w] of one image, each under its number and shaded from its least to its largest."""
    shown = maps[:MAPS]
    side = max(64, min(320, 960 // math.isqrt(len(shown))))
    captions = [f"{number}" for number in range(len(shown))]
    return sheet([shaded(one) for one in shown], captions, math.ceil(math.sqrt(len(shown))), side)


def picture_of_filters(weights: Floats) -> Pixels:
    """A sheet of the filters [filters, maps, kh, kw]: three maps in colour, one in grey, else a row for each."""
    shown = weights[:FILTERS, :FILTERS]
    maps = weights.shape[1]
    if maps in (1, 3):
        tiles = [_coloured(one) for one in weights[:MAPS]]
        return sheet(tiles, [f"{number}" for number in range(len(tiles))], math.ceil(math.sqrt(len(tiles))), 64)
    tiles = [shaded(one) for row in shown for one in row]
    captions = [f"{row}, {column}" for row in range(len(shown)) for column in range(shown.shape[1])]
    return sheet(tiles, captions, shown.shape[1], 48)


def _coloured(kernel: Floats) -> Pixels:
    """[1 or 3, kh, kw] as an image, the least of all its numbers black and the largest white."""
    flat = shaded(kernel.reshape(kernel.shape[0], -1))
    return np.moveaxis(flat.reshape(kernel.shape), 0, -1)
