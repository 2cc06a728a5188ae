"""How good a network of boxes or masks is on labelled images, whatever backend runs it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnspec import coco_precision, precision
from cnnspec.datasets.parts import VOID
from cnnspec.dense import detect, segment
from cnnspec.diagnostics import RunError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cnnspec.coco_precision import Judged
    from cnnspec.datasets import Part
    from cnnspec.datasets.parts import Boxes
    from cnnspec.dense import Network
    from cnnspec.grids import Detections
    from cnnspec.vision import Pixels

CONFIDENCE, OVERLAP = 0.001, 0.6
"""What a recipe takes too: `detect.confidence` and `detect.overlap`."""

Tick = Callable[[int], None]


@dataclass(frozen=True)
class BoxesJudged:
    """Detections and truth of all images, in pixels of each, and the mean average precisions of both protocols."""

    labels: tuple[str, ...]
    found: Sequence[Detections]
    truth: Sequence[Boxes]
    coco: Judged
    protocol: str

    @property
    def metrics(self) -> dict[str, float]:
        return {"map": self.coco.map, "map50": self.coco.map50, "map75": self.coco.map75}

    def voc(self, rule: precision.Rule) -> float:
        """The mean over the classes that occur; `cnnspec.precision.PROTOCOLS` says how."""
        return precision.mean_average_precision(self.found, self.truth, len(self.labels), rule)[0]

    def curves(self) -> dict[str, precision.Curve]:
        """Precision and recall by the names of the classes, at an overlap of 0.5."""
        return {label: precision.curve(self.found, self.truth, i) for i, label in enumerate(self.labels)}

    @property
    def classes(self) -> list[dict[str, Any]]:
        """Each class with its true boxes and its mean precision by COCO's protocol, None where it has no box."""
        count = np.bincount(np.concatenate([one.classes for one in self.truth]), minlength=len(self.labels))
        rows = zip(self.labels, count.tolist(), strict=True)
        return [{"label": label, "boxes": n, "map": self.coco.classes.get(i)} for i, (label, n) in enumerate(rows)]


@dataclass(frozen=True)
class MasksJudged:
    """`confusion[i, j]` pixels of class i were taken for class j."""

    labels: tuple[str, ...]
    confusion: NDArray[np.int64]

    @property
    def metrics(self) -> dict[str, float]:
        """The mean over the classes that are there or were found; the part of the pixels that are right."""
        there = [one["iou"] for one in self.classes if one["iou"] is not None]
        right, every = int(np.trace(self.confusion)), int(self.confusion.sum())
        return {"mean_iou": float(np.mean(there)) if there else 0.0, "pixel_accuracy": right / max(1, every)}

    @property
    def classes(self) -> list[dict[str, Any]]:
        """Each class with its pixels and intersection over union, None where it is neither there nor found."""
        rows = []
        for number, label in enumerate(self.labels):
            pixels, taken = int(self.confusion[number].sum()), int(self.confusion[:, number].sum())
            right = int(self.confusion[number, number])
            union = pixels + taken - right
            rows.append({"label": label, "pixels": pixels, "iou": right / union if union else None})
        return rows


def judge_boxes(
    network: Network,
    parts: Sequence[Part],
    confidence: float = CONFIDENCE,
    overlap: float = OVERLAP,
    tick: Tick = lambda number: None,
) -> BoxesJudged:
    """Look at every image at its own size, as `predict` does. `tick` hears of each with the number of all.

    Raises RunError where there is none, and as `cnnspec.dense.detect`; ModuleNotFoundError without faster-coco-eval.
    """
    found, truth = [], []
    for part, position, image in _images(parts, tick):
        assert part.boxes is not None  # asked for by `Wanted.kinds`
        found.append(detect(network, image, part.place(position), confidence, overlap)[0])
        truth.append(part.boxes[position])
    coco = coco_precision.judged(found, truth)
    return BoxesJudged(network.labels, found, truth, coco, coco_precision.protocol(confidence))


def judge_masks(network: Network, parts: Sequence[Part], tick: Tick = lambda number: None) -> MasksJudged:
    """The same for masks; void pixels do not count."""
    classes = len(network.labels)
    confusion = np.zeros(classes * classes, np.int64)
    for part, position, image in _images(parts, tick):
        assert part.masks is not None  # asked for by `Wanted.kinds`
        true, mask = part.masks(position), segment(network, image, part.place(position))[0]
        there = true != VOID
        confusion += np.bincount(true[there].astype(np.int64) * classes + mask[there], minlength=classes * classes)
    return MasksJudged(network.labels, confusion.reshape(classes, classes))


def _images(parts: Sequence[Part], tick: Tick) -> Iterator[tuple[Part, int, Pixels]]:
    total = sum(map(len, parts))
    if total == 0:
        raise RunError("there are no images to evaluate on")
    for part in parts:
        for position in range(len(part)):
            yield part, position, part.images.one(position)
            tick(total)
