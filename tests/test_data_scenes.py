"""The built-in data with boxes and masks: what is promised of it, held against its pixels."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from cnnspec import datasets
from cnnspec.datasets import Wanted, scenes
from cnnspec.datasets.digits import LABELS, digits
from cnnspec.datasets.splitting import PARTS, split
from cnnspec.diagnostics import MissingError, UsageError

KINDS = {
    "digits-located": frozenset({"classes", "box"}),
    "digits-scenes": frozenset({"boxes"}),
    "digits-masks": frozenset({"masks"}),
}


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixty images a part, the first of those there are."""
    monkeypatch.setattr(scenes, "scenes", scenes.scenes.__wrapped__)
    for name, kind in scenes.KINDS.items():
        few = scenes.Kind(kind.size, kind.digits, kind.heights, dict.fromkeys(PARTS, 60))
        monkeypatch.setitem(scenes.KINDS, name, few)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", KINDS)
def test_the_data_is_read_as_any_other(name: str, channels: int) -> None:
    found = datasets.find(name, channels)
    classes = 11 if name == "digits-masks" else 10
    loaded = datasets.load(name, found.parts, Wanted(channels, 0, 0, None, classes, kinds=KINDS[name]), found.faults)
    assert loaded.warnings == []
    assert found.labels == ("background", *LABELS)[11 - classes :]
    size = scenes.KINDS[name].size
    for part in loaded.parts.values():
        assert part.images.one(0).shape == (size, size, channels)
        assert part.sizes.tolist() == [[size, size]] * 60
    one = loaded.parts["train"]
    if name == "digits-located":
        assert one.classes is not None
        assert one.boxes is not None
        assert [box.classes.tolist() for box in one.boxes] == [[label] for label in one.classes]


@pytest.mark.parametrize("name", KINDS)
def test_the_same_seed_gives_the_same_images(name: str) -> None:
    once, again, other = (scenes.scenes(name, "test", seed) for seed in (0, 0, 1))
    for a, b in zip(once, again, strict=True):
        assert np.array_equal(a.image, b.image)
        assert np.array_equal(a.mask, b.mask)
        assert np.array_equal(a.boxes.corners, b.boxes.corners)
    assert not any(np.array_equal(a.image, b.image) for a, b in zip(once, other, strict=True))


def test_parts_share_no_digit_and_no_pixel() -> None:
    strips = sorted(scenes.STRIPS.values())
    assert strips[0][0] == 0
    assert strips[-1][1] == scenes._photos()[0].shape[1]
    assert all(left[1] == right[0] for left, right in pairwise(strips))
    classes = digits()[1]
    test, *rest = (set(part.tolist()) for part in split(classes, (0.2, 0.2), 0))
    assert not any(test & other for other in rest)
    assert len(test) + sum(map(len, rest)) == len(classes)


def test_each_part_takes_its_own_digits_and_strip(monkeypatch: pytest.MonkeyPatch) -> None:
    pens, classes = scenes._digits()
    tall = np.zeros((427, 640, 3), np.uint8)
    for number, (left, right) in enumerate(scenes.STRIPS.values()):
        tall[:, left:right] = 60 * number
    marked = [pen.point(lambda _, i=i: i % 251) for i, pen in enumerate(pens)]  # every digit a grey of its own
    monkeypatch.setattr(scenes, "_photos", lambda: (tall,))
    monkeypatch.setattr(scenes, "_digits", lambda: (marked, classes))
    seen: dict[str, set[int]] = {}

    def write(image: object, mask: object, ink: object, *rest: object) -> None:
        return None

    def ink(pen: object, kind: object, random: object) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
        seen.setdefault(part, set()).add(next(i for i, one in enumerate(marked) if one is pen))
        return np.ones((8, 8), np.float32)

    monkeypatch.setattr(scenes, "_ink", ink)
    monkeypatch.setattr(scenes, "_write", write)
    for number, part in enumerate(scenes.STRIPS):
        for one in scenes.scenes("digits-scenes", part):
            assert np.unique(one.image).tolist() == [60 * number]
    assert not any(seen[a] & seen[b] for a, b in (("train", "test"), ("train", "validation"), ("validation", "test")))


def test_boxes_close_around_the_ink() -> None:
    for one in scenes.scenes("digits-located", "train"):
        rows, columns = (np.flatnonzero(((one.mask > 0) & (one.mask < 255)).any(axis)) for axis in (1, 0))
        assert one.boxes.corners.tolist() == [[columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]]
        assert set(np.unique(one.mask)) - {0, 255} == {one.boxes.classes[0] + 1}


def test_scenes_hold_digits_that_hardly_overlap() -> None:
    numbers = []
    for one in scenes.scenes("digits-scenes", "train"):
        corners = one.boxes.corners
        numbers.append(len(corners))
        assert corners.min() >= 0
        assert corners.max() <= 128
        for i, a in enumerate(corners):
            for b in corners[:i]:
                width, height = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
                smaller = min((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
                assert max(0, width) * max(0, height) <= 0.05 * smaller
    assert min(numbers) >= 1
    assert max(numbers) <= 8
    assert 4 <= np.mean(numbers) <= 6


@pytest.mark.parametrize("name", KINDS)
def test_digits_stand_out_from_what_is_around_them(name: str) -> None:
    differences = []
    for one in scenes.scenes(name, "test"):
        grey = one.image @ np.array([0.299, 0.587, 0.114])
        for label, (x1, y1, x2, y2) in zip(one.boxes.classes, one.boxes.corners.astype(int), strict=True):
            spot, mask = grey[y1:y2, x1:x2], one.mask[y1:y2, x1:x2]
            if (mask == 0).sum() > 10:
                differences.append(abs(spot[mask == label + 1].mean() - spot[mask == 0].mean()))
    assert np.mean(differences) > 80
    assert np.quantile(differences, 0.02) > 30


def test_every_class_comes() -> None:
    for name in KINDS:
        seen = {int(label) for one in scenes.scenes(name, "train") for label in one.boxes.classes}
        assert seen == set(range(10))


def test_what_it_does_not_have_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="the data 'digits-masks' has 1 or 3 channels, the network's input has 4"):
        datasets.find("digits-masks", 4)

    def gone() -> None:
        raise ModuleNotFoundError("No module named 'sklearn'")

    monkeypatch.setattr(scenes, "_digits", gone)
    with pytest.raises(MissingError, match=r"the data 'digits-scenes' needs scikit-learn\n  help: pip install"):
        datasets.find("digits-scenes", 3)
