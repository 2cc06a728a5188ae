"""One box an image: squared error on the centre and on the square roots of the sizes."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor
from torch.nn.functional import mse_loss
from torchmetrics import MeanMetric
from torchvision.ops import box_convert

from cnnspec.judges.locate import ENOUGH
from cnnspec_torch.tasks.base import Outputs, Targets


@final
class Locate:
    """An output [n, 4] of centre x, centre y and the square roots of width and height, all in parts of the input.

    The roots make an error of some pixels weigh more in a small box: Redmon et al. 2015, You Only Look Once
    (arXiv 1506.02640), section 2.2. Judged by the mean intersection over union of box and truth, and by how
    many have at least `ENOUGH` of it.
    """

    needs = frozenset({"box"})
    best = ("iou", True)

    def __init__(self, head: str, output: str, *, device: torch.device | None = None) -> None:
        self.head, self.output = head, output
        self.iou, self.enough = MeanMetric().to(device), MeanMetric().to(device)

    def loss(self, outputs: Outputs, targets: Targets) -> dict[str, Tensor]:
        truth = targets["box"]
        roots = torch.cat([truth[:, :2], truth[:, 2:].sqrt()], dim=1)
        return {"box": mse_loss(outputs[self.output].float(), roots)}

    def update(self, outputs: Outputs, targets: Targets) -> None:
        found = ious(boxes(outputs[self.output].float()), targets["box"])
        self.iou.update(found)
        self.enough.update((found >= ENOUGH).float())

    def compute(self) -> dict[str, float]:
        found = {"iou": float(self.iou.compute()), "iou50": float(self.enough.compute())}
        self.iou.reset()
        self.enough.reset()
        return found


def boxes(numbers: Tensor) -> Tensor:
    """What the head gives, [n, 4], as centre x, centre y, width, height; a negative root is a size of nothing."""
    return torch.cat([numbers[:, :2], numbers[:, 2:].clamp(min=0).square()], dim=1)


def ious(found: Tensor, truth: Tensor) -> Tensor:
    """Intersection over union [n] of boxes [n, 4] with those beside them, as centre and size."""
    a, b = (box_convert(one, "cxcywh", "xyxy") for one in (found, truth))
    overlap = (torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])).clamp(min=0).prod(dim=1)
    whole = found[:, 2:].prod(dim=1) + truth[:, 2:].prod(dim=1) - overlap
    return overlap / whole.clamp(min=torch.finfo(whole.dtype).tiny)
