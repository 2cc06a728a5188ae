"""Images on which a network did worst and best, with truth and answer drawn in."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from cnnspec.datasets import Boxes
from cnnspec.datasets.colours import colours
from cnnspec.datasets.parts import shown
from cnnspec.datasets.sheet import draw_boxes, overlay, png, scaled
from cnnspec.dense import CONFIDENCE, located
from cnnspec.judges import classify, detect, locate, segment

if TYPE_CHECKING:
    from cnnspec.datasets import Part
    from cnnspec.evaluating import Evaluation
    from cnnspec.judges import Judge, Network, Outcome
    from cnnspec.judges.base import Outputs
    from cnnspec.vision import Pixels

WORST, BEST = 12, 4
SIDES = {"classify": 112, "locate": 200, "detect": 320, "segment": 240}
"""Pixels of a picture's longer side."""
TRUE, FOUND = (86, 180, 233), (230, 159, 0)
PLAIN = ("background",)
LARGE = 30_000
"""Bytes of a PNG above which a picture is stored as JPEG."""


@dataclass(frozen=True)
class Example:
    """Pictures of one image, each with what it shows, and what is said of it; `place` says which it is."""

    place: str
    pictures: list[tuple[str, bytes, str]]
    """What it shows, the file, and its media type."""
    text: str


def of(network: Network, judges: Sequence[Judge], evaluation: Evaluation) -> list[tuple[list[Example], list[Example]]]:
    """For each head the images of the lowest quality, from the worst on, and those of the highest."""
    found = []
    for judge, outcome in zip(judges, evaluation.outcomes, strict=True):
        order = np.argsort(outcome.quality, kind="stable").tolist()
        worst = order[: min(WORST, len(order) - len(order) // 4)]
        best = order[len(worst) :][::-1][:BEST]
        rows = [[_example(network, judge, outcome, evaluation, image) for image in some] for some in (worst, best)]
        found.append((rows[0], rows[1]))
    return found


def _example(network: Network, judge: Judge, outcome: Outcome, evaluation: Evaluation, image: int) -> Example:
    part, position = evaluation.place(image)
    outputs = network.run(network.pixels(part, [position]))
    side, quality = SIDES[outcome.kind], float(outcome.quality[image])
    picture = scaled(part.images.one(position), side)
    if isinstance(judge, classify.Classify):
        text, pictures = _classes(judge, outputs, part, position), [("", picture)]
    elif isinstance(judge, locate.Locate):
        text, pictures = f"IoU {quality:.2f}", [("", _located(judge, network, outputs, part, position, side))]
    elif isinstance(judge, detect.Detect):
        (found,) = judge.detections(outputs, part, [position])
        assert part.boxes is not None
        there = found.scores > CONFIDENCE
        kept = Boxes(found.classes[there], found.corners[there].astype(np.float32), np.zeros(there.sum(), np.bool_))
        pictures = [
            ("truth", draw_boxes(picture, _moved(part.boxes[position], picture, part, position), judge.labels)),
            (
                "found",
                draw_boxes(picture, _moved(kept, picture, part, position), judge.labels, found.scores[there].tolist()),
            ),
        ]
        text = f"{len(part.boxes[position])} boxes, {len(kept)} found, F1 {quality:.2f}"
    else:
        assert isinstance(judge, segment.Segment)
        assert part.masks is not None
        (scores,) = outputs[judge.output]
        masks = {"truth": part.masks(position), "found": judge.found(scores, part, position)}
        pictures = [(what, _overlaid(picture, mask, judge.labels)) for what, mask in masks.items()]
        text = f"mean IoU {quality:.2f}"
    return Example(shown(part.place(position)), [(what, *_stored(one)) for what, one in pictures], text)


def _classes(judge: classify.Classify, outputs: Outputs, part: Part, position: int) -> str:
    assert part.classes is not None
    parts = np.exp(classify.log_softmax(judge.scores(outputs))[0])
    true, first = int(part.classes[position]), int(judge.scores(outputs)[0].argmax())
    if true == first:
        return f"{judge.labels[true]} ({parts[true]:.1%})"
    return f"{judge.labels[true]} ({parts[true]:.1%}), taken for {judge.labels[first]} ({parts[first]:.1%})"


def _located(judge: locate.Locate, network: Network, outputs: Outputs, part: Part, position: int, side: int) -> Pixels:
    """What the network saw, with both boxes."""
    picture = scaled(network.pixels(part, [position])[0], side)
    (numbers,), scale = outputs[judge.output], picture.shape[1] / network.preparation.width
    for corners, colour in ((judge.truth(part, position), TRUE), (located(numbers, judge.how), FOUND)):
        box = Boxes(np.zeros(1, np.int64), (corners * scale).astype(np.float32), np.zeros(1, np.bool_))
        picture = draw_boxes(picture, box, ("",), colour=colour)
    return picture


def _moved(boxes: Boxes, picture: Pixels, part: Part, position: int) -> Boxes:
    """Boxes of an image in pixels of a picture of it."""
    factor = np.asarray(picture.shape[:2], np.float32) / part.sizes[position]
    return replace(boxes, corners=(boxes.corners * factor[[1, 0, 1, 0]]).astype(np.float32))


def _overlaid(picture: Pixels, mask: Pixels, labels: Sequence[str]) -> Pixels:
    small = np.asarray(Image.fromarray(mask).resize(picture.shape[1::-1], Image.Resampling.NEAREST))
    plain = [number for number, label in enumerate(labels) if label in PLAIN]
    return overlay(picture, small, colours(len(labels)), plain=plain)


def _stored(picture: Pixels) -> tuple[bytes, str]:
    """A file of the picture and its media type: PNG, or JPEG where that is large."""
    plain = png(picture)
    if len(plain) <= LARGE:
        return plain, "image/png"
    data, image = io.BytesIO(), Image.fromarray(np.ascontiguousarray(picture))
    image.save(data, "JPEG", quality=88)
    return data.getvalue(), "image/jpeg"
