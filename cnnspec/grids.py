"""What the maps under a `detect` head say, in numpy: boxes of cells, then the detections among them.

A cell (column, row) of a grid of stride s predicts for an anchor (a_w, a_h) in pixels of the input, from its numbers
t_x, t_y, t_w, t_h, t_o and its class scores t_1 .. t_C,

    x = (column + sigmoid(t_x)) * s        w = a_w * exp(t_w)
    y = (row + sigmoid(t_y)) * s           h = a_h * exp(t_h)
    score of class c = sigmoid(t_o) * sigmoid(t_c), or sigmoid(t_o) * softmax(t)_c where boxes share the class scores

Redmon and Farhadi 2016 (arXiv 1612.08242), section 2, and 2018 (1804.02767), sections 2.1 and 2.2. exp(t) is cut off at
`GROWTH`, which no object reaches and which keeps sums finite.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import log
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnspec.boxes import nms, to_corners
from cnnspec.diagnostics import UsageError
from cnnspec.spec import BOX
from cnnspec.tensor import Dim, Size

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cnnspec.graph import Graph

    Floats = NDArray[np.floating[Any]]

GROWTH = log(1000)
MOST = 300
"""Detections that are kept of an image."""
CANDIDATES = 3000
"""Pairs of a box and a class, best first, that an image brings to non-max suppression."""


@dataclass(frozen=True)
class Grid:
    """One output under the head; `stride` is width and height of a cell, anchors [width, height], all in pixels."""

    output: str
    stride: tuple[int, int]
    anchors: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Grids:
    """A head of boxes: its grids and how many classes it knows; `shared` where the boxes of a cell share scores."""

    head: str
    grids: tuple[Grid, ...]
    classes: int
    shared: bool


@dataclass(frozen=True)
class Detections:
    """What was found in one image, best first: corners [k, 4] in pixels, scores [k] and classes [k]."""

    corners: Floats
    scores: Floats
    classes: NDArray[np.int64]


def grids_of(graph: Graph, name: str) -> Grids:
    """The grids under a head; raises UsageError where it has no anchors, no classes or cells of no whole pixels."""
    head = graph.heads[name]
    if head.anchors is None:
        raise UsageError(
            f"the head '{name}' of {graph.name} has no anchors", "cnnspec anchors SPEC --data D --write finds them"
        )
    types = {output.name: graph.nodes[output.node].type for output in graph.outputs}
    image = graph.nodes[graph.inputs[0]].type
    grids = []
    for output, anchors in zip(head.of, head.anchors, strict=True):
        height, width = (
            stride(one, other, output) for one, other in zip(image.spatial, types[output].spatial, strict=True)
        )
        grids.append(Grid(output, (width, height), anchors))
    boxes, maps = len(grids[0].anchors), types[head.of[0]].channels
    classes = maps - boxes * BOX if head.shared_classes else maps // boxes - BOX
    if classes < 1:
        raise UsageError(f"the head '{name}' of {graph.name} has no class scores", "give every box one at least")
    return Grids(name, tuple(grids), classes, head.shared_classes)


def stride(image: Size, grid: Size, output: str) -> int:
    """Pixels of a cell along an axis. Raises UsageError where they are no whole number."""
    pixels, cells = (
        (size.factor, size.offset, size.symbol) if isinstance(size, Dim) else (size, 0, "") for size in (image, grid)
    )
    if pixels[0] % cells[0] or pixels[1] != pixels[0] // cells[0] * cells[1] or pixels[2] != cells[2]:
        raise UsageError(f"the cells of '{output}' are no whole pixels: {image} of them in {grid} cells")
    return pixels[0] // cells[0]


def decode(maps: Mapping[str, Floats], head: Grids) -> tuple[Floats, Floats]:
    """Corners [n, p, 4] in pixels of the input and scores [n, p, classes] of outputs [n, c, rows, columns].

    The p boxes are those of the first grid, then the next; of a grid those of the first anchor; of an anchor row by
    row.
    """
    corners, scores = [], []
    for grid in head.grids:
        numbers, classes = split(maps[grid.output], len(grid.anchors), head.classes, head.shared)
        rows, columns = numbers.shape[3:]
        place = np.stack(np.broadcast_arrays(np.arange(columns), np.arange(rows)[:, None])).astype(numbers.dtype)
        stride = np.asarray(grid.stride, numbers.dtype)[:, None, None]
        anchors = np.asarray(grid.anchors, numbers.dtype)[..., None, None]
        middle = (place + sigmoid(numbers[:, :, :2])) * stride
        size = anchors * np.exp(np.minimum(numbers[:, :, 2:4], np.float32(GROWTH)))
        boxes = np.moveaxis(np.concatenate([middle, size], axis=2), 2, -1)
        corners.append(to_corners(boxes.reshape(len(boxes), -1, 4)))
        each = sigmoid(numbers[:, :, 4:]) * (_softmax(classes) if head.shared else sigmoid(classes))
        scores.append(np.moveaxis(each, 2, -1).reshape(len(boxes), -1, head.classes))
    return np.concatenate(corners, axis=1), np.concatenate(scores, axis=1)


def split(maps: Any, boxes: int, classes: int, shared: bool) -> tuple[Any, Any]:
    """Numbers [n, boxes, 5, rows, columns] and class scores [n, boxes or 1, classes, rows, columns] of one output."""
    n, _, rows, columns = maps.shape
    if shared:
        cut = boxes * BOX
        numbers = maps[:, :cut].reshape(n, boxes, BOX, rows, columns)
        return numbers, maps[:, cut:].reshape(n, 1, classes, rows, columns)
    whole = maps.reshape(n, boxes, BOX + classes, rows, columns)
    return whole[:, :, :BOX], whole[:, :, BOX:]


def detections(corners: Floats, scores: Floats, confidence: float, overlap: float, most: int = MOST) -> Detections:
    """The best of one image's boxes [p, 4] with scores [p, classes], suppressed class by class.

    A box counts for every class of which its score is above `confidence`.
    """
    boxes, classes = np.nonzero(scores > confidence)
    found = scores[boxes, classes]
    order = np.argsort(-found, kind="stable")[:CANDIDATES]
    boxes, classes, found = boxes[order], classes[order], found[order]
    kept = nms(corners[boxes], found, classes, overlap)[:most]
    return Detections(corners[boxes][kept], found[kept], classes[kept])


def sigmoid(x: Floats) -> Floats:
    """1 / (1 + exp(-x)) without overflow."""
    small = np.exp(-np.abs(x))
    result: Floats = np.where(x >= 0, 1, small) / (1 + small)
    return result


def _softmax(x: Floats) -> Floats:
    powers = np.exp(x - x.max(axis=2, keepdims=True))
    result: Floats = powers / powers.sum(axis=2, keepdims=True)
    return result
