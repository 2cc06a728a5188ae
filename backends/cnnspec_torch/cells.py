"""The maps under a `detect` head as one list of boxes, and the detections among them; cnnspec.grids in torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.ops import batched_nms, box_convert

from cnnspec.grids import CANDIDATES, GROWTH, MOST, Grids, split


@dataclass(frozen=True)
class Cells:
    """All p boxes of n images, as logits, and where each stands; the order is that of cnnspec.grids.decode."""

    numbers: Tensor
    """[n, p, 4]: t_x, t_y, t_w, t_h."""
    objectness: Tensor
    """[n, p]"""
    classes: Tensor
    """[n, p, classes]"""
    place: Tensor
    """[p, 2]: column and row."""
    stride: Tensor
    """[p, 2]: pixels of a cell."""
    anchor: Tensor
    """[p, 2]: width and height in pixels."""
    size: Tensor
    """[2]: width and height of the input in pixels."""
    grids: list[tuple[int, int, int]]
    """Where each grid begins among the p, its rows and its columns."""
    shared: bool

    def boxes(self) -> Tensor:
        """Centre and size [n, p, 4] in pixels of the input."""
        return decoded(self.numbers, self.place, self.stride, self.anchor)

    def scores(self) -> Tensor:
        """[n, p, classes]: objectness times the class's probability."""
        classes = self.classes.softmax(-1) if self.shared else self.classes.sigmoid()
        return self.objectness.sigmoid()[..., None] * classes


def read(outputs: Mapping[str, Tensor], head: Grids) -> Cells:
    """The boxes of outputs [n, c, rows, columns], in single precision at least."""
    numbers, classes, place, stride, anchor = [], [], [], [], []
    grids, start = [], 0
    for grid in head.grids:
        maps = outputs[grid.output]
        maps = maps.float() if maps.dtype in (torch.float16, torch.bfloat16) else maps
        boxes, scores = split(maps, len(grid.anchors), head.classes, head.shared)
        rows, columns = maps.shape[2:]
        numbers.append(boxes.movedim(2, -1).flatten(1, 3))
        classes.append(scores.expand(-1, len(grid.anchors), -1, -1, -1).movedim(2, -1).flatten(1, 3))
        y, x = torch.meshgrid(*(torch.arange(n, device=maps.device) for n in (rows, columns)), indexing="ij")
        place.append(torch.stack([x, y], -1).flatten(0, 1).repeat(len(grid.anchors), 1).to(maps.dtype))
        stride.append(maps.new_tensor(grid.stride).expand(len(place[-1]), -1))
        anchor.append(maps.new_tensor(grid.anchors).repeat_interleave(rows * columns, 0))
        grids.append((start, rows, columns))
        start += len(place[-1])
    size = maps.new_tensor([columns, rows]) * maps.new_tensor(head.grids[-1].stride)
    whole = torch.cat(numbers, 1)
    return Cells(
        whole[..., :4],
        whole[..., 4],
        torch.cat(classes, 1),
        torch.cat(place),
        torch.cat(stride),
        torch.cat(anchor),
        size,
        grids,
        head.shared,
    )


def decoded(numbers: Tensor, place: Tensor, stride: Tensor, anchor: Tensor) -> Tensor:
    """Centre and size [..., 4] in pixels of numbers [..., 4], each with its cell, stride and anchor [..., 2]."""
    middle = (place + numbers[..., :2].sigmoid()) * stride
    return torch.cat([middle, anchor * numbers[..., 2:].clamp(max=GROWTH).exp()], -1)


def detections(
    cells: Cells, confidence: float, overlap: float, most: int = MOST
) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Corners [k, 4] in pixels of the input, scores [k] and classes [k] of every image, best first."""
    corners = box_convert(cells.boxes(), "cxcywh", "xyxy")
    return [_best(*both, confidence, overlap, most) for both in zip(corners, cells.scores(), strict=True)]


def _best(
    corners: Tensor, scores: Tensor, confidence: float, overlap: float, most: int
) -> tuple[Tensor, Tensor, Tensor]:
    boxes, classes = torch.nonzero(scores > confidence, as_tuple=True)
    found, order = scores[boxes, classes].sort(descending=True, stable=True)
    found, order = found[:CANDIDATES], order[:CANDIDATES]
    chosen, classes = corners[boxes[order]], classes[order]
    kept = batched_nms(chosen, found, classes, overlap)[:most]
    return chosen[kept], found[kept], classes[kept]
