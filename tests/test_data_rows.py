"""The rows on data among the bad inputs (B087 to B093), each with what lies at the boundary and on both sides of it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from boxed import an_object, annotation, put, write_list, write_masks, write_voc
from boxed import read as read_as
from boxed import said as said_as
from cnnspec import datasets, vision
from cnnspec.datasets import Wanted
from labelled import SKIP, idx_bytes, numbers, photos, picture, read, said, sets, write_arrays, write_idx

NOISE = np.random.default_rng(5).integers(0, 256, (40, 50, 3), np.uint8)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def jpeg(path: str = "d/cat/a.jpg") -> bytes:
    Image.fromarray(NOISE).save(path)
    return Path(path).read_bytes()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda whole: whole, None),
        (lambda whole: whole[: len(whole) // 2], "the image cannot be decoded: image file is truncated .*"),
        (lambda whole: whole[:3], r"no image in a known format \(PNG, JPEG, WEBP, BMP, PPM\)"),
        (lambda whole: b"a text", r"no image in a known format \(PNG, JPEG, WEBP, BMP, PPM\)"),
        (lambda whole: b"", r"no image in a known format \(PNG, JPEG, WEBP, BMP, PPM\)"),
    ],
)
def test_b087_an_image_that_cannot_be_decoded(change: Callable[[bytes], bytes], text: str | None) -> None:
    photos(parts=("train", "val", "test"))
    shutil.copytree("d/train/cat", "d/cat")
    put("d/train/cat/a.jpg", change(jpeg()))
    shutil.rmtree("d/cat")
    if text is None:
        assert len(read(2, 3).parts["train"]) == 9
    else:
        due = rf"d/train/cat/a\.jpg: {text} \(sample 4 of train\){re.escape(SKIP)}"
        assert re.fullmatch(due, said(2, 3))


@pytest.mark.parametrize("side", [6, 7, 8])
def test_b088_an_image_of_too_many_pixels(side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vision, "PIXELS", 49)
    photos(parts=("train", "val", "test"))
    picture("d/train/cat/a.png", 99, (side, side, 3))
    if side == 8:
        assert said(2, 3) == f"d/train/cat/a.png: 64 pixels, the limit is 49 (sample 4 of train){SKIP}"
    else:
        assert len(read(2, 3).parts["train"]) == 9


def test_b088_20000_by_20000_pixels_in_a_few_bytes() -> None:
    photos(parts=("train", "val", "test"))
    Image.new("1", (20_000, 20_000)).save("d/train/cat/a.png")
    assert Path("d/train/cat/a.png").stat().st_size < 60_000
    assert said(2, 3) == f"d/train/cat/a.png: 400000000 pixels, the limit is 67108864 (sample 4 of train){SKIP}"


@pytest.mark.parametrize(
    ("mode", "suffix", "due"),
    [
        ("L", "png", [100, 100, 100]),
        ("I;16", "png", [100, 100, 100]),
        ("CMYK", "jpg", [200, 100, 50]),
        ("RGBA", "png", [228, 178, 152]),
        ("P", "png", [200, 100, 50]),
    ],
)
def test_b089_every_mode_becomes_three_channels(mode: str, suffix: str, due: list[int]) -> None:
    photos(parts=("train", "val", "test"))
    colour = Image.new("RGB", (8, 8), (200, 100, 50))
    made: dict[str, Callable[[], Image.Image]] = {
        "L": lambda: Image.new("L", (8, 8), 100),
        "I;16": lambda: Image.fromarray(np.full((8, 8), 100 * 257, np.uint16)),
        "CMYK": lambda: colour.convert("CMYK"),
        "RGBA": lambda: Image.new("RGBA", (8, 8), (200, 100, 50, 127)),
        "P": lambda: colour.convert("P", palette=Image.Palette.ADAPTIVE),
    }
    path = f"d/train/cat/a.{suffix}"
    made[mode]().save(path)
    with Image.open(path) as image:
        assert image.mode == mode
    part = read(2, 3).parts["train"]
    assert part.place(4) == path
    assert np.abs(part.images[[4]].astype(int) - due).max() <= 2


@pytest.mark.parametrize("label", [-1, 0, 9, 11, 255])
def test_b090_labels_in_idx_files_and_arrays_are_in_range(label: int) -> None:
    images, labels = sets()
    text = None if 0 <= label <= 9 else f"the label {label}, allowed are 0 to 9{SKIP}"
    changed = labels.astype(np.int64)
    changed[17] = label
    write_arrays(images, changed)
    if text is None:
        assert sum(map(len, read().parts.values())) == 40
    else:
        assert said() == f"d/labels.npy[17]: {text}"
    shutil.rmtree("d")
    if label >= 0:
        write_idx({"train-labels-idx1-ubyte": idx_bytes(changed.astype(np.uint8))}, packed=False)
        assert (said() == f"d/train-labels-idx1-ubyte[17]: {text}") if text else (len(read().parts["test"]) == 20)


@pytest.mark.parametrize(
    ("label", "text"),
    [
        ("1", None),
        ("1.0", None),
        ("3", f"the label 3, allowed are 0 to 1{SKIP}"),
        ("-1", f"the label -1, allowed are 0 to 1{SKIP}"),
        ("0.5", "the label 0.5 is no whole number"),
        ("inf", "the label inf is no whole number"),
    ],
)
def test_b090_labels_in_lists_are_in_range(label: str, text: str | None) -> None:
    photos("d/all", each=12)
    rows = [f"all/{name}/{n}.png,{number}" for number, name in enumerate(("cat", "dog")) for n in range(12)]
    rows[20] = f"all/dog/8.png,{label}"
    put("d/labels.csv", "\n".join(("image,label", *rows)))
    if text is None:
        assert sum(map(len, read(2, 3).parts.values())) == 24
    else:
        assert said(2, 3) == f"d/labels.csv:22: {text}"


def test_b090_one_class_too_many_is_told_with_its_place() -> None:
    images, labels = sets()
    changed = labels.astype(np.int64)
    changed[17] = 10
    write_arrays(images, changed)
    assert said() == (
        "the data 'd' has 11 classes, the network's head has 10; the first label above 9 is d/labels.npy[17]\n"
        "  help: where the spec has a param for it: --set classes=11"
    )


def remove(path: str) -> Callable[[], None]:
    return lambda: shutil.rmtree(path) if Path(path).is_dir() else Path(path).unlink()


@pytest.mark.parametrize(
    ("write", "kind", "change", "text"),
    [
        (
            write_list,
            "boxes",
            remove("d/all/i3.png"),
            r"cannot read d/all/i3.png: No such .* \(sample 3 of train\)\n.*",
        ),
        (
            write_voc,
            "boxes",
            remove("d/JPEGImages/i3.png"),
            "2 faults in the data d\n  d/Annotations/i3.xml: no image of it\n"
            "  d/ImageSets/Main/train.txt:4: there is no image of i3",
        ),
        (write_voc, "boxes", remove("d/Annotations/i3.xml"), "d/ImageSets/Main/train.txt:4: there is no label of i3"),
        (write_masks, "masks", remove("d/masks/train/i3.png"), "d/images/train/i3.png: no mask in d/masks/train"),
        (write_masks, "masks", remove("d/images/train/i3.png"), "d/masks/train/i3.png: no image in d/images/train"),
        (write_masks, "masks", remove("d/images/val"), None),
        (
            write_masks,
            "masks",
            lambda: list(map(Path.unlink, sorted(Path("d").glob("*/val/*")))),
            "d/images/val: no images in it",
        ),
        (write_voc, "boxes", lambda: put("d/ImageSets/Main/val.txt", ""), "d/ImageSets/Main/val.txt: no images in it"),
    ],
)
def test_b091_images_without_labels_and_labels_without_images(
    write: Callable[[], None], kind: str, change: Callable[[], Any], text: str | None
) -> None:
    write()
    assert said_as(kind) == "nothing"
    change()
    assert re.fullmatch(text or "nothing", said_as(kind))


LABELS = "\n  help: --on-bad-label skip leaves these labels out and keeps their images"


@pytest.mark.parametrize(
    ("corners", "text"),
    [
        ((5, 6, 6, 7), None),
        ((5, 6, 5, 7), "is 0 wide and 1 high; both must be more than 0"),
        ((5, 6, 4, 7), "is -1 wide and 1 high; both must be more than 0"),
        ((0, 0, 40, 30), None),
        ((0, 0, 40, 31), "leaves the image, which is 40 wide and 30 high"),
        ((-1, 0, 40, 30), "leaves the image, which is 40 wide and 30 high"),
        ((5, "nan", 6, 7), "is not finite"),
        ((5, 6, "inf", 7), "is not finite"),
    ],
)
def test_b092_a_box_that_cannot_be_right(corners: tuple[Any, ...], text: str | None) -> None:
    write_voc()
    put("d/Annotations/i1.xml", annotation(an_object("ant", (1, 2, 3, 4)), an_object("bee", corners)))
    written = ", ".join(map(str, corners))
    due = f"d/Annotations/i1.xml:7: the box {written} (bee) {text}"
    if text is None:
        assert read_as("boxes").warnings == []
        return
    assert said_as("boxes") == f"{due}{LABELS}"
    loaded = read_as("boxes", skip=True)
    assert loaded.warnings == [f"1 bad label is left out; the first: {due}"]
    part = loaded.parts["train"]
    assert part.boxes is not None
    assert (len(part), part.boxes[1].classes.tolist()) == (6, [0])


@pytest.mark.parametrize("change", [0, 1])
@pytest.mark.parametrize("where", ["train", "val", "test"])
def test_b093_an_image_of_training_elsewhere(where: str, change: int) -> None:
    """The same pixels in another file, or another by one."""
    photos(parts=("train", "val", "test"))
    pixels = np.asarray(Image.open("d/train/cat/1.png")).copy()
    pixels[2, 2, 1] ^= change
    Image.fromarray(pixels).save(f"d/{where}/dog/twin.bmp")
    part = {"val": "validation"}.get(where, where)
    due = [f"1 image of {part} is in training too: d/{where}/dog/twin.bmp is d/train/cat/1.png"]
    assert read(2, 3).warnings == (due if not change and where != "train" else [])


def test_b093_images_with_boxes_and_masks_too() -> None:
    write_voc()
    shutil.copy("d/JPEGImages/i2.png", "d/JPEGImages/i7.png")
    due = "1 image of validation is in training too: d/JPEGImages/i7.png is d/JPEGImages/i2.png"
    assert read_as("boxes").warnings == [due]
    write_masks("e")
    shutil.copy("e/images/train/i0.png", "e/images/test/i9.png")
    due = "1 image of test is in training too: e/images/test/i9.png is e/images/train/i0.png"
    assert read_as("masks", name="e/").warnings == [due]


@pytest.mark.parametrize("fit", [None, "stretch"])
def test_f7_a_corrupt_sample_leaves_the_others_as_they_are(fit: Any) -> None:
    """64 images, of which three are corrupt: named by path, index and reason, and left out where they may be."""
    images, _ = sets(64)
    Path("d/train/a").mkdir(parents=True)
    for number, image in enumerate(images):
        Image.fromarray(image).save(f"d/train/a/{number:02}.png")
    wanted = Wanted(1, 4, 3, fit, 1, skip=True)
    whole = datasets.load("d", datasets.find("d/", 1).parts, wanted).parts["train"]
    bad = [5, 40, 63]
    for number in bad:
        put(f"d/train/a/{number:02}.png", "text")
    found = datasets.find("d/", 1)
    with pytest.raises(
        Exception, match=r"3 of 64 samples are bad, more than 1%; the first: d/train/a/05.png: no image i"
    ):
        datasets.load("d", found.parts, wanted)
    with pytest.raises(Exception, match=r"  d/train/a/40.png: no image .*\(PNG, .*\) \(sample 40 of train\)\n"):
        datasets.load("d", found.parts, Wanted(1, 4, 3, fit, 1))
    more = {"train": found.parts["train"], "test": datasets.find("digits", 1).parts["all"]}
    left = datasets.load("d", more, Wanted(1, 4, 3, fit, 10, skip=True)).parts["train"]
    assert left.index.tolist() == [number for number in range(64) if number not in bad]
    assert (left.total, whole.total, len(whole)) == (64, 64, 64)
    for position, index in enumerate(left.index.tolist()):
        assert np.array_equal(left.images.one(position), whole.images.one(index))
        assert numbers(left)[position] == numbers(whole)[index]
