"""Labelled images: every layout that is read, and every fault in the words a user sees."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnspec import datasets, vision
from cnnspec.datasets import arrays, classes, loading
from cnnspec.datasets.rows import as_channels
from cnnspec.datasets.splitting import chosen
from cnnspec.diagnostics import CnnspecError, MissingError, RunError, UsageError
from labelled import SHARES, SKIP, numbers, photos, picture, read, said, sets, write_arrays, write_idx

LAYOUTS = (
    "\n  help: train-images-idx3-ubyte and its labels, images.npy and labels.npy, labels.csv or labels.json, "
    "JPEGImages/ with Annotations/ or SegmentationClass/, annotations/instances_train.json, or "
    "train/_annotations.coco.json, images/ and labels/, images/ and masks/, folders named by their class are read; "
    "--format says which is meant: idx, npy, list, voc, coco, yolo, masks, folders"
)


NAMES = (
    "\n  help: the names are digits, digits-located, digits-scenes, digits-masks, mnist, fashion-mnist, "
    "kmnist, cifar10, cifar100, svhn, stl10, flowers102, food101, dtd, eurosat, gtsrb, imagenette, oxford-pets, "
    "imagenet, voc, coco; a path has a / in it"
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def sizes(loaded: datasets.Loaded) -> dict[str, int]:
    return {name: len(part) for name, part in loaded.parts.items()}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("root", ["d", "d/raw", "d/MNIST/raw"])
def test_idx_files_are_read(root: str, packed: bool) -> None:
    write_idx(packed=packed, root=root)
    loaded = read()
    assert sizes(loaded) == {"train": 30, "validation": 10, "test": 20}
    images, labels = sets(20)
    test = loaded.parts["test"]
    assert np.array_equal(test.images[range(20)][..., 0], images)
    assert np.array_equal(numbers(test), labels)
    assert test.place(3).endswith("t10k-images-idx3-ubyte.gz[3]" if packed else "t10k-images-idx3-ubyte[3]")


@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 1), (4, 3, 3), (9, 7, 3)])
@pytest.mark.parametrize("channels", [1, 3])
def test_arrays_of_any_size_are_read(shape: tuple[int, ...], channels: int) -> None:
    images, labels = sets(40, shape)
    write_arrays(images, labels.astype(np.int32))
    loaded = read(channels=channels)
    assert sizes(loaded) == {"train": 20, "validation": 10, "test": 10}
    part = loaded.parts["train"]
    found, row = part.images[[2]][0], int(part.place(2).removeprefix("d/images.npy[").removesuffix("]"))
    picture = Image.fromarray(images[row].squeeze()).convert("L" if channels == 1 else "RGB")
    due = vision.resize(np.asarray(picture).reshape(*shape[:2], channels), 4, 3)
    assert np.array_equal(found, due)
    assert numbers(part)[2] == labels[row]


def test_arrays_of_parts_are_read() -> None:
    for prefix, number in (("train-", 40), ("val_", 20), ("test-", 30)):
        write_arrays(*sets(number), prefix=prefix)
    assert sizes(read()) == {"train": 40, "validation": 20, "test": 30}


@pytest.mark.parametrize("parts", [("",), ("train", "val", "test"), ("train", "test")])
def test_class_folders_are_read(parts: tuple[str, ...]) -> None:
    photos(parts=parts, each=8)
    Path("d/.hidden").mkdir()
    loaded = read(2, 3)
    due = {1: (8, 4, 4), 3: (16, 16, 16), 2: (12, 4, 16)}[len(parts)]
    assert sizes(loaded) == dict(zip(("train", "validation", "test"), due, strict=True))
    for part in loaded.parts.values():
        for position, label in enumerate(numbers(part)):
            path = part.place(position)
            assert Path(path).parent.name == ("cat", "dog")[label]
            assert np.array_equal(part.images[[position]][0], vision.resize(vision.load(path, 3), 4, 3))
    assert loaded.warnings == []


def test_the_digits_are_at_hand() -> None:
    assert sizes(read(target="digits")) == {"train": 899, "validation": 448, "test": 450}


def test_what_does_not_fit_is_decoded_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    photos(each=8)
    kept = read(2, 3).parts["train"]
    monkeypatch.setattr(loading, "free_memory", lambda: 16 * 4 * 3 * 3 - 1)
    lazy = read(2, 3).parts["train"]
    assert kept.images.kept is not None
    assert lazy.images.kept is None
    assert np.array_equal(kept.images[range(8)], lazy.images[range(8)])


def test_an_image_of_training_in_another_part_is_a_warning() -> None:
    photos(parts=("train", "val", "test"))
    picture("d/val/dog/9.png", 1)
    picture("d/test/cat/9.png", 1)
    picture("d/test/dog/9.png", 2)
    assert read(2, 3).warnings == [
        "1 image of validation is in training too: d/val/dog/9.png is d/train/cat/1.png",
        "2 images of test are in training too: d/test/cat/9.png is d/train/cat/1.png",
    ]


def test_other_files_are_counted() -> None:
    photos()
    for name in ("a.txt", "b.csv", ".c"):
        Path("d/cat", name).write_text("text", encoding="utf-8")
    assert datasets.find("d/", 3).notes == ["2 files are left out, no image by its name: d/cat/a.txt"]


def bad_images() -> None:
    Path("d/cat/a.jpg").write_text("a text", encoding="utf-8")
    picture("d/cat/whole.jpg", 9, (64, 64, 3))
    whole = Path("d/cat/whole.jpg").read_bytes()
    Path("d/cat/whole.jpg").write_bytes(whole[: len(whole) // 2])
    Path("d/cat/zz.png").symlink_to("nowhere.png")


BAD = [
    "d/cat/a.jpg: no image in a known format (PNG, JPEG, WEBP, BMP, PPM)",
    "d/cat/whole.jpg: the image cannot be decoded: ",
    "cannot read d/cat/zz.png: No such file or directory",
]


def test_bad_images_are_told_together() -> None:
    photos(parts=("train", "val", "test"))
    photos("e")
    Path("e").rename("d/train/e")  # folders within class folders are searched too
    Path("d/train/e").rename("d/train/cat/e")
    Path("d/cat").symlink_to("train/cat")
    bad_images()
    Path("d/cat").unlink()
    first, *rest, help = said(2, 3).splitlines()
    assert first == "3 faults in the data d"
    for line, due in zip(rest, BAD, strict=True):
        assert line.startswith(f"  {due.replace('d/cat', 'd/train/cat')}")
    assert f"\n{help}" == SKIP


def test_ten_faults_are_shown_and_the_rest_counted() -> None:
    write_arrays(labels=np.full(40, -1))
    lines = said().splitlines()
    assert lines[:2] == ["40 faults in the data d", "  d/labels.npy[0]: the label -1, allowed are 0 to 9"]
    assert lines[11:] == ["  ... and 30 more", SKIP[1:]]


def test_bad_samples_are_skipped_up_to_one_percent() -> None:
    images, labels = sets(400)
    labels = labels.astype(np.int64)
    labels[[7, 11, 13]] = 10, -3, 99
    write_arrays(images, labels)
    loaded = read(skip=True)
    assert sum(sizes(loaded).values()) == 397
    assert loaded.warnings[0].startswith("3 of 400 samples are left out; the first: d/labels.npy[")
    for part in loaded.parts.values():
        rows = [int(part.place(i).removeprefix("d/images.npy[").removesuffix("]")) for i in range(len(part))]
        assert rows == sorted(rows)
        assert np.array_equal(part.images[range(len(rows))][..., 0], images[rows])
        assert np.array_equal(numbers(part), labels[rows])
    labels[[17, 19]] = 10
    write_arrays(images, labels)
    assert said(skip=True).startswith("5 of 400 samples are bad, more than 1%; the first: d/labels.npy[")


def test_a_part_without_a_good_sample_is_named() -> None:
    for prefix, number, labels in (("train-", 400, None), ("val-", 20, None), ("test-", 2, np.array([11, 13]))):
        write_arrays(sets(number)[0], sets(number)[1] if labels is None else labels, prefix)
    assert said(skip=True) == "d: no good sample in the test part"


def test_an_image_bomb_is_refused() -> None:
    photos()
    Image.new("1", (9000, 9000)).save("d/cat/bomb.png")
    assert said(2, 3) == f"d/cat/bomb.png: 81000000 pixels, the limit is 67108864 (sample 0 of validation){SKIP}"


def test_one_pair_or_pairs_of_parts() -> None:
    write_arrays()
    write_arrays(prefix="train-")
    assert said() == "d: images.npy beside the arrays of parts; which are meant?"


@pytest.mark.parametrize(
    ("make", "text"),
    [
        ("d/owl/", "d/owl: no images in this class folder"),
        ("d/a.png", "d/a.png: an image of no class: it stands beside the folders"),
    ],
)
def test_wrong_class_folders_are_named(make: str, text: str) -> None:
    photos()
    Path(make).mkdir() if make.endswith("/") else picture(make)
    assert said(3, 3) == text


@pytest.mark.parametrize(
    ("make", "text"),
    [
        ("d/val/", "d/val: no class folders in the validation part"),
        ("d/test/a.png", "d/test/a.png: an image of no class: it stands beside the folders"),
        ("d/a.png", "d/a.png: an image of no class: it stands beside the folders"),
        ("d/test/owl/a.png", "d/train: no folder for the class 'owl'"),
        ("d/train/owl/", "d/train/owl: no images in this class folder"),
        ("d/testing/cat/a.png", "d/testing: test beside it is the test part too"),
    ],
)
def test_wrong_parts_are_named(make: str, text: str) -> None:
    photos(parts=("train", "test"))
    Path(make).mkdir() if make.endswith("/") else picture(make, 99)
    assert said(2, 3) == text


@pytest.mark.parametrize(("number", "given"), [(5, 2), (1, 2)])
def test_as_many_classes_as_the_head_has(number: int, given: int) -> None:
    photos()
    due = (
        f"the data 'd' has {given} classes, the network's head has {number}\n"
        f"  help: where the spec has a param for it: --set classes={given}"
    )
    assert said(number, 3) == due
    write_idx(root="d/raw")
    first = "; the first label above 6 is d/raw/train-labels-idx1-ubyte.gz[7]"
    assert said(7) == due.replace(f"head has {number}", f"head has 7{first}").replace(
        f"data 'd' has {given}", "data 'd' has 10"
    ).replace("=2", "=10")


def test_classes_are_matched_by_name() -> None:
    photos(names=("b", "a"))
    found = classes.matched(datasets.find("d/", 3), ("c", "b", "a"))
    assert {
        Path(found.parts["all"].place(int(i))).parent.name for i in np.flatnonzero(found.parts["all"].classes == 1)
    } == {"b"}
    assert classes.matched(datasets.find("d/", 3), ("x", "y")).labels == ("a", "b")
    with pytest.raises(UsageError, match=r"d: the class 'b' is none of the network's"):
        classes.matched(datasets.find("d/", 3), ("a", "c"))


def test_parts_are_chosen_by_name() -> None:
    photos(parts=("test",))
    found = datasets.find("d/", 3)
    assert {name: len(part) for name, part in chosen(found, "all", SHARES, 0).items()} == {"test": 8}
    with pytest.raises(MissingError, match="d has no validation part, it has test"):
        chosen(found, "validation", SHARES, 0)


@pytest.mark.parametrize(
    ("target", "kind", "text"),
    [
        ("nowhere/", MissingError, "there is no folder nowhere/"),
        ("empty/", RunError, f"empty/: no data in a layout that is known{LAYOUTS}"),
        ("file.txt", RunError, f"file.txt: a file; the data is a folder, or a list in .csv or .json{LAYOUTS}"),
        ("nowhere.csv", MissingError, "there is no folder nowhere.csv"),
        ("dir.csv", RunError, f"dir.csv: no data in a layout that is known{LAYOUTS}"),
        ("pipe.csv", RunError, f"pipe.csv: a file; the data is a folder, or a list in .csv or .json{LAYOUTS}"),
        ("empty", MissingError, "there is no data named 'empty'\n  help: for the folder: --data ./empty"),
        ("digit", MissingError, "there is no data named 'digit'\n  help: did you mean 'digits'?"),
        (
            "xyz",
            MissingError,
            f"there is no data named 'xyz'{NAMES}",
        ),
    ],
)
def test_data_that_is_not_there(target: str, kind: type[CnnspecError], text: str) -> None:
    Path("empty").mkdir()
    Path("dir.csv").mkdir()
    Path("file.txt").write_text("text", encoding="utf-8")
    os.mkfifo("pipe.csv")
    with pytest.raises(kind) as caught:
        datasets.find(target, 1)
    assert str(caught.value) == f"error: {text}"


def test_channels_that_images_do_not_have() -> None:
    photos()
    assert said(2, 4) == "images have 1 or 3 channels, the network's input has 4"


def test_an_empty_part_of_a_split_is_named() -> None:
    photos(each=1)
    assert said(2, 3) == "the test part of the split is empty\n  help: --set recipe.split.test=0.2"


def test_names_of_files_cannot_forge_lines() -> None:
    photos()
    Path("d/cat/a\n\x1b[31m.png").write_text("text", encoding="utf-8")
    assert said(2, 3).startswith("d/cat/a\\n\\x1b[31m.png: no image in a known format")


@pytest.mark.parametrize("channels", [1, 3])
def test_colours_follow_the_rules_of_vision(channels: int) -> None:
    picture("a.png", 5)
    picture("b.png", 5, (6, 5))
    for file in ("a.png", "b.png"):
        assert np.array_equal(as_channels(np.asarray(Image.open(file)), channels), vision.load(file, channels))


def test_rows_are_read_where_they_are_used() -> None:
    write_arrays()
    assert isinstance(arrays.read(Path("d/images.npy")), np.memmap)
