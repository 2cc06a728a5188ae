"""A class for every pixel: cross-entropy, judged by the mean intersection over union."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, interpolate
from torchmetrics.classification import MulticlassConfusionMatrix

from cnnspec.datasets.parts import VOID


@final
class Segment:
    """An output of scores [n, classes, h, w] against `masks` [n, H, W]; scores of another size are resized, bilinear.

    The loss is the mean over all pixels that are not void, weighted by `weights` of the true classes. Judged by one
    confusion matrix over all images, as Long et al. 2015 (arXiv 1411.4038), section 5: the mean over the classes that
    are there, or were found, of n_ii / (t_i + sum_j n_ji - n_ii), and the part of the pixels that are right.
    """

    needs = frozenset({"masks"})
    best = ("mean_iou", True)

    def __init__(
        self,
        head: str,
        output: str,
        classes: int,
        *,
        weights: Sequence[float] | None = None,
        smoothing: float = 0.0,
        device: torch.device | None = None,
    ) -> None:
        self.head, self.output, self.classes, self.smoothing = head, output, classes, smoothing
        self.weights = torch.tensor(weights if weights is not None else [1.0] * classes, device=device)
        self.matrix = MulticlassConfusionMatrix(classes, ignore_index=VOID).to(device)

    def scores(self, outputs: Mapping[str, Tensor], masks: Tensor) -> Tensor:
        """[n, classes, H, W] at the size of the masks, in single precision at least."""
        found = outputs[self.output]
        found = found.float() if found.dtype in (torch.float16, torch.bfloat16) else found
        if found.shape[2:] == masks.shape[1:]:
            return found
        return interpolate(found, masks.shape[1:], mode="bilinear", align_corners=False)

    def loss(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
        masks = targets["masks"]
        scores = self.scores(outputs, masks)
        weights = self.weights.to(scores)
        total = cross_entropy(
            scores, masks, weights, ignore_index=VOID, reduction="sum", label_smoothing=self.smoothing
        )
        weight = weights[masks[masks != VOID]].sum()
        return {"pixels": total / weight.clamp(min=torch.finfo(weight.dtype).tiny)}

    def update(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> None:
        masks = targets["masks"]
        self.matrix.update(self.scores(outputs, masks).argmax(1), masks)

    def compute(self) -> dict[str, float]:
        matrix = self.matrix.compute()
        self.matrix.reset()
        return {"mean_iou": mean(ious(matrix)), "pixel_accuracy": float(matrix.trace() / matrix.sum().clamp(min=1))}


def ious(matrix: Tensor) -> list[float]:
    """Intersection over union of each class, of counts [true, found]; NaN for a class that is neither."""
    right = matrix.diagonal().double()
    union = matrix.sum(0) + matrix.sum(1) - right
    return [float(value) for value in right / union]


def mean(values: Sequence[float]) -> float:
    """Of the values that are numbers; 0 where there are none."""
    there = [value for value in values if value == value]
    return sum(there) / len(there) if there else 0.0
