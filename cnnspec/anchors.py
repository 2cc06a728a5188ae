"""Anchors: sizes of boxes found by k-means on 1 - IoU, and put into the head of a spec.

Redmon and Farhadi 2016, YOLO9000 (arXiv 1612.08242), section 2, "Dimension clusters".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnspec.boxes import shape_iou
from cnnspec.diagnostics import RunError, UsageError
from cnnspec.reader import Mapping, Node
from cnnspec.reader import Sequence as List

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


def shared_out(found: Floats, strides: Sequence[int], counts: Sequence[int]) -> list[list[list[float]]]:
    """Anchors [k, 2] by rising area, `counts` of them to each grid: the larger the cells, the larger the anchors.

    Rounded to tenths of a pixel.
    """
    order = sorted(range(len(strides)), key=lambda grid: strides[grid])
    shares: dict[int, list[list[float]]] = {}
    start = 0
    for grid in order:
        part = found[start : start + counts[grid]]
        shares[grid] = [[round(float(size), 1) for size in pair] for pair in part]
        start += counts[grid]
    return [shares[grid] for grid in range(len(strides))]


def rewritten(text: str, root: Mapping, head: str, anchors: list[list[list[float]]]) -> str:
    """The text of a spec with anchors in the head's place, all else byte for byte as it was.

    Where there are anchors already each of their numbers is changed alone; where there are none the key is put at the
    end of the head. Raises UsageError where the head does not stand in this text, or has other counts of anchors.
    """
    detect = _entry(root, "heads", head, "detect")
    if not isinstance(detect, Mapping):
        raise UsageError(f"the head '{head}' does not stand in this file", "write it there, or into the file it is in")
    there = detect.entries.get("anchors")
    if there is None:
        return _inserted(text, detect, anchors)
    old = [scalar for grid in _items(there) for pair in _items(grid) for scalar in _items(pair)]
    counts = [len(_items(grid)) for grid in _items(there)]
    if counts != [len(grid) for grid in anchors]:
        raise UsageError(f"the head '{head}' has {counts} anchors, {[len(grid) for grid in anchors]} are to be written")
    new = [number for grid in anchors for pair in grid for number in pair]
    for scalar, number in reversed(list(zip(old, new, strict=True))):
        text = f"{text[: scalar.span.start]}{number:g}{text[scalar.span.end :]}"
    return text


def _entry(node: Node, *path: str) -> Node | None:
    found: Node | None = node
    for key in path:
        found = found.entries.get(key) if isinstance(found, Mapping) else None
    return found


def _items(node: Node) -> tuple[Node, ...]:
    assert isinstance(node, List)
    return node.items


def _inserted(text: str, detect: Mapping, anchors: list[list[list[float]]]) -> str:
    """The key `anchors` behind the last entry, in the way the mapping is written."""
    written = f"anchors: {_flow(anchors)}"
    if text[detect.span.start] == "{":
        end = detect.span.end - 1
        comma = ", " if detect.entries else ""
        return f"{text[:end]}{comma}{written}{text[end:]}"
    (first, *_), last = detect.keys.values(), list(detect.entries.values())[-1]
    indent = " " * (first.span.column - 1)
    end = _end(last)
    line = text.find("\n", end)
    line = len(text) if line < 0 else line
    return f"{text[:line]}\n{indent}{written}{text[line:]}"


def _end(node: Node) -> int:
    """Where a value's own text ends; that of a block goes on to what follows it."""
    if isinstance(node, Mapping) and node.entries and node.span.source.text[node.span.start] != "{":
        return _end(list(node.entries.values())[-1])
    if isinstance(node, List) and node.items and node.span.source.text[node.span.start] != "[":
        return _end(node.items[-1])
    return node.span.end


def _flow(value: object) -> str:
    return f"[{', '.join(map(_flow, value))}]" if isinstance(value, list) else f"{value:g}"
