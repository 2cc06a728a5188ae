"""Mean average precision against pycocotools, and VOC's rules against a version written box by box."""

from __future__ import annotations

import contextlib
import io
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from cnnspec import coco_precision, precision
from cnnspec.boxes import iou
from cnnspec.coco_precision import Judged
from cnnspec.datasets.parts import Boxes
from cnnspec.drawing import curves
from cnnspec.grids import MOST, Detections
from cnnspec_torch.judging import AveragePrecision

CLASSES = 4


def images(count: int, boxes: int, guesses: int, seed: int, ties: bool = False) -> tuple[list[Detections], list[Boxes]]:
    """Random truth, and guesses near it or anywhere; with `ties` scores repeat."""
    random = np.random.default_rng(seed)
    found, truth = [], []
    for _ in range(count):
        first = random.uniform(0, 250, (boxes, 2))
        true = np.concatenate([first, first + random.uniform(10, 150, (boxes, 2))], axis=1)
        classes = random.integers(0, CLASSES - 1, boxes)  # no box of the last class
        truth.append(Boxes(classes, true, random.random(boxes) < 0.2))
        which = random.integers(0, max(1, boxes), guesses)
        near = true[which] if boxes else np.tile([10.0, 10, 90, 90], (guesses, 1))
        near = near + random.normal(0, 8, (guesses, 4))
        near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + 1)
        labels = classes[which] if boxes else np.zeros(guesses, np.int64)
        labels = np.where(random.random(guesses) < 0.2, random.integers(0, CLASSES, guesses), labels)
        scores = random.integers(1, 9, guesses) / 8 if ties else random.random(guesses)
        order = np.argsort(-scores, kind="stable")
        found.append(Detections(near[order], scores[order], labels[order]))
    return found, truth


SCENES = [
    (6, 8, 30, False),
    (3, 0, 5, False),
    (3, 5, 0, False),
    (1, 1, 1, False),
    (4, 20, 500, False),
    (5, 6, 60, True),
]


