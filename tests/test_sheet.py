"""Pictures of samples: what is drawn where, in colours that everyone tells apart."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from cnnspec import datasets
from cnnspec.datasets import Wanted, sheet
from cnnspec.datasets.colours import FIRST, MOST, colours, distance
from cnnspec.datasets.parts import boxes_of

if TYPE_CHECKING:
    from cnnspec.vision import Pixels

NAMES = ("ant", "bee")


def blank(height: int = 120, width: int = 160, channels: int = 3, value: int = 30) -> Pixels:
    return np.full((height, width, channels), value, np.uint8)


@pytest.mark.parametrize(("number", "apart"), [(7, 16), (16, 15), (MOST, 10)])
def test_colours_are_told_apart_by_everyone(number: int, apart: float) -> None:
    """2.3 is what can just be seen: M. Mahy et al.: Evaluation of Uniform Color Spaces, 1994."""
    found = colours(number).astype(np.int64)
    assert (distance(found, found) + 1000 * np.eye(number)).min() > apart
    assert [bytes(colour.tolist()).hex().upper() for colour in colours(7)] == list(FIRST)
    assert np.array_equal(colours(number), colours(300)[:number])
    assert np.array_equal(colours(300)[MOST], colours(1)[0])


def test_distances_are_those_of_cielab() -> None:
    """Red, green and white in CIELAB as B. Lindbloom's calculator gives them."""
    found = distance(np.array([[255, 255, 255]]), np.array([[255, 255, 255], [0, 0, 0]]))
    assert np.allclose(found, [[0, 100]], atol=0.1)
    red_green = distance(np.array([[255, 0, 0]]), np.array([[0, 255, 0]]))[0, 0]
    assert 0 < red_green < 170.57  # of those who see both best; nearer for those who do not


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("difficult", [False, True])
def test_a_box_is_drawn_around_its_pixels(channels: int, difficult: bool) -> None:
    image = blank(320, 320, channels)
    drawn = sheet.draw_boxes(image, boxes_of([1], [(40, 50, 140, 150)], [difficult]), NAMES)
    assert drawn.shape == (320, 320, 3)
    assert (image == 30).all()
    shade = colours(2)[1]
    same = (drawn == shade).all(-1)
    below = same.copy()
    below[:50] = False  # the name stands above
    rows, columns = np.flatnonzero(below.any(1)), np.flatnonzero(below.any(0))
    assert (rows[0], rows[-1], columns[0], columns[-1]) == (50, 149, 40, 139)
    width = 1 if difficult else 2
    assert same[149 - width + 1 : 150, 40:140].all()
    assert not same[149 - width, 50:130].any()
    assert same[30:50].any()


def test_a_name_stays_in_the_picture() -> None:
    for corners in ((0, 0, 10, 10), (150, 0, 160, 8), (150, 110, 160, 120)):
        drawn = sheet.draw_boxes(blank(), boxes_of([0], [corners]), NAMES, scores=[0.87])
        assert (drawn != blank()).any(-1).sum() > 150


def test_names_are_the_classes() -> None:
    boxes = boxes_of([0], [(40, 50, 140, 110)])
    ant, bee = (sheet.draw_boxes(blank(), boxes, names) for names in (("ant",), ("bee",)))
    scored = sheet.draw_boxes(blank(), boxes, ("ant",), [0.5])
    assert not np.array_equal(ant, bee)
    assert not np.array_equal(ant, scored)
    white = sheet.draw_boxes(blank(), boxes, ("ant",), colour=(250, 250, 250))
    assert (white[109, 40:140] == 250).all()
    hostile = sheet.draw_boxes(blank(), boxes, ("a\x1b\n",))
    assert hostile.shape == (120, 160, 3)


@pytest.mark.parametrize("channels", [1, 3])
def test_an_overlay_leaves_what_is_void(channels: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (6, 8, channels), np.uint8)
    mask = np.tile(np.array([0, 1, 255, 7], np.uint8), (6, 2))
    shades = colours(2)
    found = sheet.overlay(image, mask, shades, share=0.25)
    plain = sheet.rgb(image)
    for value in (0, 1):
        due = np.rint(0.75 * plain.astype(float) + 0.25 * shades[value].astype(float))
        assert np.abs(found[mask == value].astype(float) - due[mask == value]).max() <= 1
    assert np.array_equal(found[mask > 1], plain[mask > 1])
    assert np.array_equal(sheet.overlay(image, mask, shades, plain=(0, 1)), plain)


def test_a_sheet_holds_every_image() -> None:
    images = [blank(4, 6, 1, value) for value in (10, 20, 30)] + [blank(500, 200, 3, 40)]
    found = sheet.sheet(images, ["a", "b\nc", "d" * 100, ""], columns=3, side=60)
    assert found.shape == (2 * (60 + sheet.GAP + 30) + sheet.GAP, 3 * (60 + sheet.GAP) + sheet.GAP, 3)
    for value, scale in ((10, 10), (20, 10), (30, 10)):  # letters are smoothed: greys of their own are few
        assert (found == value).all(-1).sum() >= 24 * scale**2
    assert (found == 40).all(-1).sum() >= 60 * 24
    assert sheet.sheet(images[:1], side=60).shape == (60 + 2 * sheet.GAP, 60 + 2 * sheet.GAP, 3)
    assert sheet.sheet([]).shape[2] == 3


def test_a_legend_names_every_class() -> None:
    shades = colours(9)
    found = sheet.legend([f"a long name {number}" for number in range(9)], shades, 300)
    assert found.shape[1] == 300
    for shade in shades:
        assert (found == shade).all(-1).sum() >= sheet.TEXT**2


def test_samples_are_drawn_with_what_is_known() -> None:
    found = datasets.find("digits", 1)
    part = datasets.load("digits", found.parts, Wanted(1, 8, 8, "stretch", 10), found.faults).parts["all"]
    plain = sheet.of_part(part, found.labels or (), range(6), 3)
    assert plain.shape == (2 * (224 + sheet.GAP + 15) + sheet.GAP, 3 * (224 + sheet.GAP) + sheet.GAP, 3)
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    mask = np.zeros((40, 60), np.uint8)
    raw = datasets.Raw(1, lambda i, _: image, str, str, boxes=[boxes_of([1], [(10, 10, 30, 30)])], masks=lambda i: mask)
    for fit in (None, "stretch"):
        kinds = frozenset({"boxes", "masks"})
        wanted = Wanted(3, 80, 60, fit, 2, kinds=kinds)
        drawn = datasets.load("d", {"all": raw}, wanted).parts["all"]
        one = sheet.of_part(drawn, NAMES, [0], side=120)
        rows, columns = np.nonzero((one == colours(2)[1]).all(-1))
        left, top = sheet.GAP, sheet.GAP + 20  # in the middle of a square of 120
        left += 0 if fit is None else 30
        scale = (2, 2) if fit is None else (1, 2)
        assert abs(columns.max() - (left + 30 * scale[0] - 1)) <= 1
        assert abs(rows.max() - (top + 30 * scale[1] - 1)) <= 1


def test_a_picture_becomes_a_file() -> None:
    image = np.random.default_rng(0).integers(0, 256, (5, 4, 1), np.uint8)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(sheet.png(image)))), sheet.rgb(image))
