"""A list of images: `labels.csv` with the columns `image` (a path from its folder), `label`, and perhaps `part`.

Labels are numbers where all of them are, else the names of classes, in the order of the names.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from cnnspec import vision
from cnnspec.datasets.parts import WHOLE, Found, Raw, shown
from cnnspec.datasets.rows import SPLITS

FILE = "labels.csv"

Row = tuple[int, Path, str, str]
"""Line of the list, image, label, part."""


def find(folder: Path) -> Found | None:
    """The list of a folder; None where there is none."""
    path = folder / FILE
    if not path.is_file():
        return None
    faults: list[str] = []
    rows = _rows(path, faults)
    numbers = [_number(label) for _, _, label, _ in rows]
    if any(number is None for number in numbers):
        names = sorted({label for _, _, label, _ in rows})
        place = {name: number for number, name in enumerate(names)}
        found = Found(str(folder), {}, tuple(names), faults)
        classes = [place[label] for _, _, label, _ in rows]
    else:
        found = Found(str(folder), {}, None, faults)
        classes = [_whole(number, path, line, faults) for number, (line, *_) in zip(numbers, rows, strict=True)]
    for part in dict.fromkeys(part for *_, part in rows):
        which = [index for index, row in enumerate(rows) if row[3] == part]
        found.parts[part] = _part(path, [rows[i] for i in which], [classes[i] for i in which])
    if WHOLE in found.parts and len(found.parts) > 1:
        faults.append(f"{shown(path)}: some rows name a part and some do not")
    if not rows and not faults:
        faults.append(f"{shown(path)}: no images in it")
    return found


def _rows(path: Path, faults: list[str]) -> list[Row]:
    """The rows that can be used; of the others the fault."""
    rows: list[Row] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            if not {"image", "label"} <= set(reader.fieldnames or ()):
                given = ", ".join(reader.fieldnames or ()) or "nothing"
                faults.append(
                    f"{shown(path)}:1: the columns are {shown(given)}; image, label and perhaps part are read"
                )
                return []
            for row in reader:
                image, label, part = ((row.get(key) or "").strip() for key in ("image", "label", "part"))
                where = f"{shown(path)}:{reader.line_num}"
                if not image or not label:
                    faults.append(f"{where}: no {'label' if image else 'image'}")
                elif part and part not in SPLITS:
                    faults.append(f"{where}: the part '{shown(part)}', allowed are {', '.join(SPLITS)}")
                else:
                    rows.append((reader.line_num, path.parent / image, label, SPLITS.get(part, WHOLE)))
    except (UnicodeDecodeError, csv.Error) as error:
        faults.append(f"{shown(path)}: is no CSV in UTF-8: {shown(error)}")
    return rows


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _whole(number: float | None, path: Path, line: int, faults: list[str]) -> int:
    if number is None or not number.is_integer() or abs(number) > 2**53:
        faults.append(f"{shown(path)}:{line}: the label {number:g} is no whole number")
        return 0
    return int(number)


def _part(path: Path, rows: list[Row], classes: list[int]) -> Raw:
    return Raw(
        len(rows),
        lambda i, channels: vision.load(rows[i][1], channels),
        lambda i: shown(rows[i][1]),
        lambda i: f"{shown(path)}:{rows[i][0]}",
        np.asarray(classes, np.int64),
    )
