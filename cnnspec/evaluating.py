"""How good a classifier is on labelled images, whatever backend runs it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from cnnspec.diagnostics import RunError, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cnnspec.datasets import Part
    from cnnspec.predicting import Preparation
    from cnnspec.vision import Floats, Pixels


METRICS = ("top1", "top5", "map", "map50", "map75", "mean_iou", "pixel_accuracy")
"""What `--fail-under` may name: of classes, of boxes, of masks."""


class Classifier(Protocol):
    """A trained network: what its images need, what its classes are called, and its scores of a batch of pixels
    [n, h, w, c] as [n, classes], larger for likelier classes."""

    @property
    def labels(self) -> tuple[str, ...]: ...

    @property
    def preparation(self) -> Preparation: ...

    def scores(self, images: Pixels) -> Floats: ...


@dataclass(frozen=True)
class Evaluation:
    """`confusion[i, j]` images of class i were taken for class j; `among_five` had their class in the first five."""

    labels: tuple[str, ...]
    confusion: NDArray[np.int64]
    among_five: int

    @property
    def images(self) -> int:
        return int(self.confusion.sum())

    @property
    def right(self) -> int:
        return int(np.trace(self.confusion))

    @property
    def metrics(self) -> dict[str, float | None]:
        """From 0 to 1; `top5` only where there are more than five classes to choose from."""
        top5 = self.among_five / self.images if len(self.labels) > 5 else None
        return {"top1": self.right / self.images, "top5": top5}

    @property
    def classes(self) -> list[dict[str, Any]]:
        """Each class with its images, how many were right, recall and precision; None of no images."""
        rows = []
        for number, label in enumerate(self.labels):
            images, taken = int(self.confusion[number].sum()), int(self.confusion[:, number].sum())
            right = int(self.confusion[number, number])
            recall, precision = (right / whole if whole else None for whole in (images, taken))
            rows.append({"label": label, "images": images, "right": right, "recall": recall, "precision": precision})
        return rows


def evaluate(
    network: Classifier, parts: list[Part], batch: int, tick: Callable[[int], None] = lambda number: None
) -> Evaluation:
    """Run a network over every image. Raises RunError where there is none, or scores are not finite."""
    total = sum(map(len, parts))
    if total == 0:
        raise RunError("there are no images to evaluate on")
    confusion, among_five = np.zeros((len(network.labels),) * 2, np.int64), 0
    for part in parts:
        assert part.classes is not None  # asked for by `Wanted.kinds`
        for start in range(0, len(part), batch):
            positions = range(start, min(start + batch, len(part)))
            scores, true = network.scores(part.images[positions]), part.classes[start : positions.stop]
            if not np.isfinite(scores).all():
                where = part.place(start + int(np.flatnonzero(~np.isfinite(scores).all(axis=1))[0]))
                raise RunError(f"{where}: the network gives scores that are not finite: its weights are broken")
            first = np.argsort(-scores, axis=1, kind="stable")[:, :5]
            np.add.at(confusion, (true, first[:, 0]), 1)
            among_five += int((first == true[:, None]).any(axis=1).sum())
            for _ in positions:
                tick(total)
    return Evaluation(network.labels, confusion, among_five)


def least(text: str) -> tuple[str, float]:
    """Metric and bound of `top1>=0.99`. Raises UsageError for other texts."""
    found = re.fullmatch(rf"\s*({'|'.join(METRICS)})\s*>=\s*([01]?\.?[0-9]*)\s*", text)
    try:
        bound = float(found[2]) if found else -1.0
    except ValueError:
        bound = -1.0
    if not found or not 0 <= bound <= 1:
        help = f"the metrics are {', '.join(METRICS)}"
        raise UsageError(f"--fail-under wants METRIC>=BOUND as 'top1>=0.99', from 0 to 1, got '{text}'", help)
    return found[1], bound
