"""A list of images: `labels.csv` with the columns `image` (a path from its folder), `label`, and perhaps `part`; or
`labels.json`, a list of objects with these keys; given by itself such a file may have any name. With `x1`, `y1`,
`x2`, `y2` (pixels) each row is a box of its image; a row that leaves them and `label` empty is an image without boxes.

Labels are numbers where all of them are, else the names of classes, in the order of the names.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cnnspec import vision
from cnnspec.datasets import files
from cnnspec.datasets.parts import WHOLE, Boxes, Found, Raw, boxes_of, shown
from cnnspec.datasets.rows import SPLITS
from cnnspec.diagnostics import RunError

FILE, JSON = "labels.csv", "labels.json"
CORNERS = ("x1", "y1", "x2", "y2")
KEYS = ("image", "label", "part", *CORNERS, "difficult")
LIKE = "{'image': 'a.png', 'label': 3}"


@dataclass(frozen=True)
class Row:
    """One row: where it stands, and what it says; `corners` None where it has no box."""

    where: str
    image: Path
    label: str
    part: str
    corners: tuple[float, ...] | None
    difficult: bool

    @property
    def written(self) -> str:
        return ", ".join(f"{number:g}" for number in self.corners or ())


def find(folder: Path) -> Found | None:
    """The list of a folder; None where there is none."""
    path = next((folder / name for name in (FILE, JSON) if (folder / name).is_file()), None)
    return None if path is None else read(path, str(folder))


def read(path: Path, name: str) -> Found:
    """A list by its file, a CSV unless its suffix is JSON's; `name` is what the data is called."""
    faults: list[str] = []
    try:
        rows, boxed = _rows(path, faults)
    except RunError as error:
        return Found(name, {}, faults=[error.message])
    numbers = {row.label: _number(row.label) for row in rows if row.label}
    if any(number is None for number in numbers.values()):
        names: tuple[str, ...] | None = tuple(sorted(numbers))
        place = {name: number for number, name in enumerate(names or ())}
    else:
        names = None
        place = {text: _whole(number) for text, number in numbers.items()}
        odd = [row for row in rows if row.label and not _is_whole(numbers[row.label])]
        faults.extend(f"{row.where}: the label {numbers[row.label]:g} is no whole number" for row in odd)
    found = Found(name, {}, names, faults)
    for part in dict.fromkeys(row.part for row in rows):
        chosen = [row for row in rows if row.part == part]
        found.parts[part] = _boxed(chosen, place) if boxed else _classed(chosen, place)
    if WHOLE in found.parts and len(found.parts) > 1:
        faults.append(f"{shown(path)}: some rows name a part and some do not")
    if not rows and not faults:
        faults.append(f"{shown(path)}: no images in it")
    return found


def _rows(path: Path, faults: list[str]) -> tuple[list[Row], bool]:
    """The rows that can be used, of the others the fault; and whether they are of boxes."""
    given = list(_json(path) if path.suffix.lower() == ".json" else _csv(path))
    boxed = any(values.get(key) for _, values in given for key in CORNERS)
    rows = [_row(path, where, values, boxed, faults) for where, values in given]
    return [row for row in rows if row is not None], boxed


def _csv(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            columns = set(reader.fieldnames or ())
            corners = columns & set(CORNERS)
            if not {"image", "label"} <= columns or (corners and len(corners) < 4):
                given = shown(", ".join(reader.fieldnames or ()) or "nothing")
                due = "image, label and perhaps part are read, with x1, y1, x2, y2 for boxes"
                raise RunError(f"{shown(path)}:1: the columns are {given}; {due}")
            for row in reader:
                yield f"{shown(path)}:{reader.line_num}", {key: (row.get(key) or "").strip() for key in KEYS}
    except (UnicodeDecodeError, csv.Error) as error:
        raise RunError(f"{shown(path)}: is no CSV in UTF-8: {shown(error)}") from None


def _json(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    content = files.json_of(path)
    if not isinstance(content, list) or not all(isinstance(one, dict) for one in content):
        coco = isinstance(content, dict) and {"images", "annotations"} <= content.keys()
        what = (
            "is COCO's, which is read by its folder: --data DIR" if coco else f"is no list of mappings such as {LIKE}"
        )
        raise RunError(f"{shown(path)}: {what}")
    for number, one in enumerate(content):
        yield f"{shown(path)}[{number}]", {key: _text(one.get(key)) for key in KEYS}


def _text(value: Any) -> str:
    if value is None:
        return ""
    return str(int(value)) if isinstance(value, bool) else str(value).strip()


def _row(path: Path, where: str, values: dict[str, str], boxed: bool, faults: list[str]) -> Row | None:
    image, label, part = values["image"], values["label"], values["part"]
    written = [values[key] for key in CORNERS]
    empty = boxed and not label and not any(written)
    if not image or not (label or empty):
        faults.append(f"{where}: no {'label' if image else 'image'}")
        return None
    if part and part not in SPLITS:
        faults.append(f"{where}: the part '{shown(part)}', allowed are {', '.join(SPLITS)}")
        return None
    corners = None
    if boxed and not empty:
        numbers = [_number(text) for text in written]
        if None in numbers:
            key, text = next((k, t) for k, t, n in zip(CORNERS, written, numbers, strict=True) if n is None)
            faults.append(f"{where}: {key} is '{shown(text[:40])}', no number" if text else f"{where}: no {key}")
            return None
        corners = tuple(number for number in numbers if number is not None)
    hard = values["difficult"] not in ("", "0")
    return Row(where, path.parent / image, label, SPLITS.get(part, WHOLE), corners, hard)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _is_whole(number: float | None) -> bool:
    return number is not None and number.is_integer() and abs(number) <= 2**53


def _whole(number: float | None) -> int:
    return int(number) if number is not None and _is_whole(number) else 0


def _classed(rows: list[Row], place: dict[str, int]) -> Raw:
    return Raw(
        len(rows),
        lambda i, channels: vision.load(rows[i].image, channels),
        lambda i: shown(rows[i].image),
        lambda i: rows[i].where,
        np.asarray([place[row.label] for row in rows], np.int64),
    )


def _boxed(rows: list[Row], place: dict[str, int]) -> Raw:
    by_image: dict[Path, list[Row]] = {}
    for row in rows:
        by_image.setdefault(row.image, []).append(row)
    images, groups = list(by_image), list(by_image.values())
    held = [[row for row in group if row.corners is not None] for group in groups]

    def boxes(group: list[Row]) -> Boxes:
        corners = [row.corners for row in group if row.corners is not None]
        return boxes_of([place[row.label] for row in group], corners, [row.difficult for row in group])

    def box_place(position: int, box: int) -> str:
        row = held[position][box]
        return f"{row.where}: the box {row.written} ({shown(row.label)})"

    return Raw(
        len(images),
        lambda i, channels: vision.load(images[i], channels),
        lambda i: shown(images[i]),
        lambda i: groups[i][0].where,
        boxes=[boxes(group) for group in held],
        box_place=box_place,
    )
