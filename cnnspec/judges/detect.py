"""Boxes: average precision by COCO's protocol and by VOC's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, final

import numpy as np

from cnnspec import boxes, coco_precision
from cnnspec.dense import CONFIDENCE, best
from cnnspec.diagnostics import MissingError
from cnnspec.grids import Detections, grids_of
from cnnspec.judges.base import Network, Outcome
from cnnspec.precision import PROTOCOLS, Curve, Rule, average_precision, curve

if TYPE_CHECKING:
    from cnnspec.datasets import Boxes, Part
    from cnnspec.judges.base import Outputs
    from cnnspec.recipe_heads import Detect as Options

GIVEN = ", after the model's own suppression"
RULES: tuple[Rule, ...] = ("voc2007", "voc2010")


@final
class Detect:
    """Maps of cells against boxes, in pixels of the images, cut off at their edges as `predict` gives them.

    `quality` is 2 r / (f + t) of the f boxes of an image that predict shows (scores above `CONFIDENCE`), its t true
    ones that are not difficult, and the r of these that were found (IoU at least 0.5, VOC's matching).
    """

    needs = frozenset({"boxes"})
    metrics: tuple[str, ...] = ("map", "map50", "map75", "voc2007", "voc2010")

    def __init__(self, network: Network, head: str, options: Options) -> None:
        """`options` say what boxes count. Raises UsageError as `cnnspec.grids.grids_of`."""
        self.head, self.labels, self.how = head, network.labels, network.preparation
        self.grids, self.options = grids_of(network.graph, head), options
        self.suppressed = network.suppressed == head
        self.confidence = network.confidence if self.suppressed else options.confidence
        self.found: list[Detections] = []
        self.truth: list[Boxes] = []

    def update(self, outputs: Outputs, part: Part, positions: Sequence[int]) -> None:
        assert part.boxes is not None  # asked for by `needs`
        self.found += self.detections(outputs, part, positions)
        self.truth += [part.boxes[position] for position in positions]

    def detections(self, outputs: Outputs, part: Part, positions: Sequence[int]) -> list[Detections]:
        """What was found in each image, in its own pixels."""
        if self.suppressed:
            there = [outputs["images"] == number for number in range(len(positions))]
            raw = [Detections(outputs["boxes"][i], outputs["scores"][i], outputs["classes"][i]) for i in there]
        else:
            raw = best(outputs, self.grids, self.options.confidence, self.options.overlap)
        found = []
        for one, position in zip(raw, positions, strict=True):
            height, width = part.sizes[position].tolist()
            place = boxes.placed((width, height), self.how.height, self.how.width, self.how.fit)
            found.append(Detections(place.back(one.corners), one.scores, one.classes))
        return found

    def outcome(self) -> Outcome:
        judged = _coco(self.found, self.truth)
        curves = {label: curve(self.found, self.truth, which) for which, label in enumerate(self.labels)}
        voc = [{rule: average_precision(one, rule) for rule in RULES} for one in curves.values()]
        there = [one for one in voc if not np.isnan(one["voc2010"])]
        means: dict[str, float] = {rule: sum(one[rule] for one in there) / max(1, len(there)) for rule in RULES}
        rows = [
            _row(label, one, judged.classes.get(which), values)
            for which, ((label, one), values) in enumerate(zip(curves.items(), voc, strict=True))
        ]
        quality = np.asarray([_quality(*both) for both in zip(self.found, self.truth, strict=True)])
        metrics = {"map": judged.map, "map50": judged.map50, "map75": judged.map75, **means}
        protocol = coco_precision.protocol(self.confidence)
        protocols = (f"{protocol}{GIVEN * self.suppressed}", *PROTOCOLS.values())
        return Outcome(self.head, "detect", metrics, quality, rows, "map", protocols=protocols, curves=curves)


def _coco(found: Sequence[Detections], truth: Sequence[Boxes]) -> coco_precision.Judged:
    try:
        return coco_precision.judged(found, truth)
    except ModuleNotFoundError as error:
        raise MissingError(f"mean average precision needs {error.name}", "pip install 'cnnspec[train]'") from None


def _row(label: str, one: Curve, whole: float | None, voc: dict[Rule, float]) -> dict[str, Any]:
    row: dict[str, Any] = {"label": label, "boxes": one.boxes, "map": whole}
    for rule, value in voc.items():
        row[rule] = None if np.isnan(value) else value
    return row


def _quality(found: Detections, truth: Boxes) -> float:
    shown = found.scores > CONFIDENCE
    kept = Detections(found.corners[shown], found.scores[shown], found.classes[shown])
    right = counted = there = 0
    for which in np.union1d(kept.classes, truth.classes):
        one = curve([kept], [truth], int(which))
        counted, there = counted + len(one.scores), there + one.boxes
        right += round(float(one.precision[-1]) * len(one.scores)) if len(one.scores) else 0
    return 2 * right / (counted + there) if counted + there else 1.0
