"""What a recipe may say of heads that look at places: `detect:` and `segment:`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Weight = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Small = Annotated[float, Field(ge=0, lt=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Detect(_Strict):
    """How a head of boxes learns and is judged; sources in cnnspec_torch.tasks.detect."""

    assign: Literal["best", "threshold", "dynamic"] = "best"
    """Which anchors learn a box in the cell that holds its centre: the one of best shape on any grid (YOLOv3), also all
    whose shape overlaps the box's by `fits` (YOLOv4), or those that the network already does best (SimOTA)."""
    fits: Share = 0.3
    """The overlap of shapes from which `threshold` takes an anchor."""
    ignore: Share = 0.5
    """Boxes that overlap a true one by more are no mistake where another anchor was to find it."""
    box: Literal["squared", "giou", "diou", "ciou"] = "ciou"
    """The loss of a box: squared errors weighted by 2 - w * h as in YOLOv3, or 1 less a kind of IoU."""
    object: Literal["one", "iou"] = "one"
    """What objectness is to say where a box is: 1, or how well the box overlaps the true one."""
    box_weight: Weight = 2.0
    object_weight: Weight = 1.0
    class_weight: Weight = 1.0
    label_smoothing: Small = 0.0
    prior: Annotated[float, Field(gt=0, lt=1)] = 0.01
    """What objectness says everywhere before anything is learned (RetinaNet, section 4.1)."""
    confidence: Share = 0.001
    """Boxes of no higher score are left out where the network is judged."""
    overlap: Share = 0.6
    """Non-max suppression leaves out boxes that overlap a better one of their class by more."""


class Segment(_Strict):
    """How a head of masks learns and is judged; sources in cnnspec_torch.tasks.segment."""

    class_weights: Literal["none", "inverse", "median"] | list[Positive] = "none"
    """What the pixels of a class weigh: all alike, by how rare they are in training, or numbers of your own."""
    label_smoothing: Small = 0.0
