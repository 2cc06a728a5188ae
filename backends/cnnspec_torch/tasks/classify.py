"""One class an image: cross-entropy, accuracy."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torchmetrics.classification import MulticlassAccuracy

from cnnspec_torch.tasks.base import Outputs, Targets


@final
class Classify:
    """Scores [n, classes] of one output against `classes`; with `lowest` they are distances.

    `margin` is j of LeCun et al. 1998, Gradient-Based Learning Applied to Document Recognition, equation 9: the mean of
    y_D + log(e^-j + sum_i e^-y_i) over the images, y_D the distance of the true class. It is cross-entropy with one
    more class, of distance j, that is never true. In mixed batches targets["classes"] holds probabilities.
    """

    needs = frozenset({"classes"})
    best = ("loss", False)

    def __init__(
        self,
        head: str,
        output: str,
        classes: int,
        *,
        lowest: bool = False,
        smoothing: float = 0.0,
        margin: float | None = None,
        device: torch.device | None = None,
    ) -> None:
        self.head, self.output, self.classes = head, output, classes
        self.lowest, self.smoothing, self.margin = lowest, smoothing, margin
        counted = [1, 5] if classes > 5 else [1]
        self.counts = {k: MulticlassAccuracy(classes, top_k=k, average="micro").to(device) for k in counted}

    def scores(self, outputs: Outputs) -> Tensor:
        """[n, classes], larger for likelier classes."""
        found = outputs[self.output]
        return -found if self.lowest else found

    def loss(self, outputs: Outputs, targets: Targets) -> dict[str, Tensor]:
        scores, classes = self.scores(outputs).float(), targets["classes"]
        if self.margin is not None:
            scores = torch.cat([scores, scores.new_full((len(scores), 1), -self.margin)], dim=1)
            if classes.ndim == 2:
                classes = torch.cat([classes, classes.new_zeros(len(classes), 1)], dim=1)
        return {"classes": cross_entropy(scores, classes, label_smoothing=self.smoothing)}

    def update(self, outputs: Outputs, targets: Targets) -> None:
        scores = self.scores(outputs).float()
        for metric in self.counts.values():
            metric.update(scores, targets["classes"])

    def compute(self) -> dict[str, float]:
        found = {f"top{k}": float(metric.compute()) for k, metric in self.counts.items()}
        for metric in self.counts.values():
            metric.reset()
        return found
