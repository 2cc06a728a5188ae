"""Which boxes of a head learn which true boxes. The cell that holds the centre of a true box is to find it.

best       the anchor whose shape overlaps the box's best, of all grids: Redmon and Farhadi 2018, YOLOv3 (arXiv
           1804.02767), section 2.1
threshold  also all anchors whose shape overlaps the box's by more than a threshold: Bochkovskiy et al. 2020, YOLOv4
           (2004.10934), section 3.4
dynamic    the anchors of least cost, as many as the overlaps of all of them with the box sum up to: Ge et al. 2021,
           YOLOX (2107.08430), section 2, SimOTA, with the anchors of one cell in place of a region's points
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy

from cnnspec_torch.cells import decoded
from cnnspec_torch.overlaps import overlaps, shapes

if TYPE_CHECKING:
    from cnnspec.grids import Grids
    from cnnspec.recipe_heads import Detect
    from cnnspec_torch.cells import Cells

LOCATING = 3.0
"""What -log of the overlap weighs in SimOTA's cost: its equation 1."""


@dataclass(frozen=True)
class Assigned:
    """m pairs of a predicted and a true box: `image` [m] and `box` [m] of the n x p, `truth` [m] of the k."""

    image: Tensor
    box: Tensor
    truth: Tensor


@torch.no_grad()
def assign(cells: Cells, head: Grids, truth: Tensor, how: Detect) -> Assigned:
    """Pairs for true boxes [k, 6] of image, class, centre and size in parts of the input.

    A predicted box learns one true box at most: of several that of best shape (`dynamic`: of least cost), of equals the
    first.
    """
    image, candidates = truth[:, 0].long(), _candidates(cells, head, truth)
    anchors = torch.cat([truth.new_tensor(grid.anchors) for grid in head.grids])
    if how.assign == "dynamic":
        quality, chosen = _dynamic(cells, truth, image, candidates)
    else:
        quality = shapes(truth[:, 4:] * cells.size, anchors)
        best = torch.zeros_like(quality, dtype=torch.bool)
        if len(truth):
            best.scatter_(1, quality.argmax(1, keepdim=True), True)
        chosen = best if how.assign == "best" else best | (quality > how.fits)
    which, anchor = torch.nonzero(chosen, as_tuple=True)
    found = Assigned(image[which], candidates[which, anchor], which)
    return _once(found, quality[which, anchor], len(cells.place))


def _candidates(cells: Cells, head: Grids, truth: Tensor) -> Tensor:
    """[k, anchors of all grids]: the boxes of the cells that hold the centres."""
    found = []
    for (start, rows, columns), grid in zip(cells.grids, head.grids, strict=True):
        column = (truth[:, 2] * columns).long().clamp(0, columns - 1)
        row = (truth[:, 3] * rows).long().clamp(0, rows - 1)
        anchors = torch.arange(len(grid.anchors), device=truth.device)
        found.append(start + anchors * rows * columns + (row * columns + column)[:, None])
    return torch.cat(found, 1)


def _dynamic(cells: Cells, truth: Tensor, image: Tensor, candidates: Tensor) -> tuple[Tensor, Tensor]:
    """Less the cost, and which are chosen, [k, anchors]."""
    at = image[:, None], candidates
    boxes = decoded(cells.numbers[at], cells.place[candidates], cells.stride[candidates], cells.anchor[candidates])
    overlap = overlaps(boxes, (truth[:, 2:] * cells.size.repeat(2))[:, None])
    classes = cells.classes[at].softmax(-1) if cells.shared else cells.classes[at].sigmoid()
    likely = (classes * cells.objectness[at].sigmoid()[..., None]).sqrt()
    wanted = torch.zeros_like(likely).scatter_(2, truth[:, 1].long()[:, None, None].expand(*candidates.shape, 1), 1)
    cost = binary_cross_entropy(likely, wanted, reduction="none").sum(-1) - LOCATING * (overlap + 1e-8).log()
    many = overlap.sum(1).long().clamp(min=1)
    rank = cost.argsort(dim=1, stable=True).argsort(dim=1)
    return -cost, rank < many[:, None]


def _once(found: Assigned, quality: Tensor, boxes: int) -> Assigned:
    """Of the pairs with one predicted box the one of highest quality."""
    order = quality.argsort(descending=True, stable=True)
    key = (found.image * boxes + found.box)[order]
    order = order[key.argsort(stable=True)]
    key = (found.image * boxes + found.box)[order]
    first = torch.ones_like(key, dtype=torch.bool)
    first[1:] = key[1:] != key[:-1]
    kept = order[first]
    return Assigned(found.image[kept], found.box[kept], found.truth[kept])
