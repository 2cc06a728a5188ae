"""Average precision by the rules of Pascal VOC, and precision and recall along the way, in numpy.

COCO's protocol is faster-coco-eval's, in cnnspec_torch.judging.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from cnnspec.boxes import iou

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cnnspec.boxes import Floats
    from cnnspec.datasets.parts import Boxes
    from cnnspec.grids import Detections

Rule = Literal["voc2007", "voc2010"]
PROTOCOLS: dict[Rule, str] = {
    "voc2007": "VOC 2007: IoU at least 0.5, mean of the precision at 11 recalls, difficult boxes ignored",
    "voc2010": "VOC 2010: IoU at least 0.5, area under precision over recall, difficult boxes ignored",
}


@dataclass(frozen=True)
class Curve:
    """One class as its threshold falls from score to score: recall and precision [m], and how many boxes there are."""

    scores: Floats
    recall: Floats
    precision: Floats
    boxes: int


def curve(found: Sequence[Detections], truth: Sequence[Boxes], which: int, overlap: float = 0.5) -> Curve:
    """Precision and recall of one class over images.

    Detections are taken by falling score, of equals in their order. Each belongs to the true box of its class and image
    that it overlaps most; it is right where that overlap is at least `overlap` and no detection before had the box,
    counts nothing where that box is difficult, else is wrong. Everingham et al. 2010, The Pascal Visual Object Classes
    Challenge, section 4.2, and the development kit's VOCevaldet.
    """
    scores, right, counted, boxes = [], [], [], 0
    for one, true in zip(found, truth, strict=True):
        ours, theirs = one.classes == which, true.classes == which
        scores.append(one.scores[ours])
        hit, best = _matched(one.corners[ours], true.corners[theirs], overlap)
        hard = true.difficult[theirs]
        boxes += int((~hard).sum())
        counted.append(~(hit & hard[best]) if len(hard) else np.ones(len(hit), bool))
        right.append(hit & _first(best, hit, one.scores[ours]))
    all_scores, all_right, all_counted = (np.concatenate(parts) for parts in (scores, right, counted))
    order = np.argsort(-all_scores, kind="stable")
    order = order[all_counted[order]]
    true_positives = np.cumsum(all_right[order])
    precision = true_positives / np.arange(1, len(order) + 1)
    recall = true_positives / boxes if boxes else np.full(len(order), np.nan)
    return Curve(all_scores[order], recall, precision, boxes)


def _matched(found: Floats, true: Floats, overlap: float) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Whether each box found overlaps a true one enough, and which it overlaps most."""
    if not len(true):
        return np.zeros(len(found), bool), np.zeros(len(found), np.int64)
    overlaps = iou(found, true)
    return overlaps.max(axis=1) >= overlap, overlaps.argmax(axis=1)


def _first(best: NDArray[np.int64], hit: NDArray[np.bool_], scores: Floats) -> NDArray[np.bool_]:
    """Whether a box is the one of highest score among those that hit the same true box."""
    first = np.zeros(len(best), bool)
    order = np.argsort(-scores, kind="stable")
    order = order[hit[order]]
    first[order[np.unique(best[order], return_index=True)[1]]] = True
    return first


def average_precision(one: Curve, rule: Rule) -> float:
    """Of one class, from 0 to 1; NaN where there is no box of it.

    voc2007  the mean over the recalls 0, 0.1 .. 1 of the highest precision at that recall or above
    voc2010  the area under the highest precision at each recall or above
    """
    if not one.boxes:
        return float("nan")
    if rule == "voc2007":
        steps = np.arange(11) / 10
        return float(np.mean([one.precision[one.recall >= step - 1e-12].max(initial=0) for step in steps]))
    recall = np.concatenate([[0.0], one.recall])
    highest = np.maximum.accumulate(one.precision[::-1])[::-1]
    return float((np.diff(recall) * highest).sum())


def mean_average_precision(
    found: Sequence[Detections], truth: Sequence[Boxes], classes: int, rule: Rule = "voc2010"
) -> tuple[float, list[float]]:
    """The mean over the classes that occur, and each class's own (NaN for those that do not)."""
    each = [average_precision(curve(found, truth, which), rule) for which in range(classes)]
    there = [value for value in each if not np.isnan(value)]
    return float(np.mean(there)) if there else float("nan"), each
