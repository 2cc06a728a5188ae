"""Average precision by COCO's protocol, of detections in numpy, by faster-coco-eval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cnnspec.grids import MOST

if TYPE_CHECKING:
    from cnnspec.datasets.parts import Boxes
    from cnnspec.grids import Detections


def protocol(confidence: float | None) -> str:
    """What stands beside the numbers; None where no one knows from which confidence on there are boxes."""
    least = "a confidence that the file does not tell" if confidence is None else f"{confidence:g}"
    boxes = f"at most {MOST} boxes an image with scores above {least}"
    return f"COCO: mean over IoU 0.50 to 0.95, 101 recalls, {boxes}"


@dataclass(frozen=True)
class Judged:
    """From 0 to 1: the mean over ten overlaps, at overlap 0.5 and 0.75, and the first for each class that occurs."""

    map: float
    map50: float
    map75: float
    classes: dict[int, float]


def judged(found: Sequence[Detections], truth: Sequence[Boxes]) -> Judged:
    """Of images in turn; 0 where there is no true box. Difficult boxes are COCO's crowds, by which no one is judged.

    Raises ModuleNotFoundError without faster-coco-eval.
    """
    from faster_coco_eval import COCO, COCOeval_faster

    true = [
        {**_row(image, kind, corners), "iscrowd": int(hard)}
        for image, one in enumerate(truth)
        for kind, corners, hard in zip(one.classes.tolist(), one.corners.tolist(), one.difficult, strict=True)
    ]
    guesses = [
        {**_row(image, kind, corners), "score": score}
        for image, one in enumerate(found)
        for kind, corners, score in zip(one.classes.tolist(), one.corners.tolist(), one.scores.tolist(), strict=True)
    ]
    kinds = sorted({row["category_id"] for row in true})
    if not guesses or not kinds:
        return Judged(0.0, 0.0, 0.0, dict.fromkeys(kinds, 0.0))
    whole = COCO(
        {
            "images": [{"id": number} for number in range(len(truth))],
            "categories": [{"id": kind, "name": str(kind)} for kind in kinds],
            "annotations": [{**row, "id": number} for number, row in enumerate(true, 1)],
        }
    )
    judge = COCOeval_faster(whole, whole.loadRes([row for row in guesses if row["category_id"] in kinds]), "bbox")
    judge.params.maxDets = [1, 10, MOST]
    judge.evaluate()
    judge.accumulate()
    precision = judge.eval["precision"][:, :, :, 0, -1]  # overlaps, recalls, classes; -1 where a class has no box
    each = {kind: _mean(precision[:, :, number]) for number, kind in enumerate(kinds)}
    there = {kind: value for kind, value in each.items() if value is not None}
    means = [_mean(precision[at]) or 0.0 for at in (slice(None), 0, 5)]
    return Judged(means[0], means[1], means[2], there)


def _row(image: int, kind: int, corners: Sequence[float]) -> dict[str, Any]:
    x1, y1, x2, y2 = corners
    box = [x1, y1, x2 - x1, y2 - y1]
    return {"image_id": image, "category_id": kind, "bbox": box, "area": box[2] * box[3]}


def _mean(precision: Any) -> float | None:
    there = precision[precision > -1]
    return float(there.mean()) if there.size else None
