"""Boxes, masks and classes beside images: what is kept of each, and every fault in the words a user sees."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cnnspec import datasets
from cnnspec.datasets import Raw, Wanted, classes, samples
from cnnspec.datasets.parts import Boxes, Found, boxes_of
from cnnspec.datasets.sifting import sift
from cnnspec.diagnostics import CnnspecError, RunError, UsageError

WHOLE = (0.0, 0.0, 9.0, 7.0)
HEIGHT, WIDTH = 7, 9
SKIP = "\n  help: --on-bad-label skip leaves these labels out and keeps their images"
BOXES, MASKS, BOX = frozenset({"boxes"}), frozenset({"masks"}), frozenset({"classes", "box"})


def image(position: int, _: int = 3) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(position).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


def raw(number: int = 4, **given: Any) -> Raw:
    return Raw(number, image, lambda i: f"{i}.png", lambda i: f"{i}.txt", **given)


def boxed(*corners: tuple[float, ...], label: int = 1, **given: Any) -> Raw:
    """Four images with a whole box each, the third with those of `corners`."""
    boxes = [boxes_of([1], [WHOLE])] * 4
    boxes[2] = boxes_of([label] * len(corners), corners)
    return raw(boxes=boxes, **given)


def masked(change: tuple[int, int] | None = None, shape: tuple[int, int] = (HEIGHT, WIDTH)) -> Raw:
    """Four images with a mask of zeros each, the third with a pixel changed to a value."""

    def mask(position: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
        found = np.zeros(shape if position == 2 else (HEIGHT, WIDTH), np.uint8)
        if change and position == 2:
            found.ravel()[change[0]] = change[1]
        return found

    return raw(masks=mask)


def load(data: Raw, kinds: frozenset[str], **given: Any) -> datasets.Loaded:
    return datasets.load("d", {"train": data}, Wanted(3, 0, 0, None, 3, kinds=kinds, **given))


def said(data: Raw, kinds: frozenset[str], **given: Any) -> str:
    with pytest.raises(CnnspecError) as caught:
        load(data, kinds, **given)
    return str(caught.value).removeprefix("error: ")


def boxes(part: datasets.Part) -> list[Boxes]:
    assert part.boxes is not None
    return list(part.boxes)


NAN, INF = float("nan"), float("inf")
WRONG = [  # of an image 9 wide and 7 high
    ((2, 3, 2, 5), "is 0 wide and 2 high; both must be more than 0"),
    ((2, 3, 4, 3), "is 2 wide and 0 high; both must be more than 0"),
    ((5, 3, 2, 5), "is -3 wide and 2 high; both must be more than 0"),
    ((2, 3, 4, 1), "is 2 wide and -2 high; both must be more than 0"),
    ((NAN, 3, 4, 5), "is not finite"),
    ((2, 3, INF, 5), "is not finite"),
    ((-0.51, 3, 4, 5), "leaves the image, which is 9 wide and 7 high"),
    ((2, -0.51, 4, 5), "leaves the image, which is 9 wide and 7 high"),
    ((2, 3, 9.51, 5), "leaves the image, which is 9 wide and 7 high"),
    ((2, 3, 4, 7.51), "leaves the image, which is 9 wide and 7 high"),
    ((9, 3, 9.5, 5), "leaves the image, which is 9 wide and 7 high"),
    ((-0.5, 3, 0, 5), "leaves the image, which is 9 wide and 7 high"),
    ((2, 7.1, 4, 7.5), "leaves the image, which is 9 wide and 7 high"),
]


@pytest.mark.parametrize(("corners", "reason"), WRONG)
def test_a_box_that_cannot_be_right_is_named(corners: tuple[float, ...], reason: str) -> None:
    data = boxed(WHOLE, corners)
    assert said(data, BOXES) == f"2.txt: box 1 {reason}{SKIP}"
    written = replace(data, box_place=lambda i, box: f"{i}.txt:{box + 1}: the box '{i} {box}'")
    assert said(written, BOXES) == f"2.txt:2: the box '2 1' {reason}{SKIP}"


@pytest.mark.parametrize(("corners", "reason"), WRONG)
def test_a_bad_box_is_left_out_and_said(corners: tuple[float, ...], reason: str) -> None:
    loaded = load(boxed(corners, WHOLE), BOXES, skip_labels=True)
    assert loaded.warnings == [f"1 bad label is left out; the first: 2.txt: box 0 {reason}"]
    assert len(loaded.parts["train"]) == 4
    assert [one.corners.tolist() for one in boxes(loaded.parts["train"])] == [[list(WHOLE)]] * 4


@pytest.mark.parametrize(
    ("given", "due"),
    [
        (WHOLE, WHOLE),
        ((-0.5, -0.5, 9.5, 7.5), WHOLE),
        ((0, 0, 0.125, 0.125), (0, 0, 0.125, 0.125)),
        ((8.875, 6.75, 9, 7), (8.875, 6.75, 9, 7)),
    ],
)
def test_boxes_at_the_edge_are_good(given: tuple[float, ...], due: tuple[float, ...]) -> None:
    part = load(boxed(given), BOXES).parts["train"]
    assert boxes(part)[2].corners.tolist() == [list(due)]
    assert boxes(part)[2].corners.dtype == np.float32


@pytest.mark.parametrize("corners", [(0, 0, 1, 1), (-0.05, 0, 1, 1.07), (0.25, 0.5, 0.5, 0.75)])
def test_boxes_in_parts_of_the_image_become_pixels(corners: tuple[float, ...]) -> None:
    data = raw(boxes=[boxes_of([1], [corners])] * 4, relative=True)
    due = np.clip(corners, 0, 1) * (9, 7, 9, 7)
    assert np.allclose(boxes(load(data, BOXES).parts["train"])[2].corners, [due], rtol=1e-6)


@pytest.mark.parametrize("label", [-1, 3, 0, 2])
def test_classes_of_boxes_are_in_range(label: int) -> None:
    data = boxed(WHOLE, label=label)
    if 0 <= label < 3:
        assert boxes(load(data, BOXES).parts["train"])[2].classes.tolist() == [label]
    else:
        assert said(data, BOXES) == f"2.txt: box 0 is of a class out of range, allowed are 0 to 2{SKIP}"


@pytest.mark.parametrize(
    ("change", "due"),
    [
        ((5, 3), "2.txt: 1 pixels of the mask are 3; allowed are 0 to 2 and 255"),
        ((5, 254), "2.txt: 1 pixels of the mask are 254; allowed are 0 to 2 and 255"),
        ((5, 2), None),
        ((5, 255), None),
    ],
)
def test_values_of_masks_are_in_range(change: tuple[int, int], due: str | None) -> None:
    if due is None:
        assert load(masked(change), MASKS).warnings == []
        return
    assert said(masked(change), MASKS) == f"{due}{SKIP}"
    loaded = load(masked(change), MASKS, skip_labels=True)
    assert loaded.warnings == [f"1 bad label is left out; the first: {due}"]
    masks = loaded.parts["train"].masks
    assert masks is not None
    assert (masks(2).ravel()[5], masks(1).ravel()[5]) == (255, 0)


@pytest.mark.parametrize(("shape", "text"), [((7, 8), "8 x 7"), ((7, 10), "10 x 7"), ((9, 7), "7 x 9")])
def test_a_mask_has_the_size_of_its_image(shape: tuple[int, int], text: str) -> None:
    due = f"2.txt: the mask is {text}, its image 9 x 7\n  help: --on-bad-sample skip leaves them out, up to 1% of the"
    assert said(masked(shape=shape), MASKS).startswith(due)


@pytest.mark.parametrize("kept", [True, False])
def test_images_keep_their_sizes(kept: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnnspec.datasets.loading.free_memory", lambda: 10**6 if kept else 3 * 189)
    seeds = np.random.default_rng(0)
    pictures = [seeds.integers(0, 256, (height, 9, 3), np.uint8) for height in (3, 5, 7, 9)]
    masks = [np.full((height, 9), 1, np.uint8) for height in (3, 5, 7, 9)]
    data = replace(raw(), load=lambda i, _: pictures[i], masks=lambda i: masks[i])
    part = load(data, MASKS).parts["train"]
    assert part.sizes.tolist() == [[3, 9], [5, 9], [7, 9], [9, 9]]
    assert part.masks is not None
    for position in range(4):
        assert np.array_equal(part.images.one(position), pictures[position])
        assert np.array_equal(part.masks(position), masks[position])
    held = [one is not None for one in part.images.kept or ()]
    assert held == ([True] * 4 if kept else [True, True, True, False])


@pytest.mark.parametrize("fit", [None, "stretch"])
def test_a_sample_that_is_left_out_leaves_a_hole(fit: Any) -> None:
    bad = (3, 100)

    def decode(position: int, _: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
        if position in bad:
            raise RunError(f"{position}.png: is broken")
        return image(position)

    labels = np.arange(300) % 3
    data = Raw(300, decode, lambda i: f"{i}.png", lambda i: f"{i}.txt", labels, [boxes_of([0], [WHOLE])] * 300)
    wanted = Wanted(3, HEIGHT, WIDTH, fit, 3, skip=True, kinds=frozenset({"classes", "boxes"}))
    loaded = datasets.load("d", {"train": data}, wanted)
    part = loaded.parts["train"]
    assert loaded.warnings == ["2 of 300 samples are left out; the first: 3.png: is broken (sample 3 of train)"]
    assert part.index.tolist() == [i for i in range(300) if i not in bad]
    assert (len(part), part.total) == (298, 300)
    assert part.classes is not None
    for position, index in enumerate(part.index.tolist()):
        assert np.array_equal(part.images.one(position), image(index))
        assert part.place(position) == f"{index}.png"
        assert part.classes[position] == index % 3


def test_one_box_an_image_says_the_class_too() -> None:
    part = load(boxed(WHOLE, label=2), BOX).parts["train"]
    assert part.classes is not None
    assert part.classes.tolist() == [1, 1, 2, 1]
    given = np.array([0, 1, 2, 0])
    part = load(replace(boxed(WHOLE), classes=given), BOX).parts["train"]
    assert part.classes is not None
    assert part.classes.tolist() == given.tolist()


@pytest.mark.parametrize("number", [0, 2, 3])
def test_one_box_an_image_where_one_is_found(number: int) -> None:
    assert said(boxed(*[WHOLE] * number), BOX).startswith(
        f"2.txt: {number} boxes; the network finds exactly one an image\n  help: --on-bad-sample skip leaves"
    )


LACKS = [
    (raw(classes=np.zeros(4, np.int64)), BOX, "boxes, which the network learns; it has classes of images"),
    (raw(classes=np.zeros(4, np.int64)), BOXES, "boxes, which the network learns; it has classes of images"),
    (boxed(WHOLE), MASKS, "masks, which the network learns; it has boxes"),
    (boxed(WHOLE), frozenset({"classes"}), "classes of images, which the network learns; it has boxes"),
    (raw(), MASKS, "masks, which the network learns"),
]


@pytest.mark.parametrize(("data", "kinds", "text"), LACKS)
def test_data_without_what_is_learned_is_named(data: Raw, kinds: frozenset[str], text: str) -> None:
    with pytest.raises(UsageError) as caught:
        load(data, kinds)
    assert str(caught.value) == f"error: the data 'd' has no {text}"


def test_digits_have_no_boxes() -> None:
    found = datasets.find("digits", 1)
    wanted = Wanted(1, 0, 0, None, 10, kinds=BOX)
    with pytest.raises(UsageError, match="the data 'digits' has no boxes, which the network learns; it has classes"):
        datasets.load(found.name, found.parts, wanted, found.faults)


def test_both_kinds_of_faults_are_told_with_both_ways_out() -> None:
    def decode(position: int, _: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
        if position == 1:
            raise RunError("1.png: is broken")
        return image(position)

    data = replace(boxed((2, 3, 2, 5)), load=decode)
    assert said(data, BOXES) == (
        "2 faults in the data d\n  1.png: is broken (sample 1 of train)\n"
        "  2.txt: box 0 is 0 wide and 2 high; both must be more than 0\n"
        "  help: --on-bad-sample skip leaves them out, up to 1% of the samples; "
        "--on-bad-label skip leaves these labels out and keeps their images"
    )


def test_classes_of_boxes_and_masks_are_matched_by_name() -> None:
    mask = np.array([[0, 1, 2, 3, 254, 255]], np.uint8)
    data = raw(boxes=[boxes_of([0, 1, 7], [WHOLE] * 3)] * 4, masks=lambda i: mask)
    found = classes.matched(Found("d", {"all": data}, ("a", "b")), ("b", "c", "a"))
    part = found.parts["all"]
    assert part.boxes is not None
    assert part.masks is not None
    assert part.boxes[0].classes.tolist() == [2, 0, -1]
    assert part.masks(0).tolist() == [[2, 0, 254, 3, 254, 255]]


def test_room_is_taken_once() -> None:
    room = samples.Room(10)
    assert [room.holds(n) for n in (11, 4, 7, 6, 1, 0)] == [False, True, False, True, False, True]
    wanted = Wanted(3, 4, 4, "stretch", 3, kinds=frozenset())
    assert sift("all", raw(), wanted, samples.Room(4 * 48 - 1), lambda: None).part.images.kept is None
