"""Lists, IDX files and arrays that are not what they should be, each fault in the words a user sees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnnspec.datasets import idx
from labelled import SKIP, idx_bytes, numbers, photos, read, said, sets, write_arrays, write_idx


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def cut(name: str, array: np.ndarray[Any, Any], by: int) -> dict[str, bytes]:
    return {name: idx_bytes(array)[:by] if by < 0 else idx_bytes(array) + bytes(by)}


IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
WRONG_IDX: list[tuple[dict[str, bytes | None], str]] = [
    ({IMAGES: b""}, f"d/{IMAGES}: begins with nothing, an IDX file of bytes with 00 00 08 01 to 04"),
    ({IMAGES: b"\x89PNG...."}, f"d/{IMAGES}: begins with 89 50 4e 47, an IDX file of bytes with 00 00 08 01 to 04"),
    (
        {LABELS: b"\0\0\x0d\x01...."},
        f"d/{LABELS}: begins with 00 00 0d 01, an IDX file of bytes with 00 00 08 01 to 04",
    ),
    ({IMAGES: idx_bytes(sets()[0])[:9]}, f"d/{IMAGES}: ends within its header, 9 bytes long"),
    ({**cut(IMAGES, sets()[0], -1)}, f"d/{IMAGES}: 479 of the 480 bytes that its sizes [40, 4, 3] say"),
    ({**cut(LABELS, sets()[1], 1)}, f"d/{LABELS}: more than the 40 bytes that its sizes [40] say"),
    ({LABELS: idx_bytes(sets()[1][:39])}, f"d/{LABELS}: 39 labels for the 40 images of d/{IMAGES}"),
    ({LABELS: idx_bytes(sets()[0])}, f"d/{LABELS}: labels of shape [40, 4, 3]; [n] is read"),
    (
        {IMAGES: idx_bytes(sets()[1])},
        f"d/{IMAGES}: images of shape [40]; [n, height, width] or [n, height, width, 1 or 3] is read",
    ),
    ({LABELS: None}, f"d/{IMAGES}: the file of its labels is missing beside it"),
    ({IMAGES: None}, f"d/{LABELS}: the file of its images is missing beside it"),
    (
        {IMAGES: b"\0\0\x08\x03" + b"\xff" * 12},
        f"d/{IMAGES}: 79228162458924105385300197375 bytes of [4294967295, 4294967295, 4294967295], "
        f"the limit is {idx.BYTES}",
    ),
    (
        {LABELS: idx_bytes(np.array([*sets()[1][:39], 200], np.uint8))},
        f"d/{LABELS}[39]: the label 200, allowed are 0 to 9{SKIP}",
    ),
    (
        {IMAGES: idx_bytes(sets()[0][:0]), LABELS: idx_bytes(sets()[1][:0])},
        f"d/{IMAGES}: no images in it",
    ),
]


@pytest.mark.parametrize(("changes", "text"), WRONG_IDX)
def test_wrong_idx_files_are_named(changes: dict[str, bytes | None], text: str) -> None:
    write_idx(changes, packed=False)
    assert said() == text


def test_a_broken_gz_is_named() -> None:
    write_idx()
    path = Path("d/train-images-idx3-ubyte.gz")
    whole = path.read_bytes()
    for content, why in (
        (whole[:-20], "Compressed file ended before the end-of-stream marker was reached"),
        (b"text", "Not a gzipped file (b'te')"),
    ):
        path.write_bytes(content)
        assert said() == f"{path}: cannot be read: {why}"


ROWS = np.arange(40) % 10
WRONG_ARRAYS = [
    (None, ROWS + 0.5 * (ROWS == 7), "4 faults in the data d\n  d/labels.npy[7]: the label 7.5 is no whole number\n"),
    (None, ROWS.astype(float), "d/labels.npy: holds float64; labels are whole numbers of an integer type"),
    (None, ROWS.astype("U1"), "d/labels.npy: holds <U1; labels are whole numbers of an integer type"),
    (None, ROWS[:30], "d/labels.npy: 30 labels for the 40 images of d/images.npy"),
    (None, ROWS[:, None], "d/labels.npy: labels of shape [40, 1]; [n] is read"),
    (None, ROWS.astype(object), "d/labels.npy: is no whole .npy array: "),
    (sets()[0] / 255, None, "d/images.npy: holds float64; pixels are uint8, 0 to 255"),
    (sets(40, (3, 4, 5))[0], None, "d/images.npy: images of shape [40, 3, 4, 5]; [n, height, width] or [n, height, w"),
    (sets(40, (0, 5))[0], None, "d/images.npy: images of shape [40, 0, 5]; "),
    (sets()[0][:0], ROWS[:0], "d/images.npy: no images in it"),
]


@pytest.mark.parametrize(("images", "labels", "text"), WRONG_ARRAYS)
def test_wrong_arrays_are_named(images: Any, labels: Any, text: str) -> None:
    write_arrays(images, labels)
    assert said().startswith(text)


def test_files_that_are_no_arrays_are_named() -> None:
    write_arrays()
    whole = Path("d/images.npy").read_bytes()
    for content in (b"", b"text", whole[:-1], whole[:50]):
        Path("d/images.npy").write_bytes(content)
        assert said().startswith("d/images.npy: is no whole .npy array: ")
    np.savez("d/images.npz", a=np.arange(3))
    Path("d/images.npz").rename("d/images.npy")
    assert said() == "d/images.npy: is an archive of arrays; an .npy file holds one"
    Path("d/images.npy").unlink()
    assert said() == "d/labels.npy: the file of its images is missing beside it"


def write_list(*lines: str) -> None:
    photos("d/all", each=12)
    Path("d/labels.csv").write_text("\n".join(("image,label,part", *lines, "")), encoding="utf-8")


@pytest.mark.parametrize("names", [("cat", "dog"), ("0", "1"), ("1.0", "0")])
@pytest.mark.parametrize("parts", [("", "", ""), ("train", "val", "test")])
def test_lists_are_read(names: tuple[str, str], parts: tuple[str, ...]) -> None:
    folders = [(f"all/{folder}/{n}.png", n) for folder in ("cat", "dog") for n in range(12)]
    write_list(*(f"{path},{names['dog' in path]},{parts[n % 3]}" for path, n in reversed(folders)))
    loaded = read(2, 3)
    assert {name: len(part) for name, part in loaded.parts.items()} == (
        {"train": 8, "validation": 8, "test": 8} if parts[0] else {"train": 12, "validation": 6, "test": 6}
    )
    for part in loaded.parts.values():
        for position, label in enumerate(numbers(part).tolist()):
            name = names["dog" in part.place(position)]
            assert label == {"cat": 0, "dog": 1, "0": 0, "1": 1, "1.0": 1}[name]


GOOD = tuple(f"all/{name}/{n}.png,{number}," for number, name in enumerate(("cat", "dog")) for n in range(12))
WRONG_LISTS = [
    (["all/cat/0.png,3,"], f"d/labels.csv:26: the label 3, allowed are 0 to 1{SKIP}", 0),
    (["all/cat/0.png,-1,"], f"d/labels.csv:26: the label -1, allowed are 0 to 1{SKIP}", 0),
    (["all/cat/0.png,0.5,"], "d/labels.csv:26: the label 0.5 is no whole number", 0),
    (["all/cat/0.png,nan,"], "d/labels.csv:26: the label nan is no whole number", 0),
    (["all/cat/0.png,,"], "d/labels.csv:26: no label", 0),
    ([",1,"], "d/labels.csv:26: no image", 0),
    (
        ["all/cat/99.png,1,"],
        f"cannot read d/all/cat/99.png: No such file or directory (sample 5 of validation){SKIP}",
        0,
    ),
    (["all/cat/0.png,1,tset"], "d/labels.csv:26: the part 'tset', allowed are train, training, val, ", 0),
    (["all/cat/0.png,1,test"], "d/labels.csv: some rows name a part and some do not", 0),
    ([], "d/labels.csv: no images in it", 24),
    (['all/cat/0.png,"1'], "d/labels.csv: is no CSV in UTF-8: unexpected end of data", 0),
]


@pytest.mark.parametrize(("lines", "text", "without"), WRONG_LISTS)
def test_wrong_lists_are_named(lines: list[str], text: str, without: int) -> None:
    write_list(*GOOD[without:], *lines)
    assert said(2, 3).startswith(text)


def test_other_columns_and_bytes_are_named() -> None:
    write_list()
    Path("d/labels.csv").write_text("file,class\n", encoding="utf-8")
    due = "image, label and perhaps part are read, with x1, y1, x2, y2 for boxes"
    assert said() == f"d/labels.csv:1: the columns are file, class; {due}"
    Path("d/labels.csv").write_bytes(b"image,label\n\xff,1\n")
    assert said().startswith("d/labels.csv: is no CSV in UTF-8: 'utf-8' codec can't decode byte 0xff")
    Path("d/labels.csv").write_bytes(b"")
    assert said() == f"d/labels.csv:1: the columns are nothing; {due}"
