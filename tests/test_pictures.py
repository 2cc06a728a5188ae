"""The picture of training samples in a run folder: what the network gets, drawn back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import boxed
import cnnspec
from cnnspec import datasets, recipe
from cnnspec.boxes import to_corners
from cnnspec.datasets.colours import colours
from cnnspec.datasets.sheet import draw_boxes, overlay
from cnnspec_torch import batches, pictures, training
from door import run, write
from small import HEADS, spec, write_data

Capture = pytest.CaptureFixture[str]
SIZE = (28, 40)
SIDE, GAP, CAPTION = pictures.LARGE, 6, 15


@pytest.mark.parametrize("kind", HEADS)
def test_the_sheet_shows_what_the_network_gets(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_data(kind)
    graph = cnnspec.compile(write(tmp_path, spec(kind)))
    chosen = recipe.load("classify", {"data": "d/", "augment": "{flip: horizontal, light: 0.2, shift: 3}"})
    given = training.prepare(graph, chosen, "cpu")
    samples = batches.Samples(given.training, chosen, given.mean, given.std, frozenset({kind}), SIZE, chosen.seed)
    order = batches.Order(given.training, chosen.batch, chosen.seed)
    found = pictures.of_training(samples, order, given.labels)
    images, targets, _ = samples[next(iter(order))]
    side = pictures.SMALL if kind == "classes" else SIDE
    scale = side // SIZE[1]
    legend = 24 if kind == "masks" else 0
    for number in range(6):
        plain = images[number].numpy() * np.array(given.std)[:, None, None] + np.array(given.mean)[:, None, None]
        image = np.rint(255 * plain).astype(np.uint8).transpose(1, 2, 0)
        drawn = truth(np.kron(image, np.ones((scale, scale, 1), np.uint8)), kind, number, targets)
        left = number * (side + GAP) + GAP + (side - drawn.shape[1]) // 2
        top = legend + GAP + (side - drawn.shape[0]) // 2
        cell = found[top : top + drawn.shape[0], left : left + drawn.shape[1]]
        assert np.abs(cell.astype(int) - drawn).max() <= 1


def truth(picture: Any, kind: str, number: int, targets: dict[str, torch.Tensor]) -> Any:
    """A picture, a multiple of the network's input, with the targets of a sample drawn in."""
    height, width = picture.shape[:2]
    if kind == "masks":
        scale = height // SIZE[0]
        mask = np.kron(targets["masks"][number].numpy(), np.ones((scale, scale), np.int64))
        return overlay(picture, mask.astype(np.uint8), colours(3))
    if kind == "classes":
        return picture
    rows = (
        targets["boxes"][targets["boxes"][:, 0] == number].numpy() if kind == "boxes" else np.zeros((1, 6), np.float32)
    )
    centres = rows[:, 2:] if kind == "boxes" else targets["box"][number : number + 1].numpy()
    corners = to_corners(centres) * np.array([width, height, width, height], np.float32)
    boxes = datasets.Boxes(rows[:, 1].astype(np.int64), corners, np.zeros(len(rows), np.bool_))
    return draw_boxes(picture, boxes, boxed.NAMES if kind == "boxes" else ("",))


def test_pixels_undo_normalization() -> None:
    whole = torch.arange(48, dtype=torch.float32).reshape(2, 3, 2, 4) * 5
    mean, std = [0.1, 0.5, 0.9], [0.2, 0.3, 1.0]
    centre, spread = (torch.tensor(some)[:, None, None] for some in (mean, std))
    found = pictures.pixels((whole / 255 - centre) / spread, mean, std)
    assert np.array_equal(found, whole.permute(0, 2, 3, 1).numpy())


def test_every_run_has_it(capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_data("classes")
    write(tmp_path, spec("classes"), "small.yaml")
    answer = run(capsys, "train", "./small.yaml", "--data", "d/", "--epochs", "1", "--device", "cpu", "-o", "a")
    assert answer.code == 0, answer.err
    with Image.open("a/samples.png") as picture:
        assert picture.size == (6 * (pictures.SMALL + GAP) + GAP, pictures.SMALL + GAP + CAPTION + GAP)
