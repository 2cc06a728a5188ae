"""Images in folders named by their class, with or without folders `train`, `val` and `test` above them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from cnnspec import vision
from cnnspec.datasets.files import SUFFIXES
from cnnspec.datasets.parts import WHOLE, Found, Raw, shown
from cnnspec.datasets.rows import SPLITS


def find(folder: Path) -> Found | None:
    """The class folders of a folder; None where there are no folders in it. Classes are in the order of their names."""
    inside = _folders(folder)
    if not inside:
        return None
    split = all(path.name in SPLITS for path in inside)
    roots = {SPLITS[path.name]: path for path in inside} if split else {WHOLE: folder}
    by_part = {part: {path.name: path for path in _folders(root)} for part, root in roots.items()}
    labels = tuple(sorted({name for names in by_part.values() for name in names}))
    found = Found(str(folder), {}, labels)
    if split:
        found.faults.extend(_two_names(inside))
        _no_class(found, folder)
    for part, root in roots.items():
        _no_class(found, root)
        found.parts[part] = _part(found, part, root, by_part[part])
    if split and "train" in by_part:
        new = [name for name in labels if name not in by_part["train"]]
        found.faults.extend(f"{shown(roots['train'])}: no folder for the class '{shown(name)}'" for name in new)
    return found


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _two_names(inside: list[Path]) -> list[str]:
    """Folders such as val and validation side by side."""
    first: dict[str, Path] = {}
    return [
        f"{shown(path)}: {shown(first[part].name)} beside it is the {part} part too"
        for path in inside
        if (part := SPLITS[path.name]) and first.setdefault(part, path) is not path
    ]


def _no_class(found: Found, folder: Path) -> None:
    loose = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and not path.is_dir())
    found.faults.extend(f"{shown(path)}: an image of no class: it stands beside the folders" for path in loose)


def _part(found: Found, part: str, root: Path, names: dict[str, Path]) -> Raw:
    paths: list[Path] = []
    classes: list[int] = []
    left_out: list[Path] = []
    for name, folder in sorted(names.items()):
        images, others = _images(folder)
        if not images:
            found.faults.append(f"{shown(folder)}: no images in this class folder")
        left_out += others
        paths += images
        classes += [(found.labels or ()).index(name)] * len(images)
    if left_out:
        number = f"{len(left_out)} files are" if len(left_out) > 1 else "1 file is"
        found.notes.append(f"{number} left out, no image by its name: {shown(left_out[0])}")
    if not names:
        found.faults.append(f"{shown(root)}: no class folders in the {part} part")

    def place(position: int) -> str:
        return shown(paths[position])

    numbers = np.asarray(classes, np.int64)
    return Raw(len(paths), lambda i, channels: vision.load(paths[i], channels), place, place, numbers)


def _images(folder: Path) -> tuple[list[Path], list[Path]]:
    """Images and other files below a folder, in the order of their paths."""
    walk = os.walk(folder, onerror=_raise)
    files = [Path(root) / name for root, _, names in walk for name in names if not name.startswith(".")]
    images = sorted(path for path in files if path.suffix.lower() in SUFFIXES)
    return images, sorted(path for path in files if path.suffix.lower() not in SUFFIXES)


def _raise(error: OSError) -> None:
    raise error
