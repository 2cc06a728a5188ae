"""Images that change with their boxes and masks: where a thing is in the picture, there its label is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from cnnspec import datasets, recipe
from cnnspec.datasets.parts import boxes_of
from cnnspec_torch.augment import Augmented
from cnnspec_torch.batches import Batch, Order, Samples, loader

NEEDS = frozenset({"boxes", "masks"})
PLACES = [(10, 12, 34, 30), (2, 30, 20, 50), (40, 5, 58, 20)]


def part(channels: int = 3, height: int = 56, width: int = 64) -> datasets.Part:
    """Images of one white rectangle on black, its box, and a mask of class 1 over it."""
    images, boxes, masks = [], [], []
    for left, top, right, bottom in PLACES:
        image, mask = np.zeros((height, width, channels), np.uint8), np.zeros((height, width), np.uint8)
        image[top:bottom, left:right] = 255
        mask[top:bottom, left:right] = 1
        images.append(image)
        masks.append(mask)
        boxes.append(boxes_of([1], [[left, top, right, bottom]]))
    number = len(images)
    found = datasets.Images(number, images.__getitem__, images)
    sizes = np.full((number, 2), (height, width))
    index = np.arange(number)
    return datasets.Part(found, None, str, index, number, sizes, boxes, masks.__getitem__)


CHANGES: list[dict[str, Any]] = [
    {"flip": "both"},
    {"shift": 6},
    {"zoom": [0.6, 1.4], "shift": 4},
    {"crop": [0.6, 1.0]},
    {"crop": [0.5, 1.0], "flip": "horizontal", "shift": 3},
    {"light": 0.3, "colour": 0.2},
]


@pytest.mark.parametrize("fit", ["stretch", "crop", "letterbox"])
@pytest.mark.parametrize("change", [{}, *CHANGES], ids=str)
def test_labels_move_with_the_image(change: dict[str, Any], fit: str) -> None:
    made = recipe.Recipe.model_validate({"fit": fit, "augment": change})
    size = (48, 80)
    samples = Augmented(part(), made, NEEDS, bool(change))
    seen = 0
    for seed in range(8):
        images, targets = samples([0, 1, 2], [seed, seed + 100, seed + 200], size)
        assert images.shape == (3, *size, 3)
        for number, (image, mask) in enumerate(zip(images, targets["masks"].numpy(), strict=True)):
            inside = mask != 255
            white = (image.min(axis=2) > 80) & inside
            if not white.any():
                continue
            agree = (white == (mask == 1))[inside].mean()
            assert agree > 0.97, (seed, number)
            (found,) = targets["boxes"][targets["boxes"][:, 0] == number].numpy() * (1, 1, 80, 48, 80, 48)
            rows, columns = np.nonzero(white)
            left, top, right, bottom = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
            due = ((left + right) / 2, (top + bottom) / 2, right - left, bottom - top)
            assert found[1] == 1
            assert found[2:] == pytest.approx(due, abs=2)  # two resamplings blur each edge
            seen += 1
    assert seen > 12


def test_a_turned_box_holds_what_it_held() -> None:
    made = recipe.Recipe.model_validate({"augment": {"rotate": 20, "shear": 10}})
    images, targets = Augmented(part(), made, NEEDS, True)([0, 1, 2] * 5, list(range(15)), (56, 64))
    for number, image in enumerate(images):
        (found,) = targets["boxes"][targets["boxes"][:, 0] == number, 2:].numpy() * (64, 56, 64, 56)
        rows, columns = np.nonzero(image.min(axis=2) > 127)
        assert columns.min() >= found[0] - found[2] / 2 - 1.6
        assert columns.max() + 1 <= found[0] + found[2] / 2 + 1.6
        assert rows.min() >= found[1] - found[3] / 2 - 1.6
        assert rows.max() + 1 <= found[1] + found[3] / 2 + 1.6


def test_a_box_that_left_the_image_is_dropped() -> None:
    made = recipe.Recipe.model_validate({"augment": {"crop": [0.05, 0.1]}})
    _, targets = Augmented(part(), made, NEEDS, True)([0] * 40, list(range(40)), (32, 32))
    boxes = targets["boxes"]
    assert 0 < len(boxes) < 40
    assert (boxes[:, 4:] * 32).min() >= 2
    assert (boxes[:, 2:4] - boxes[:, 4:] / 2).min() >= -1e-6
    assert (boxes[:, 2:4] + boxes[:, 4:] / 2).max() <= 1 + 1e-6


@pytest.mark.parametrize("learning", [True, False])
def test_a_speck_is_judged_but_not_learned(learning: bool) -> None:
    whole = part()
    boxes = boxes_of([0, 1, 0], [(10, 10, 11, 11), (5, 6, 25, 26), (30, 1, 40, 9)], [True, False, True])
    flipping = recipe.Recipe.model_validate({"augment": {"flip": "horizontal"}})
    one = replace(whole, boxes=[boxes] * len(whole.images))
    _, targets = Augmented(one, flipping, frozenset({"boxes"}), learning)([0], [0], whole.images.one(0).shape[:2])
    kept = [1, 2] if learning else [0, 1, 2]
    assert targets["boxes"][:, 1].tolist() == boxes.classes[kept].tolist()
    assert targets["difficult"].tolist() == boxes.difficult[kept].tolist()


@pytest.mark.parametrize("change", [*CHANGES, {"erase": 0.5, "rotate": 10}], ids=str)
def test_a_sample_depends_on_seed_epoch_and_index_alone(change: dict[str, Any]) -> None:
    made = recipe.Recipe.model_validate({"augment": change})
    samples = Samples(part(), made, [0.0] * 3, [1.0] * 3, NEEDS, (32, 32), seed=5)
    images, targets, whole = samples[Batch(3, [0, 1, 2], 3)]
    torch.rand(3)
    alone = [samples[Batch(3, [position], 1)] for position in (2, 0, 1)]
    for position, (image, truth, _) in zip((2, 0, 1), alone, strict=True):
        assert torch.equal(images[position], image[0])
        assert torch.equal(targets["masks"][position], truth["masks"][0])
    assert whole == 3
    assert samples[Batch(3, [0, 1, 2], 3, (48, 64))][0].shape == (3, 3, 48, 64)
    other = samples[Batch(4, [0, 1, 2], 3)][0]
    assert not torch.equal(images, other)


def test_workers_change_nothing() -> None:
    made = recipe.Recipe.model_validate({"augment": {"rotate": 10, "crop": [0.5, 1.0]}})
    samples = Samples(part(), made, [0.0] * 3, [1.0] * 3, NEEDS, (32, 32), seed=5)
    by_workers = [list(loader(samples, Order(part(), 2, seed=1), workers)) for workers in (0, 2)]
    for here, there in zip(*by_workers, strict=True):
        assert torch.equal(here[0], there[0])
        assert all(torch.equal(here[1][name], there[1][name]) for name in here[1])
