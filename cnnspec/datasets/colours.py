"""Colours of classes that people tell apart, those who see red and green alike too."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cnnspec.vision import Pixels

FIRST = ("E69F00", "56B4E9", "009E73", "F0E442", "0072B2", "D55E00", "CC79A7")
"""M. Okabe and K. Ito: Color Universal Design, 2002; without black."""

MOST = 32
"""How many differ; further classes begin anew."""

_SEEN = np.array(
    [
        [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    ]
)
"""Linear RGB as it is seen by most, with protanopia, and with deuteranopia: G. Machado et al.: A Physiologically-based
Model for Simulation of Color Vision Deficiency, 2009, table 1."""


@cache
def _all() -> Pixels:
    """`FIRST`, then whichever of a grid of colours lies furthest from all before, for whom it lies nearest."""
    grid = np.stack(np.meshgrid(*[np.arange(0, 256, 51)] * 3, indexing="ij"), -1).reshape(-1, 3)
    light = grid @ (0.299, 0.587, 0.114)
    grid = grid[(light >= 60) & (light <= 225) & (np.ptp(grid, 1) >= 102)]  # seen on photographs, and on paper
    chosen = [list(bytes.fromhex(colour)) for colour in FIRST]
    while len(chosen) < MOST:
        apart = distance(grid, np.asarray(chosen)).min(1)
        chosen.append(grid[int(apart.argmax())].tolist())
    return np.asarray(chosen, np.uint8)


def colours(number: int) -> Pixels:
    """uint8 [number, 3], the same for the same class whatever the number."""
    return _all()[np.arange(number) % MOST]


def distance(ours: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.float64]:
    """How far colours [n, 3] and [m, 3] are apart in CIELAB for whom they lie nearest, [n, m]."""
    apart = _lab(ours)[:, :, None] - _lab(others)[:, None]
    return np.asarray(np.sqrt((apart**2).sum(-1)).min(0), np.float64)


def _lab(colours: NDArray[np.int64]) -> NDArray[np.float64]:
    """CIELAB (white D65) as each of `_SEEN` sees it, [3, n, 3]."""
    part = colours / 255
    linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.einsum("kij,nj->kni", _SEEN, linear), 0, 1)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = np.moveaxis(seen @ to_xyz.T / to_xyz.sum(1), -1, 0)
    f_x, f_y, f_z = (np.where(v > 0.008856, np.cbrt(v), 7.787 * v + 16 / 116) for v in (x, y, z))
    return np.stack([116 * f_y - 16, 500 * (f_x - f_y), 200 * (f_y - f_z)], -1)
