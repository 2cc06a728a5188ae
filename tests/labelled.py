"""Labelled images to read: class folders, IDX files and arrays in the folder `d`, and how training reads them."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnnspec import datasets
from cnnspec.datasets import classes
from cnnspec.diagnostics import CnnspecError

SHARES = {"validation": 0.25, "test": 0.25}
SKIP = "\n  help: --on-bad-sample skip leaves them out, up to 1% of the samples"


def picture(path: str, seed: int = 0, shape: tuple[int, ...] = (6, 5, 3)) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, np.uint8)).save(path)


def photos(
    root: str = "d", parts: tuple[str, ...] = ("",), names: tuple[str, ...] = ("cat", "dog"), each: int = 4
) -> None:
    """Class folders of images, no two alike."""
    files = [f"{root}/{part}/{name}/{number}.png" for part in parts for name in names for number in range(each)]
    for seed, file in enumerate(files):
        picture(file, seed)


def idx_bytes(array: np.ndarray[Any, Any]) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def sets(number: int = 40, shape: tuple[int, ...] = (4, 3)) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Images and labels of 0 to 9."""
    images = np.random.default_rng(number).integers(0, 256, (number, *shape), np.uint8)
    return images, (np.arange(number) % 10).astype(np.uint8)


def write_idx(changes: Mapping[str, bytes | None] | None = None, packed: bool = True, root: str = "d") -> None:
    Path(root).mkdir(parents=True, exist_ok=True)
    files: dict[str, bytes | None] = {}
    for split, number in (("train", 40), ("t10k", 20)):
        images, labels = sets(number)
        files |= {f"{split}-images-idx3-ubyte": idx_bytes(images), f"{split}-labels-idx1-ubyte": idx_bytes(labels)}
    for name, content in {**files, **(changes or {})}.items():
        if content is not None:
            path = Path(root) / (f"{name}.gz" if packed else name)
            path.write_bytes(gzip.compress(content) if packed else content)


def write_arrays(images: Any = None, labels: Any = None, prefix: str = "") -> None:
    Path("d").mkdir(exist_ok=True)
    usual = sets()
    np.save(f"d/{prefix}images.npy", usual[0] if images is None else images, allow_pickle=True)
    np.save(f"d/{prefix}labels.npy", usual[1] if labels is None else labels, allow_pickle=True)


def read(number: int = 10, channels: int = 1, skip: bool = False, target: str = "d/") -> datasets.Loaded:
    """As training reads it."""
    found = datasets.find(target, channels)
    labels = classes.named(found, number)
    parts = found.parts if found.faults else datasets.divided(found, SHARES, 0)
    wanted = datasets.Wanted(channels, 4, 3, "stretch", max(number, len(labels)), skip)
    return datasets.load(found.name, parts, wanted, found.faults)


def numbers(part: datasets.Part) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The classes of a part that has them."""
    assert part.classes is not None
    return part.classes


def said(number: int = 10, channels: int = 1, skip: bool = False) -> str:
    with pytest.raises(CnnspecError) as caught:
        read(number, channels, skip)
    return str(caught.value).removeprefix("error: ")
