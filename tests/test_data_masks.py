"""Data with masks: folders and Pascal VOC, and every fault in the words a user sees."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from boxed import NAMES, PARTS, draw, mask, pixels, put, read, said, write_masks, write_voc, write_voc_masks
from cnnspec import datasets
from cnnspec.datasets import masks

LAYOUTS: dict[str, Callable[[], None]] = {
    "masks": write_masks,
    "masks by parts": partial(write_masks, pattern="{part}/{kind}"),
    "voc": write_voc_masks,
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_scene(layout: str, given: bool) -> None:
    LAYOUTS[layout]()
    loaded = read("masks", format=layout.split()[0] if given else None)
    assert datasets.find("d/", 3).labels == NAMES
    assert loaded.warnings == []
    for part, numbers in PARTS.items():
        samples = loaded.parts[{"val": "validation"}.get(part, part)]
        assert samples.masks is not None
        for position, number in enumerate(numbers):
            assert np.array_equal(samples.images.one(position), pixels(number))
            assert np.array_equal(samples.masks(position), mask(number))
            assert samples.masks(position).dtype == np.uint8


def test_flat_folders_are_one_part() -> None:
    write_masks()
    Path("d/images/train").rename("d/moved")
    for path in ("d/images", "d/masks"):
        for inside in Path(path).iterdir():
            if inside.name != "train":
                for file in inside.iterdir():
                    file.rename(f"{path}/{file.name}")
                inside.rmdir()
    for file in Path("d/masks/train").iterdir():
        file.unlink()
    assert {name: len(part) for name, part in datasets.find("d/", 3).parts.items()} == {"all": 4}


def test_a_class_that_is_void() -> None:
    write_masks()
    put("d/classes.txt", "ant\nVoid\ncat\n")
    found = datasets.find("d/", 3)
    assert found.labels == ("ant", "cat")
    values = found.parts["train"].masks
    assert values is not None
    due = np.array([0, 255, 1])[np.minimum(mask(0), 2)]
    assert np.array_equal(values(0)[3:], due[3:])
    wanted = datasets.Wanted(3, 0, 0, None, 2, kinds=frozenset({"masks"}))
    assert datasets.load(found.name, found.parts, wanted).warnings == []


def test_one_value_beyond_the_names_is_void_and_said() -> None:
    write_masks()
    put("d/classes.txt", "ant\nbee\n")
    found = datasets.find("d/", 3)
    wanted = datasets.Wanted(3, 0, 0, None, 2, kinds=frozenset({"masks"}))
    loaded = datasets.load(found.name, found.parts, wanted)
    assert loaded.warnings == ["d: the value 2 in 10 masks is no class's; it is taken for void"]
    part = loaded.parts["train"].masks
    assert part is not None
    assert np.array_equal(part(0) == 255, mask(0) >= 2)
    put("d/classes.txt", "ant\n")
    wanted = datasets.Wanted(3, 0, 0, None, 1, kinds=frozenset({"masks"}))
    found = datasets.find("d/", 3)
    with pytest.raises(
        Exception, match=r"10 faults in the data d\n  d/masks/test/i8.png: \d+ pixels of the mask are 2; "
    ):
        datasets.load(found.name, found.parts, wanted)


def test_boxes_or_masks_of_a_voc_folder_as_they_are_wanted() -> None:
    write_voc()
    write_voc_masks()
    assert read("boxes").parts["train"].boxes is not None
    assert read("masks").parts["train"].masks is not None


def save(values: Any, path: str = "d/masks/train/i2.png", **given: Any) -> Callable[[], None]:
    return lambda: Image.fromarray(values, **given).save(path)


def value(number: int, at: int = 5) -> Any:
    found = mask(2)
    found.ravel()[at + 200] = number
    return found


SKIP_LABEL = "\n  help: --on-bad-label skip leaves these labels out and keeps their images"
SKIP = "\n  help: --on-bad-sample skip leaves them out, up to 1% of the samples"
M = "d/masks/train/i2.png"
CASES: list[tuple[Callable[[], None], str]] = [
    (save(value(2)), "nothing"),
    (save(value(255)), "nothing"),
    (save(value(4)), f"{M}: 1 pixels of the mask are 4; allowed are 0 to 2 and 255{SKIP_LABEL}"),
    (save(value(254)), f"{M}: 1 pixels of the mask are 254; allowed are 0 to 2 and 255{SKIP_LABEL}"),
    (save(mask(2)[:-1]), f"{M}: the mask is 40 x 29, its image 40 x 30{SKIP}"),
    (save(mask(2).T.copy()), f"{M}: the mask is 30 x 40, its image 40 x 30{SKIP}"),
    (save(np.pad(mask(2), ((0, 0), (0, 1)))), f"{M}: the mask is 41 x 30, its image 40 x 30{SKIP}"),
    (save(pixels(2)), f"{M}: a mask of mode RGB; one number a pixel is read, its class{SKIP}"),
    (
        save(np.full((30, 40), 256, np.uint16)),
        f"{M}: the mask holds 256; classes are 0 to 254, and 255 is void{SKIP}",
    ),
    (save(np.full((30, 40), 2, np.uint16)), "nothing"),
    (lambda: put(M, "text"), f"{M}: no mask in a known format (PNG, BMP){SKIP}"),
    (lambda: put("d/masks/train/i99.png", "text"), "d/masks/train/i99.png: no image in d/images/train"),
    (Path(M).unlink, "d/images/train/i2.png: no mask in d/masks/train"),
    (lambda: put("d/classes.txt", "a\nb\na\n"), "d/classes.txt: the class 'a' stands twice"),
    (lambda: put("d/classes.txt", "\n"), "d/classes.txt: 0 classes; masks tell 1 to 254 apart"),
    (
        lambda: put("d/classes.txt", "".join(f"{i}\n" for i in range(255))),
        "d/classes.txt: 255 classes; masks tell 1 to 254 apart",
    ),
    (
        lambda: draw("d/images/valid/a.png", 99),
        "d/images/valid: another folder beside it is the validation part too",
    ),
]


@pytest.mark.parametrize(("change", "text"), CASES, ids=[str(i) for i in range(len(CASES))])
def test_a_wrong_mask_is_named(change: Callable[[], None], text: str) -> None:
    write_masks()
    change()
    assert said("masks") == text


def test_a_cut_mask_is_named() -> None:
    write_masks()
    whole = Path(M).read_bytes()
    for end in (len(whole) // 2, len(whole) // 3):
        put(M, whole[:end])
        assert said("masks").startswith(f"{M}: the mask cannot be decoded: ")


def test_an_image_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    write_masks()
    monkeypatch.setattr("cnnspec.vision.PIXELS", 1200)
    assert said("masks") == "nothing"
    monkeypatch.setattr("cnnspec.vision.PIXELS", 1199)
    with pytest.raises(Exception, match=r"i2.png: 1200 pixels, the limit is 1199"):
        masks.read(Path(M))


@pytest.mark.parametrize("mode", ["1", "L", "P", "I;16"])
def test_masks_of_every_mode_are_read(mode: str) -> None:
    values = np.random.default_rng(0).integers(0, 2, (5, 4), np.uint8)
    wide = values.astype(np.uint16) if mode == "I;16" else values
    image = Image.fromarray(values.astype(bool)) if mode == "1" else Image.fromarray(wide)
    if mode == "P":
        image.putpalette([200, 0, 0, 0, 200, 0])
    assert image.mode == mode
    image.save("a.png")
    assert np.array_equal(masks.read(Path("a.png")), values)
