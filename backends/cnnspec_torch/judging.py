"""Mean average precision by COCO's protocol: torchmetrics over faster-coco-eval."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from cnnspec.coco_precision import Judged
from cnnspec.grids import MOST

Found = tuple[Tensor, Tensor, Tensor]
"""Of one image: corners [k, 4], scores [k] or whether a true box is difficult [k], classes [k]."""


class AveragePrecision:
    """Collects images and judges them together, on all processes. Starts with none."""

    def __init__(self) -> None:
        from torchmetrics.detection import MeanAveragePrecision

        self.metric = MeanAveragePrecision(
            backend="faster_coco_eval",
            iou_thresholds=np.linspace(0.5, 0.95, 10).tolist(),
            rec_thresholds=np.linspace(0, 1, 101).tolist(),  # torchmetrics' own are rounded to float32
            max_detection_thresholds=[1, 10, MOST],
            class_metrics=True,
        )
        self.metric.warn_on_many_detections = False

    def update(self, found: Sequence[Found], truth: Sequence[Found]) -> None:
        """Count images; the truth of each is corners [k, 4] in the same unit of length, whether difficult, classes."""
        guesses = [{"boxes": corners, "scores": scores, "labels": classes} for corners, scores, classes in found]
        self.metric.update(
            guesses, [{"boxes": corners, "iscrowd": hard.int(), "labels": classes} for corners, hard, classes in truth]
        )

    def compute(self) -> Judged:
        """Judge what was counted, and begin anew; 0 where there is no true box."""
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = self.metric.compute()
        self.metric.reset()
        each = {
            int(number): float(value)
            for number, value in zip(found["classes"].reshape(-1), found["map_per_class"].reshape(-1), strict=False)
            if value >= 0
        }
        mean, half, three_quarters = (max(0.0, float(found[key])) for key in ("map", "map_50", "map_75"))
        return Judged(mean, half, three_quarters, each)


def of_targets(targets: Mapping[str, Tensor], images: int, size: Tensor) -> list[Found]:
    """The truth of every image as `AveragePrecision` takes it, of targets in parts of an input of `size`."""
    from torchvision.ops import box_convert

    boxes, hard = targets["boxes"], targets["difficult"]
    corners = box_convert(boxes[:, 2:] * size.repeat(2), "cxcywh", "xyxy")
    image, classes = boxes[:, 0].long(), boxes[:, 1].long()
    order = image.argsort(stable=True)
    counts = torch.bincount(image, minlength=images).tolist()
    parts = (torch.split(one[order], counts) for one in (corners, hard, classes))
    return list(zip(*parts, strict=True))
