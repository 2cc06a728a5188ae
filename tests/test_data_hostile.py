"""Labels that were made to break the reader: an answer or a named error, and nothing done that was not asked for."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from boxed import read, said, write_coco, write_json, write_list, write_masks, write_voc, write_yolo
from test_hostile import READING, _watch, watched

FILES: dict[str, tuple[Callable[[], None], str, str]] = {
    "voc": (write_voc, "d/Annotations/i2.xml", "boxes"),
    "voc list": (write_voc, "d/ImageSets/Main/train.txt", "boxes"),
    "coco": (write_coco, "d/annotations/instances_val2017.json", "boxes"),
    "yolo": (write_yolo, "d/labels/train/i2.txt", "boxes"),
    "yolo names": (write_yolo, "d/data.yaml", "boxes"),
    "list": (write_list, "d/labels.csv", "boxes"),
    "list in json": (write_json, "d/labels.json", "boxes"),
    "mask": (write_masks, "d/masks/train/i2.png", "masks"),
    "classes": (write_masks, "d/classes.txt", "masks"),
}
WORDS = (
    b"\0",
    b"\xff\xfe",
    b"<",
    b"&a;",
    b"<!DOCTYPE a>",
    b'"',
    b"[",
    b"{",
    b"nan",
    b"1e999",
    b"-",
    b"../",
    b"\n",
    b"*a",
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def changed(whole: bytes, random: np.random.Generator) -> bytes:
    """The bytes with one stretch cut out, doubled, overwritten, or a word put in."""
    start, length = int(random.integers(len(whole))), int(random.integers(1, 12))
    how = random.integers(4)
    if how == 0:
        return whole[:start] + whole[start + length :]
    if how == 1:
        return whole[: start + length] + whole[start:]
    if how == 2:
        return whole[:start] + random.integers(0, 256, length, np.uint8).tobytes() + whole[start + length :]
    return whole[:start] + WORDS[int(random.integers(len(WORDS)))] + whole[start:]


@pytest.mark.parametrize("name", FILES)
def test_any_change_gives_labels_or_a_named_error(name: str) -> None:
    write, path, kind = FILES[name]
    write()
    read(kind)  # what is imported when first needed is imported now
    Image.init()
    whole, random = Path(path).read_bytes(), np.random.default_rng(0)
    sys.addaudithook(_watch)
    refused = 0
    for _ in range(40):
        Path(path).write_bytes(changed(whole, random))
        with watched() as deeds:
            text = said(kind)
        refused += text != "nothing"
        assert len(text) < 6000
        assert not set(text) & set("\0\x1b")
        assert [deed for deed in deeds if not harmless(*deed)] == []
    assert refused > 5


def harmless(event: str, given: tuple[Any, ...]) -> bool:
    """Reading below the folder of the data is all that may happen, and asking how much memory is free."""
    if event != "open":
        return event in (*READING, "os.walk")
    path, _, flags = given
    if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        return False
    return isinstance(path, int) or str(path) == "/proc/meminfo" or Path(path).resolve().is_relative_to(Path.cwd())
