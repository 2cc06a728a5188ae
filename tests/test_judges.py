"""Judges against libraries that nobody here wrote: scikit-learn, torchvision, torchmetrics, pycocotools."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.metrics
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torchmetrics.classification import MulticlassAccuracy, MulticlassJaccardIndex
from torchvision.ops import box_iou

import cnnspec
from cnnspec import coco_precision, datasets, dense, evaluating, judges
from cnnspec.boxes import letterbox
from cnnspec.datasets import Boxes
from cnnspec.diagnostics import RunError, UsageError
from cnnspec.grids import Detections
from cnnspec.predicting import Preparation
from cnnspec.recipe_heads import Detect as Options
from door import write
from small import HEADS, TWO, spec

SIZE = (28, 40)
LABELS = {"classes": "abc", "box": "", "boxes": "abc", "masks": "abc"}


def network(folder: Path, text: str, labels: Sequence[str], table: dict[str, Any], fit: Any = "stretch") -> Any:
    """A network that gives `table[output][i]` for the image whose first pixel is i."""
    graph = cnnspec.compile(write(folder, text)).inference()
    how = Preparation(3, *SIZE, fit, [0.0] * 3, [1.0] * 3)
    run = lambda pixels: {name: rows[pixels[:, 0, 0, 0]] for name, rows in table.items()}  # noqa: E731
    return judges.Network(graph, tuple(labels), how, run)


def part(
    number: int, classes: Any = None, boxes: Any = None, masks: Any = None, sizes: Sequence[tuple[int, int]] = ()
) -> datasets.Part:
    images = np.zeros((number, *SIZE, 3), np.uint8)
    images[:, 0, 0, 0] = np.arange(number)
    held = datasets.Images(number, lambda position: images[position], images)
    shapes = np.asarray(sizes or [SIZE] * number)
    place = lambda position: f"i{position}"  # noqa: E731
    return datasets.Part(held, classes, place, np.arange(number), number, shapes, boxes, masks)


def outcome(found: Any, parts: list[datasets.Part], batch: int = 3) -> judges.Outcome:
    asked = judges.of(found, Options())
    return evaluating.evaluate(found, asked, parts, batch).outcomes[0]


@pytest.mark.parametrize("batch", [1, 7, 64])
@pytest.mark.parametrize(("classes", "lowest"), [(3, False), (3, True), (12, False)])
def test_classes(tmp_path: Path, batch: int, classes: int, lowest: bool) -> None:
    random = np.random.default_rng(classes)
    scores = random.standard_normal((50, classes)).astype(np.float32)
    true = random.integers(0, classes - 1, 50)
    text = spec("classes").replace("dense(3)", f"dense({classes})")
    text = text.replace("classify: {}", "classify: {lowest: true}") if lowest else text
    table = {"out": -scores if lowest else scores}
    parts = [part(50, true)]
    ticks: list[int] = []
    found = network(tmp_path, text, [str(number) for number in range(classes)], table)
    one = evaluating.evaluate(found, judges.of(found, Options()), parts, batch, ticks.append).outcomes[0]
    assert ticks == [50] * 50
    guessed, everything = scores.argmax(1), np.arange(classes)
    assert one.confusion is not None
    assert np.array_equal(one.confusion, sklearn.metrics.confusion_matrix(true, guessed, labels=everything))
    wanted = {"top1": sklearn.metrics.accuracy_score(true, guessed)}
    if classes > 5:
        wanted["top5"] = sklearn.metrics.top_k_accuracy_score(true, scores, k=5, labels=everything)
    assert one.metrics == pytest.approx(wanted)
    precision, recall, _, support = sklearn.metrics.precision_recall_fscore_support(
        true, guessed, labels=everything, zero_division=np.nan
    )
    assert [row["images"] for row in one.classes] == support.tolist()
    for name, values in (("precision", precision), ("recall", recall)):
        assert [row[name] if row[name] is not None else np.nan for row in one.classes] == pytest.approx(
            values.tolist(), nan_ok=True
        )
    assert -one.quality.mean() == pytest.approx(
        float(torch.nn.functional.cross_entropy(torch.from_numpy(scores), torch.from_numpy(true))), rel=1e-5
    )


def test_equal_scores_go_to_the_first_class(tmp_path: Path) -> None:
    found = network(tmp_path, spec("classes"), "abc", {"out": np.zeros((2, 3), np.float32)})
    one = outcome(found, [part(2, np.array([0, 2]))])
    assert one.metrics == {"top1": 0.5}
    assert [row["label"] for row in one.classes if row["precision"] is None] == ["b", "c"]


@pytest.mark.parametrize("fit", ["stretch", "letterbox"])
def test_one_box(tmp_path: Path, fit: str) -> None:
    random = np.random.default_rng(0)
    sizes = [(30, 40), (28, 40), (60, 50)]
    true = [np.array([[3, 2, 20, 25]], np.float32), np.array([[0, 0, 40, 28]]), np.array([[10, 9, 30, 50]])]
    numbers = random.uniform(0.3, 0.8, (3, 4)).astype(np.float32)
    numbers[2, 3] = -0.5  # a negative root is a box of nothing
    held = [Boxes(np.zeros(1, np.int64), one.astype(np.float32), np.zeros(1, np.bool_)) for one in true]
    one = outcome(network(tmp_path, spec("box"), (), {"out": numbers}, fit), [part(3, boxes=held, sizes=sizes)])
    for number, ((height, width), corners) in enumerate(zip(sizes, true, strict=True)):
        left, top, wide, high = letterbox((width, height), *SIZE) if fit == "letterbox" else (0, 0, 40, 28)
        there = corners.astype(float)
        there[:, 0::2] = there[:, 0::2] * wide / width + left
        there[:, 1::2] = there[:, 1::2] * high / height + top
        x, y, w, h = numbers[number].astype(float)
        w, h = max(w, 0) ** 2, max(h, 0) ** 2
        guess = np.array([[(x - w / 2) * 40, (y - h / 2) * 28, (x + w / 2) * 40, (y + h / 2) * 28]])
        assert one.quality[number] == pytest.approx(
            float(box_iou(torch.from_numpy(guess), torch.from_numpy(there))), abs=1e-5
        )
    assert one.metrics == {"iou": pytest.approx(one.quality.mean()), "iou50": (one.quality >= 0.5).mean()}
    assert one.classes == []


@pytest.mark.parametrize("fit", ["stretch", "letterbox"])
def test_masks(tmp_path: Path, fit: str) -> None:
    random = np.random.default_rng(0)
    scores = random.standard_normal((4, 3, *SIZE)).astype(np.float32)
    sizes = [SIZE, (56, 80), (14, 20), SIZE]  # of the input's ratio: both fits see all
    masks = [random.integers(0, 2, size).astype(np.uint8) for size in sizes]  # no pixel is of class 2
    masks[0][:5] = 255
    masks[3][:] = 255
    one = outcome(
        network(tmp_path, spec("masks"), "abc", {"out": scores}, fit), [part(4, masks=masks.__getitem__, sizes=sizes)]
    )
    guessed = [
        torch.nn.functional.interpolate(torch.from_numpy(row[None]), size, mode="bilinear").argmax(1)[0]
        for row, size in zip(scores, sizes, strict=True)
    ]
    flat = torch.cat([guess.flatten() for guess in guessed])
    true = torch.from_numpy(np.concatenate([mask.ravel() for mask in masks])).long()
    each = MulticlassJaccardIndex(3, average="none", ignore_index=255)(flat, true)
    right = MulticlassAccuracy(3, average="micro", ignore_index=255)(flat, true)
    assert [row["iou"] for row in one.classes] == pytest.approx(each.tolist(), abs=1e-6)
    assert one.metrics == {
        "mean_iou": pytest.approx(float(each.mean()), abs=1e-6),
        "pixel_accuracy": pytest.approx(float(right), abs=1e-6),
    }
    assert [row["recall"] for row in one.classes][2] is None
    assert one.quality[3] == 0
    first = MulticlassJaccardIndex(3, average="none", ignore_index=255)(guessed[0], torch.from_numpy(masks[0]).long())
    assert one.quality[0] == pytest.approx(float(first.mean()), abs=1e-6)


def test_masks_of_free_sizes_are_those_of_predict(tmp_path: Path) -> None:
    text = spec("masks").replace("28, 40", "4*h, 4*w")
    graph = cnnspec.compile(write(tmp_path, text)).inference()
    how = Preparation(3, 8, 8, "stretch", [0.0] * 3, [1.0] * 3)
    shapes: list[Any] = []

    def run(pixels: Any) -> dict[str, Any]:
        shapes.append(pixels.shape)
        return {"out": pixels.transpose(0, 3, 1, 2).astype(np.float32)}

    found = judges.Network(graph, tuple("abc"), how, run)
    random = np.random.default_rng(0)
    images = [random.integers(0, 256, (height, width, 3), np.uint8) for height, width in ((9, 13), (8, 20), (27, 5))]
    sizes = np.array([image.shape[:2] for image in images])
    held = datasets.Images(3, images.__getitem__, images)
    masks = [dense.segment(found.dense("out"), image, "i")[0] for image in images]
    whole = datasets.Part(held, None, str, np.arange(3), 3, sizes, masks=masks.__getitem__)
    shapes.clear()
    one = evaluating.evaluate(found, judges.of(found, Options()), [whole], 64).outcomes[0]
    assert shapes == [(1, 12, 16, 3), (1, 8, 20, 3), (1, 28, 8, 3)]
    assert one.metrics == {"mean_iou": 1.0, "pixel_accuracy": 1.0}
    assert one.confusion is not None
    assert one.confusion.sum() == sizes.prod(1).sum()


def scene(number: int, hard: bool) -> tuple[list[Any], list[Boxes]]:
    """What was found and what is there: guesses near the truth, some of another class, some twice, some of nothing."""
    random = np.random.default_rng(number)
    found, truth = [], []
    for _ in range(number):
        count = int(random.integers(0, 6))
        low = random.uniform(0, 60, (count, 2))
        true = np.concatenate([low, low + random.uniform(4, 30, (count, 2))], 1).astype(np.float32)
        classes = random.integers(0, 3, count)
        near = np.repeat(true, 2, axis=0) + random.normal(0, 2.5, (2 * count, 4)).astype(np.float32)
        near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + 1)
        guessed = np.where(random.random(2 * count) < 0.2, (np.repeat(classes, 2) + 1) % 3, np.repeat(classes, 2))
        scores = np.round(random.random(2 * count), 2).astype(np.float32)  # some are equal
        order = np.argsort(-scores, kind="stable")
        found.append(Detections(near[order], scores[order], guessed[order]))
        truth.append(Boxes(classes, true, random.random(count) < (0.3 if hard else 0)))
    return found, truth


@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("number", [1, 5, 40])
def test_coco_is_pycocotools_s(number: int, hard: bool) -> None:
    found, truth = scene(number, hard)
    one = coco_precision.judged(found, truth)
    annotations = [
        {
            "id": 0, "image_id": image, "category_id": int(label), "iscrowd": int(difficult),
            "bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1),
        }
        for image, boxes in enumerate(truth)
        for label, (x1, y1, x2, y2), difficult in
        zip(boxes.classes, boxes.corners.astype(float), boxes.difficult, strict=True)
    ]  # fmt: skip
    for place, annotation in enumerate(annotations):
        annotation["id"] = place + 1
    guesses = [
        {"image_id": image, "category_id": int(label), "bbox": [x1, y1, x2 - x1, y2 - y1], "score": float(score)}
        for image, guess in enumerate(found)
        for label, (x1, y1, x2, y2), score in zip(guess.classes, guess.corners.astype(float), guess.scores, strict=True)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO()
        known.dataset = {
            "images": [{"id": image} for image in range(number)],
            "annotations": annotations,
            "categories": [{"id": label} for label in range(3)],
        }
        known.createIndex()
        judging = COCOeval(known, known.loadRes(guesses), "bbox")
        judging.params.maxDets = [1, 10, 300]
        judging.evaluate()
        judging.accumulate()
    precision = judging.eval["precision"][..., 0, -1]
    for value, some in ((one.map, precision), (one.map50, precision[0]), (one.map75, precision[5])):
        assert value == pytest.approx(some[some > -1].mean(), abs=1e-9)
    for label, whole in one.classes.items():
        assert whole == pytest.approx(precision[..., label].mean(), abs=1e-9)
    assert set(one.classes) == {label for label in range(3) if precision[..., label].max() > -1}


def test_nothing_found_and_nothing_there_is_nothing() -> None:
    none = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))
    box = Boxes(np.array([1]), np.array([[0, 0, 2, 2]], np.float32), np.array([False]))
    assert coco_precision.judged([none], [box]) == coco_precision.Judged(0, 0, 0, {1: 0.0})
    assert coco_precision.judged([none], [box.take(np.array([], np.int64))]) == coco_precision.Judged(0, 0, 0, {})


def test_boxes_are_judged_in_the_images_own_pixels(tmp_path: Path) -> None:
    """One cell of stride 4 that says what it sees: sure of class 1, anchor 20 x 20, at column 4 and row 3."""
    maps = np.full((2, 8, 7, 10), -20, np.float32)
    maps[:, :4] = 0
    maps[:, 4, 3, 4] = maps[:, 6, 3, 4] = 20
    sizes = [SIZE, (56, 120)]  # stretched: twice as high, three times as wide
    centre, half = np.array([4.5 * 4, 3.5 * 4]), 10.0
    first = np.concatenate([centre - half, centre + half])[None]
    corners = [first, first * [3, 2, 3, 2]]
    held = [Boxes(np.array([1]), one.astype(np.float32), np.zeros(1, np.bool_)) for one in corners]
    one = outcome(network(tmp_path, spec("boxes"), "abc", {"out": maps}), [part(2, boxes=held, sizes=sizes)])
    assert one.metrics == {name: pytest.approx(1) for name in ("map", "map50", "map75", "voc2007", "voc2010")}
    assert one.quality.tolist() == [1, 1]
    assert [row["boxes"] for row in one.classes] == [0, 2, 0]
    assert [row["map"] for row in one.classes] == [None, pytest.approx(1), None]
    assert one.protocols[0] == coco_precision.protocol(0.001)


def test_several_heads_have_metrics_of_their_names(tmp_path: Path) -> None:
    table = {"place": np.full((2, 4), 0.5, np.float32), "logits": np.eye(3, dtype=np.float32)[:2]}
    held = [Boxes(np.array([0]), np.array([[15, 10.5, 25, 17.5]], np.float32), np.zeros(1, np.bool_))] * 2
    found = network(tmp_path, TWO, "abc", table)
    asked = judges.of(found, Options())
    result = evaluating.evaluate(found, asked, [part(1, np.array([0]), held), part(1, np.array([1]), held)], 8)
    assert evaluating.names(asked) == ["place_iou", "place_iou50", "logits_top1"]
    assert result.metrics == {"place_iou": pytest.approx(1), "place_iou50": 1.0, "logits_top1": 0.5}
    assert [result.place(number)[1] for number in range(2)] == [0, 0]
    assert result.place(1)[0] is result.parts[1]


@pytest.mark.parametrize("kind", HEADS)
def test_broken_weights_and_nothing_are_named(tmp_path: Path, kind: str) -> None:
    shape = {"classes": (3,), "box": (4,), "boxes": (8, 7, 10), "masks": (3, *SIZE)}[kind]
    table = np.zeros((4, *shape), np.float32)
    table[2].flat[1] = np.nan
    found = network(tmp_path, spec(kind), LABELS[kind], {"out": table})
    held = Boxes(np.zeros(1, np.int64), np.array([[0, 0, 9, 9]], np.float32), np.zeros(1, np.bool_))
    whole = part(4, np.zeros(4, np.int64), [held] * 4, lambda position: np.zeros(SIZE, np.uint8))
    with pytest.raises(RunError, match="i2: the network gives scores that are not finite: its weights are broken"):
        outcome(found, [whole])
    with pytest.raises(RunError, match="there are no images to evaluate on"):
        outcome(found, [])


def test_masks_want_the_whole_image(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="small sees a part of an image alone: masks want stretch or letterbox"):
        judges.of(network(tmp_path, spec("masks"), "abc", {}, "crop"), Options())
