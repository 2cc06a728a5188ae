"""Files of data: their texts within limits, images in folders, and lines of lists."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

from cnnspec.datasets.parts import WHOLE, shown
from cnnspec.datasets.rows import SPLITS
from cnnspec.diagnostics import RunError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".ppm", ".pgm", ".pbm")
"""Of images that are read."""

BYTES = 2**29
"""The largest file of labels of many images; COCO's has 470 MB."""


def content(path: Path, limit: int) -> bytes:
    """The bytes of a regular file. Raises RunError, naming it, for any other and where there are more than `limit`."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise RunError(f"{shown(path)}: is no regular file")
            data = file.read(limit + 1)
    except OSError as error:
        raise RunError(f"cannot read {shown(path)}: {error.strerror}") from None
    if len(data) > limit:
        raise RunError(f"{shown(path)}: more than {limit} bytes")
    return data


def text(path: Path, limit: int) -> str:
    """The text of a file in UTF-8. Raises RunError as `content` does."""
    try:
        return content(path, limit).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RunError(f"{shown(path)}: is no text in UTF-8: {error.reason} at byte {error.start}") from None


def lines(path: Path, limit: int) -> list[tuple[int, str]]:
    """The lines of a file that hold something, with their numbers from 1. Raises RunError as `content` does."""
    return [(number, line.strip()) for number, line in enumerate(text(path, limit).split("\n"), 1) if line.strip()]


def images(folder: Path) -> dict[str, Path]:
    """The images of a folder by their name without suffix, in the order of the names."""
    return of_kind(folder, SUFFIXES)


def of_kind(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Path]:
    """The files of a folder, and of folders in it, that end so, by their path in it without suffix; sorted."""
    found = {}
    for root, inside, names in os.walk(folder):
        inside[:] = sorted(name for name in inside if not name.startswith("."))
        for name in sorted(names):
            path = Path(root) / name
            if path.suffix.lower() in suffixes and not name.startswith("."):
                found[path.relative_to(folder).with_suffix("").as_posix()] = path
    return dict(sorted(found.items()))


def pairs(folder: Path, others: str) -> list[tuple[str, Path, Path]]:
    """Parts with their folder of images and that of `others` (labels, masks): `images/train` and `labels/train`, or
    `train/images` and `train/labels`, or `images` and `labels` alone. A year may follow a part's name."""
    images, beside = folder / "images", folder / others
    if images.is_dir() and beside.is_dir():
        inner = [(part_of(path.name), path.name) for path in _folders(images)]
        return [(part, images / name, beside / name) for part, name in inner if part] or [(WHOLE, images, beside)]
    roots = [(part_of(path.name), path) for path in _folders(folder)]
    both = [(part, path) for part, path in roots if (path / "images").is_dir() and (path / others).is_dir()]
    return [(part, path / "images", path / others) for part, path in both if part]


def part_of(name: str) -> str | None:
    """The part that a folder's name says, such as val or val2017; None where it says none."""
    return SPLITS.get(name) or SPLITS.get(name.rstrip("0123456789"))


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir())


def inside(folder: Path, name: str) -> Path | None:
    """The path of a name that data gives; None where it would lead out of the folder."""
    path = Path(name)
    return None if path.is_absolute() or ".." in path.parts or "\0" in name else folder / path


def json_of(path: Path, without: str = "") -> Any:
    """The value of a JSON file, its mappings without a key that is not needed and large.

    Raises RunError, naming file and place, where it is none, or too large or deep.
    """

    def hook(mapping: dict[str, Any]) -> dict[str, Any]:
        mapping.pop(without, None)
        return mapping

    try:
        return json.loads(text(path, BYTES), object_hook=hook if without else None)
    except json.JSONDecodeError as error:
        raise RunError(f"{shown(path)}:{error.lineno}: is no JSON: {error.msg}") from None
    except RecursionError:
        raise RunError(f"{shown(path)}: is no JSON for data: nested too deeply") from None
    except ValueError:  # a whole number of thousands of digits
        raise RunError(f"{shown(path)}: is no JSON for data: a number of too many digits") from None
