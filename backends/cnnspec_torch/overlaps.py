"""Overlaps of boxes given by centre and size, differentiable, each with the one beside it."""

from __future__ import annotations

from math import pi
from typing import Literal

import torch
from torch import Tensor

Kind = Literal["iou", "giou", "diou", "ciou"]
TINY = 1e-7


def overlaps(found: Tensor, truth: Tensor, kind: Kind = "iou") -> Tensor:
    """[...] of boxes [..., 4] as centre x, centre y, width, height.

    iou   I / U, the intersection over the union
    giou  iou - (C - U) / C, C the area of the box around both: Rezatofighi et al. 2019 (arXiv 1902.09630)
    diou  iou - d^2 / c^2, d between the centres, c the diagonal of that box: Zheng et al. 2019 (1911.08287), equation 7
    ciou  diou - a v, v = 4 / pi^2 (atan(w' / h') - atan(w / h))^2, a = v / (1 - iou + v), which has no gradient:
          there, equations 8 to 11
    """
    low = torch.maximum(found[..., :2] - found[..., 2:] / 2, truth[..., :2] - truth[..., 2:] / 2)
    high = torch.minimum(found[..., :2] + found[..., 2:] / 2, truth[..., :2] + truth[..., 2:] / 2)
    shared = (high - low).clamp(min=0).prod(-1)
    union = found[..., 2:].prod(-1) + truth[..., 2:].prod(-1) - shared
    iou = shared / union.clamp(min=TINY)
    if kind == "iou":
        return iou
    around = torch.maximum(found[..., :2] + found[..., 2:] / 2, truth[..., :2] + truth[..., 2:] / 2) - torch.minimum(
        found[..., :2] - found[..., 2:] / 2, truth[..., :2] - truth[..., 2:] / 2
    )
    if kind == "giou":
        area = around.prod(-1).clamp(min=TINY)
        return iou - (area - union) / area
    apart = (found[..., :2] - truth[..., :2]).square().sum(-1)
    diou = iou - apart / around.square().sum(-1).clamp(min=TINY)
    if kind == "diou":
        return diou
    angle = torch.atan2(truth[..., 2], truth[..., 3]) - torch.atan2(found[..., 2], found[..., 3])
    v = 4 / pi**2 * angle.square()
    with torch.no_grad():
        share = v / (1 - iou + v).clamp(min=TINY)
    return diou - share * v


def pairwise(found: Tensor, truth: Tensor) -> Tensor:
    """Intersection over union [..., p, m] of boxes [..., p, 4] and [..., m, 4], as centre and size."""
    return overlaps(found[..., :, None, :], truth[..., None, :, :])


def shapes(left: Tensor, right: Tensor) -> Tensor:
    """Intersection over union [n, m] of sizes [n, 2] and [m, 2] laid on one centre."""
    shared = torch.minimum(left[:, None], right[None]).prod(-1)
    return shared / (left.prod(-1)[:, None] + right.prod(-1)[None] - shared)
