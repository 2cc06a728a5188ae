"""A class for every pixel: one confusion matrix over all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, final

import numpy as np

from cnnspec import boxes
from cnnspec.datasets.parts import VOID
from cnnspec.dense import fitted, mask_of
from cnnspec.diagnostics import UsageError
from cnnspec.judges.base import Network, Outcome, part_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cnnspec.datasets import Part
    from cnnspec.judges.base import Outputs
    from cnnspec.vision import Floats, Pixels


@final
class Segment:
    """Scores [n, classes, h, w] against masks, at the images' own sizes; void pixels do not count.

    Long et al. 2015 (arXiv 1411.4038), section 5: n_ij being the pixels of class i taken for class j, t_i those of
    class i, `mean_iou` is the mean over the classes that are there, or were found, of n_ii / (t_i + sum_j n_ji - n_ii),
    and `pixel_accuracy` the part of all pixels that are right. `quality` is an image's mean intersection over union.
    """

    needs = frozenset({"masks"})
    metrics: tuple[str, ...] = ("mean_iou", "pixel_accuracy")

    def __init__(self, network: Network, head: str) -> None:
        """Raises UsageError for a network that sees a part of an image alone."""
        self.head, self.labels, self.how = head, network.labels, network.preparation
        self.dense = network.dense(head) if network.keeps_sizes else None
        if self.how.fit == "crop" and self.dense is None:
            message = f"{network.graph.name} sees a part of an image alone: masks want stretch or letterbox"
            raise UsageError(message)
        self.output = network.graph.heads[head].of[0]
        self.confusion = np.zeros((len(self.labels),) * 2, np.int64)
        self.quality: list[float] = []

    def update(self, outputs: Outputs, part: Part, positions: Sequence[int]) -> None:
        assert part.masks is not None  # asked for by `needs`
        for scores, position in zip(outputs[self.output], positions, strict=True):
            counts = _counts(part.masks(position), self.found(scores, part, position), len(self.labels))
            self.confusion += counts
            self.quality.append(mean(ious(counts)))

    def found(self, scores: Floats, part: Part, position: int) -> Pixels:
        """The likeliest class of each pixel of an image [h, w]."""
        how, (height, width) = self.how, part.sizes[position].tolist()
        if self.dense is not None:
            image = part.images.one(position)
            padded, region = fitted(self.dense, image)
            return mask_of(scores, (padded.shape[0], padded.shape[1]), region, (width, height))
        region = (0, 0, how.width, how.height)
        if how.fit == "letterbox":
            region = boxes.letterbox((width, height), how.height, how.width)
        return mask_of(scores, (how.height, how.width), region, (width, height))

    def outcome(self) -> Outcome:
        counts = self.confusion
        each = ious(counts)
        whole = int(counts.sum())
        metrics = {"mean_iou": mean(each), "pixel_accuracy": int(np.trace(counts)) / max(1, whole)}
        rows = [
            {
                "label": label,
                "pixels": int(counts[number].sum()),
                "iou": None if np.isnan(each[number]) else float(each[number]),
                "recall": part_of(int(counts[number, number]), int(counts[number].sum())),
                "precision": part_of(int(counts[number, number]), int(counts[:, number].sum())),
            }
            for number, label in enumerate(self.labels)
        ]
        return Outcome(self.head, "segment", metrics, np.asarray(self.quality), rows, "iou", counts)


def _counts(true: Pixels, found: Pixels, classes: int) -> NDArray[np.int64]:
    """Pixels by [true class, class found]."""
    there = true != VOID
    pairs = classes * true[there].astype(np.int64) + found[there]
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def ious(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Intersection over union of each class; NaN for one that is neither there nor found."""
    right = np.diagonal(counts).astype(np.float64)
    union = counts.sum(0) + counts.sum(1) - right
    parts: NDArray[np.float64] = np.divide(right, union, out=np.full(len(right), np.nan), where=union > 0)
    return parts


def mean(values: NDArray[np.float64]) -> float:
    """Of the values that are numbers; 0 where there are none."""
    there = values[~np.isnan(values)]
    return float(there.mean()) if len(there) else 0.0
