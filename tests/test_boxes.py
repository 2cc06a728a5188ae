"""Overlaps, suppression and anchors against torchvision, and against boxes painted on a grid of pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torchvision import ops

from cnnspec import anchors, boxes, vision
from cnnspec.diagnostics import RunError


def some(count: int, seed: int = 0, whole: bool = False) -> Any:
    """Corners of random boxes in a frame of 100; with `whole` at whole numbers, where overlaps tie."""
    random = np.random.default_rng(seed)
    first, size = random.uniform(0, 60, (count, 2)), random.uniform(5, 40, (count, 2))
    corners = np.concatenate([first, first + size], axis=1).astype(np.float32)
    return np.round(corners / 10) * 10 + [0, 0, 10, 10] if whole else corners


@pytest.mark.parametrize(("left", "right"), [(0, 3), (1, 1), (40, 50)])
def test_iou_is_torchvisions(left: int, right: int) -> None:
    a, b = some(left, 1), some(right, 2)
    due = ops.box_iou(torch.from_numpy(a), torch.from_numpy(b)).numpy()
    np.testing.assert_allclose(boxes.iou(a, b), due, rtol=1e-5, atol=1e-7)


def test_iou_counts_pixels() -> None:
    corners = some(12, whole=True).astype(int)
    frame = np.zeros((len(corners), 120, 120), bool)
    for number, (left, top, right, bottom) in enumerate(corners):
        frame[number, top:bottom, left:right] = True
    for i in range(len(corners)):
        for j in range(len(corners)):
            due = (frame[i] & frame[j]).sum() / (frame[i] | frame[j]).sum()
            assert boxes.iou(corners[i : i + 1], corners[j : j + 1])[0, 0] == pytest.approx(due, abs=1e-12)


def test_boxes_without_area_overlap_nothing() -> None:
    points = np.array([[3.0, 3, 3, 3]])
    assert boxes.iou(points, points)[0, 0] == 0


def test_centres_and_corners_are_torchvisions_and_each_others() -> None:
    corners = some(30)
    due = ops.box_convert(torch.from_numpy(corners), "xyxy", "cxcywh").numpy()
    np.testing.assert_allclose(boxes.to_centres(corners), due, rtol=1e-6)
    np.testing.assert_allclose(boxes.to_corners(boxes.to_centres(corners)), corners, rtol=1e-5)


@pytest.mark.parametrize("count", [0, 1, 2, 300, 4000])
@pytest.mark.parametrize("threshold", [0.0, 0.45, 1.0])
def test_nms_is_torchvisions(count: int, threshold: float) -> None:
    corners = some(count, seed=3)
    random = np.random.default_rng(4)
    scores, classes = random.permutation(count).astype(np.float32) / 4096, random.integers(0, 7, count)
    due = ops.batched_nms(*map(torch.from_numpy, (corners, scores, classes)), threshold).numpy()
    np.testing.assert_array_equal(boxes.nms(corners, scores, classes, threshold), due)


def test_nms_keeps_the_first_of_equals_as_torchvision_does() -> None:
    corners = some(400, seed=5, whole=True).astype(np.float32)
    scores = np.random.default_rng(6).integers(1, 4, 400).astype(np.float32) / 4
    classes = np.zeros(400, np.int64)
    due = ops.nms(torch.from_numpy(corners), torch.from_numpy(scores), 0.5).numpy()
    np.testing.assert_array_equal(boxes.nms(corners, scores, classes, 0.5), due)


def test_nms_by_its_definition() -> None:
    corners = some(200, seed=7)
    random = np.random.default_rng(8)
    scores, classes = random.random(200), random.integers(0, 3, 200)
    kept: list[int] = []
    for i in sorted(range(200), key=lambda i: -scores[i]):
        if not any(classes[i] == classes[j] and boxes.iou(corners[[i]], corners[[j]])[0, 0] > 0.3 for j in kept):
            kept.append(i)
    assert boxes.nms(corners, scores, classes, 0.3).tolist() == kept


@pytest.mark.parametrize("fit", ["stretch", "crop", "letterbox"])
@pytest.mark.parametrize("size", [(64, 48), (30, 90), (7, 7)])
def test_boxes_go_where_pixels_go(fit: vision.Fit, size: tuple[int, int]) -> None:
    width, height = size
    image = np.zeros((height, width, 1), np.uint8)
    left, top, right, bottom = width // 3, height // 3, 2 * width // 3, 2 * height // 3
    image[top:bottom, left:right] = 255
    placing = boxes.placed(size, 320, 256, fit)
    corners = np.array([[left, top, right, bottom]], np.float32)
    moved = placing.into(corners)
    seen = vision.resize(image, 320, 256, fit)[..., 0] > 200 if fit == "letterbox" else None
    seen = vision.resize(image, 320, 256, fit)[..., 0] > 127 if seen is None else seen
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    due = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
    scale = max(placing.scale)
    np.testing.assert_allclose(moved[0], due, atol=1 + scale / 2)
    np.testing.assert_allclose(placing.back(moved), corners, atol=1e-4)


def test_what_lies_outside_the_image_is_cut_off() -> None:
    placing = boxes.placed((64, 48), 320, 320, "letterbox")
    assert placing.back(np.array([[0.0, 0, 320, 320]])).tolist() == [[0, 0, 64, 48]]


def test_letterbox_shows_all_with_grey_beside() -> None:
    image = np.full((48, 64, 3), 200, np.uint8)
    found = vision.resize(image, 320, 320, "letterbox")
    assert (found[40:280] == 200).all()
    assert (found[:40] == vision.GREY).all()
    assert (found[280:] == vision.GREY).all()


GROUPS = np.array([[10.0, 13], [16, 30], [33, 23], [62, 45], [116, 90], [373, 326]])


def test_anchors_find_the_groups_that_are_there() -> None:
    random = np.random.default_rng(0)
    sizes = np.concatenate([group * random.uniform(0.9, 1.1, (200, 2)) for group in GROUPS])
    found = anchors.clusters(sizes, 6)
    np.testing.assert_allclose(found, GROUPS[np.argsort(GROUPS.prod(1))], rtol=0.03)
    fit = anchors.fitted(sizes, found)
    assert fit.recall == 1
    assert fit.mean_iou > 0.9


def test_anchors_are_the_seeds() -> None:
    sizes = some(500)[:, 2:]
    np.testing.assert_array_equal(anchors.clusters(sizes, 5, seed=3), anchors.clusters(sizes, 5, seed=3))


def test_more_anchors_fit_better_than_random_ones() -> None:
    sizes = some(500)[:, 2:]
    reached = [anchors.fitted(sizes, anchors.clusters(sizes, k)).mean_iou for k in (1, 3, 9)]
    assert reached == sorted(reached)
    drawn = [anchors.fitted(sizes, sizes[np.random.default_rng(i).integers(0, 500, 9)]).mean_iou for i in range(50)]
    assert reached[-1] > max(drawn)


def test_an_empty_cluster_takes_the_box_that_fits_worst() -> None:
    sizes = np.array([[10.0, 10], [12, 12], [100, 100]])
    settled = anchors._settled(sizes, np.array([[10.0, 10], [80, 80], [500, 500]]))
    assert settled.tolist() == [[12, 12], [100, 100], [10, 10]]


def test_as_many_anchors_as_sizes_are_the_sizes() -> None:
    sizes = np.repeat(GROUPS, 5, axis=0)
    np.testing.assert_allclose(anchors.clusters(sizes, 6), GROUPS[np.argsort(GROUPS.prod(1))])


def test_too_few_sizes() -> None:
    with pytest.raises(RunError) as error:
        anchors.clusters(np.array([[3.0, 4], [3, 4], [5, 5]]), 3)
    assert error.value.message == "3 anchors want as many different sizes of boxes, the data has 2"
