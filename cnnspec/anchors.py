"""Anchors: sizes of boxes found by k-means on 1 - IoU, and put into the head of a spec.

Redmon and Farhadi 2016, YOLO9000 (arXiv 1612.08242), section 2, "Dimension clusters".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnspec.boxes import shape_iou
from cnnspec.diagnostics import RunError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]

RECALL = 0.5
"""The overlap from which an anchor counts as fitting a box."""
STARTS, TURNS = 10, 300


@dataclass(frozen=True)
class Fitted:
    """How well anchors fit boxes: the mean overlap of each box's best anchor, and the part with one above `RECALL`."""

    mean_iou: float
    recall: float


def fitted(sizes: Floats, anchors: Floats) -> Fitted:
    """Of sizes [n, 2] and anchors [k, 2] in one unit, overlaps by `cnnspec.boxes.shape_iou`."""
    best = shape_iou(sizes, anchors).max(axis=1)
    return Fitted(float(best.mean()), float((best > RECALL).mean()))


def clusters(sizes: Floats, k: int, seed: int = 0) -> Floats:
    """k anchors [k, 2] for box sizes [n, 2], by falling mean overlap the best of several starts; by rising area.

    Starts are drawn as in k-means++ (Arthur and Vassilvitskii 2007), with 1 - IoU for the squared distance; a cluster
    that has no box left takes the one that fits its anchor worst. The same seed gives the same anchors. Raises
    RunError where there are fewer than k different sizes.
    """
    different = len(np.unique(sizes, axis=0))
    if different < k:
        raise RunError(f"{k} anchors want as many different sizes of boxes, the data has {different}")
    sizes = sizes.astype(np.float64)
    random = np.random.default_rng(seed)
    found = [_settled(sizes, _drawn(sizes, k, random)) for _ in range(STARTS)]
    best = max(found, key=lambda anchors: fitted(sizes, anchors).mean_iou)
    return best[np.lexsort((best[:, 0], best.prod(axis=1)))]


def _drawn(sizes: Floats, k: int, random: np.random.Generator) -> Floats:
    """k different sizes, each the likelier the worse those before it fit."""
    chosen = [int(random.integers(len(sizes)))]
    while len(chosen) < k:
        far = 1 - shape_iou(sizes, sizes[chosen]).max(axis=1)
        chosen.append(int(random.choice(len(sizes), p=far / far.sum())))
    return sizes[chosen]


def _settled(sizes: Floats, anchors: Floats) -> Floats:
    """Lloyd's turns until no box changes its cluster; the best on the way, since means do not minimize 1 - IoU."""
    best, reached = anchors, -1.0
    before = np.full(len(sizes), -1)
    for _ in range(TURNS):
        overlaps = shape_iou(sizes, anchors)
        nearest = overlaps.argmax(axis=1)
        if (mean := float(overlaps.max(axis=1).mean())) > reached:
            best, reached = anchors, mean
        if (nearest == before).all():
            break
        before = nearest
        anchors = _means(sizes, nearest, len(anchors))
    return best


def _means(sizes: Floats, nearest: NDArray[np.int64], k: int) -> Floats:
    """The mean size of each cluster; for one without boxes, the size that the others fit worst."""
    count = np.bincount(nearest, minlength=k)
    sums = np.stack([np.bincount(nearest, sizes[:, axis], minlength=k) for axis in (0, 1)], axis=1)
    means: Floats = sums / np.maximum(count, 1)[:, None]
    for empty in np.flatnonzero(count == 0):
        means[empty] = sizes[shape_iou(sizes, means).max(axis=1).argmin()]
    return means