def pycocotools_says(
    found: list[Detections], truth: list[Boxes], crowds: bool = False
) -> tuple[float, float, float, dict[int, float]]:
    whole = COCO()
    annotations: list[dict[str, Any]] = []
    for number, one in enumerate(truth):
        rows = zip(one.corners.tolist(), one.classes.tolist(), one.difficult.tolist(), strict=True)
        for (x1, y1, x2, y2), kind, hard in rows:
            row = {"image_id": number, "bbox": [x1, y1, x2 - x1, y2 - y1], "category_id": kind}
            annotations.append({**row, "area": (x2 - x1) * (y2 - y1), "iscrowd": int(hard and crowds)})
    annotations = [{**one, "id": i + 1} for i, one in enumerate(annotations)]
    seen = {one["category_id"] for one in annotations} | {int(k) for one in found for k in one.classes}
    whole.dataset = {
        "images": [{"id": number} for number in range(len(truth))],
        "annotations": annotations,
        "categories": [{"id": kind} for kind in sorted(seen)],
    }
    guesses = [
        {"image_id": number, "bbox": [x1, y1, x2 - x1, y2 - y1], "category_id": kind, "score": score}
        for number, one in enumerate(found)
        for (x1, y1, x2, y2), kind, score in zip(
            one.corners.tolist(), one.classes.tolist(), one.scores.tolist(), strict=True
        )
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        whole.createIndex()
        judge = COCOeval(whole, whole.loadRes(guesses), "bbox")
        judge.params.maxDets = [1, 10, MOST]
        judge.evaluate()
        judge.accumulate()
    precisions = judge.eval["precision"][:, :, :, 0, -1]  # overlaps, recalls, classes

    def mean(values: Any) -> float:
        return float(values[values > -1].mean()) if (values > -1).any() else 0.0

    kinds = {kind: mean(precisions[:, :, i]) for i, kind in enumerate(sorted(seen)) if (precisions[:, :, i] > -1).any()}
    return mean(precisions), mean(precisions[0]), mean(precisions[5]), kinds


def in_training(found: list[Detections], truth: list[Boxes]) -> Judged:
    """As training judges: images come two at a time."""
    judge, tensors = AveragePrecision(), torch.from_numpy
    for start in range(0, len(found), 2):
        some = slice(start, start + 2)
        judge.update(
            [(tensors(one.corners), tensors(one.scores), tensors(one.classes)) for one in found[some]],
            [(tensors(one.corners), tensors(one.difficult), tensors(one.classes)) for one in truth[some]],
        )
    return judge.compute()


@pytest.mark.parametrize("scene", [scene for scene in SCENES if scene[2] > 0])
def test_coco_is_pycocotools(scene: tuple[int, int, int, bool]) -> None:
    found, truth = images(*scene[:3], seed=1, ties=scene[3])
    easy = [Boxes(one.classes, one.corners, np.zeros(len(one), bool)) for one in truth]
    judged = in_training(found, easy)
    *due, each = pycocotools_says(found, truth)
    assert (judged.map, judged.map50, judged.map75) == pytest.approx(tuple(due), abs=1e-6)
    assert judged.classes == pytest.approx(each, abs=1e-6)
    theirs = coco_precision.judged(found, easy)
    assert (theirs.map, theirs.map50, theirs.map75) == pytest.approx(tuple(due), abs=1e-9)
    assert theirs.classes == pytest.approx(each, abs=1e-9)


def test_difficult_boxes_are_pycocotools_crowds() -> None:
    found, truth = images(6, 8, 30, seed=3)
    ours = coco_precision.judged(found, truth)
    *due, each = pycocotools_says(found, truth, crowds=True)
    assert (ours.map, ours.map50, ours.map75) == pytest.approx(tuple(due), abs=1e-9)
    assert ours.classes == pytest.approx(each, abs=1e-9)
    judged = in_training(found, truth)
    assert (judged.map, judged.map50, judged.map75) == pytest.approx(tuple(due), abs=1e-6)
    assert judged.classes == pytest.approx(each, abs=1e-6)


def test_counting_begins_anew() -> None:
    judge = AveragePrecision()
    box, one = torch.tensor([[0.0, 0, 10, 10]]), torch.tensor([0])
    true = (box, torch.tensor([False]), one)
    judge.update([(box, torch.tensor([0.9]), one)], [true])
    assert judge.compute().map == pytest.approx(1)
    judge.update([(box + 50, torch.tensor([0.9]), one)], [true])
    assert judge.compute().map == 0


def test_the_protocol_names_what_was_done() -> None:
    assert coco_precision.protocol(0.001) == (
        "COCO: mean over IoU 0.50 to 0.95, 101 recalls, at most 300 boxes an image with scores above 0.001"
    )


def by_hand(found: list[Detections], truth: list[Boxes], which: int, rule: str) -> float:
    guesses = [
        (-float(s), number, i)
        for number, one in enumerate(found)
        for i, (s, k) in enumerate(zip(one.scores, one.classes, strict=True))
        if k == which
    ]
    taken: set[tuple[int, int]] = set()
    there = sum(int(((one.classes == which) & ~one.difficult).sum()) for one in truth)
    if not there:
        return float("nan")
    right = wrong = 0
    points = [(0.0, 1.0)]
    for _, number, i in sorted(guesses):
        best, at = 0.0, -1
        for j, kind in enumerate(truth[number].classes):
            overlap = float(iou(found[number].corners[[i]], truth[number].corners[[j]])[0, 0])
            if kind == which and overlap > best:
                best, at = overlap, j
        if best >= 0.5 and truth[number].difficult[at]:
            continue
        if best >= 0.5 and (number, at) not in taken:
            taken.add((number, at))
            right += 1
        else:
            wrong += 1
        points.append((right / there, right / (right + wrong)))
    points = points[1:]
    if rule == "voc2007":
        return sum(max((p for r, p in points if r >= t / 10 - 1e-12), default=0.0) for t in range(11)) / 11
    recalls = sorted({r for r, _ in points})
    area, before = 0.0, 0.0
    for recall in recalls:
        area += (recall - before) * max(p for r, p in points if r >= recall)
        before = recall
    return area


@pytest.mark.parametrize("rule", precision.PROTOCOLS)
@pytest.mark.parametrize("scene", SCENES)
def test_voc_is_what_its_rules_say(rule: precision.Rule, scene: tuple[int, int, int, bool]) -> None:
    found, truth = images(*scene[:3], seed=2, ties=scene[3])
    mean, each = precision.mean_average_precision(found, truth, CLASSES, rule)
    due = [by_hand(found, truth, which, rule) for which in range(CLASSES)]
    assert each == pytest.approx(due, nan_ok=True)
    there = [value for value in due if not np.isnan(value)]
    assert mean == pytest.approx(np.mean(there) if there else float("nan"), nan_ok=True)


def test_a_difficult_box_costs_nothing_and_gains_nothing() -> None:
    box = np.array([[0.0, 0, 10, 10], [50, 50, 60, 60]])
    kinds = np.zeros(2, np.int64)
    found = [Detections(box, np.array([0.9, 0.8]), kinds)]
    truth = [Boxes(kinds, box, np.array([True, False]))]
    one = precision.curve(found, truth, 0)
    assert (one.boxes, one.precision.tolist(), one.recall.tolist()) == (1, [1.0], [1.0])


def test_the_picture_shows_the_curves() -> None:
    found, truth = images(6, 8, 30, seed=1)
    names = ["<cat>", "dog", "cow", "none"]
    drawn = {name: precision.curve(found, truth, number) for number, name in enumerate(names)}
    tree = ElementTree.fromstring(curves.svg(drawn, "precision & recall"))
    space = "{http://www.w3.org/2000/svg}"
    lines = [one.attrib["points"].split() for one in tree.iter(f"{space}polyline")]
    texts = [one.text for one in tree.iter(f"{space}text")]
    assert len(lines) == 3  # no box of the last class
    assert texts[0] == "precision & recall"
    for line, (name, one) in zip(lines, drawn.items(), strict=False):
        assert f"{name} {precision.average_precision(one, 'voc2010'):.3f}" in texts
        points = curves.points(one)
        assert len(points) == len(line)
        for point, place in zip(points, line, strict=True):
            x, y = (float(part) for part in place.split(","))
            assert (x - curves.LEFT) / curves.SIDE == pytest.approx(point["recall"], abs=1e-3)
            assert 1 - (y - curves.TOP) / curves.SIDE == pytest.approx(point["precision"], abs=1e-3)
            reached = one.recall >= point["recall"] - 1e-9
            assert point["precision"] == one.precision[reached].max()
            assert point["score"] == one.scores[reached].max()
