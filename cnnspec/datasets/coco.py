"""COCO's JSON: `annotations/instances_train2017.json` and its like beside folders of images, or
`_annotations.coco.json` in each folder of images; boxes are x, y, width, height in pixels.

Category ids may have gaps: classes are numbered in the order of the ids. What is `iscrowd` is difficult.
T.-Y. Lin et al.: Microsoft COCO: Common Objects in Context, 2014 (arXiv 1405.0312).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnspec import vision
from cnnspec.datasets import files
from cnnspec.datasets.parts import WHOLE, Boxes, Found, Raw, boxes_of, shown
from cnnspec.datasets.rows import SPLITS
from cnnspec.diagnostics import RunError

if TYPE_CHECKING:
    from cnnspec.vision import Pixels

_NAME = re.compile(r"(?P<what>_?annotations|instances)?(?:[_.-]?coco)?[_.-]?(?P<split>[a-z]*)[0-9]*", re.IGNORECASE)


def find(folder: Path) -> Found | None:
    """The annotations of a folder; None where there are none."""
    sources = _sources(folder)
    if not sources:
        return None
    found = Found(str(folder), {})
    read: dict[str, tuple[Path, _File]] = {}
    for part, path in sources:
        if part in read:
            found.faults.append(f"{shown(path)}: {shown(read[part][0].name)} is the {part} part too")
            continue
        try:
            read[part] = path, _File(path, files.json_of(path, without="segmentation"), found.faults)
        except RunError as error:
            found.faults.append(error.message)
    labels: dict[str, int] = {}
    for part in ("train", WHOLE, "validation", "test"):
        for name in read[part][1].categories.values() if part in read else ():
            labels.setdefault(name, len(labels))
    for part, (path, file) in read.items():
        found.parts[part] = _part(found, folder, path, file, labels)
    return Found(found.name, found.parts, tuple(labels), found.faults, found.notes)


def _sources(folder: Path) -> list[tuple[str, Path]]:
    """Parts with their files of annotations."""
    inner = sorted(folder.glob("*/_annotations.coco.json"))
    if inner:
        return [(SPLITS[path.parent.name], path) for path in inner if path.parent.name in SPLITS]
    found = []
    for path in [*sorted(folder.glob("annotations/*.json")), *sorted(folder.glob("*.json"))]:
        name = _NAME.fullmatch(path.stem)
        split = name["split"].lower() if name else ""
        if split in SPLITS or (name and name["what"] and not split):
            found.append((SPLITS.get(split, WHOLE), path))
    return found


class _File:
    """One file of annotations: what it says of images, of boxes by image, and of categories."""

    def __init__(self, path: Path, content: Any, faults: list[str]) -> None:
        self.path, self.faults = path, faults
        if not isinstance(content, dict) or not all(isinstance(content.get(key), list) for key in _LISTS):
            raise RunError(f"{shown(path)}: no COCO annotations: a mapping with the lists {', '.join(_LISTS)}")
        self.categories: dict[int, str] = {}
        self.images: dict[int, str] = {}
        self.boxes: dict[int, list[tuple[int, dict[str, Any]]]] = {}
        for number, one in enumerate(content["categories"]):
            if self.has(one, "categories", number, id=int, name=str):
                self.once(self.categories, one["id"], one["name"], "categories", number)
        self.categories = dict(sorted(self.categories.items()))
        for number, one in enumerate(content["images"]):
            if self.has(one, "images", number, id=int, file_name=str):
                self.once(self.images, one["id"], one["file_name"], "images", number)
        for number, one in enumerate(content["annotations"]):
            if self.has(one, "annotations", number, image_id=int, category_id=int, bbox=list):
                self.annotation(one, number)

    def has(self, one: Any, where: str, number: int, **kinds: type) -> bool:
        for key, kind in kinds.items():
            value = one.get(key) if isinstance(one, dict) else None
            if type(value) is not kind:
                said = "no" if value is None else f"{shown(str(value)[:40])} for"
                self.fault(where, number, f"{said} {key}; {_KINDS[kind]} is due")
                return False
        return True

    def once(self, known: dict[int, str], key: int, name: str, where: str, number: int) -> None:
        if known.setdefault(key, name) is not name:
            self.fault(where, number, f"the id {key} stands twice")

    def annotation(self, one: dict[str, Any], number: int) -> None:
        if one["image_id"] not in self.images:
            self.fault("annotations", number, f"there is no image with the id {one['image_id']}")
        elif one["category_id"] not in self.categories:
            self.fault("annotations", number, f"there is no category with the id {one['category_id']}")
        elif len(one["bbox"]) != 4 or not all(type(value) in (int, float) for value in one["bbox"]):
            self.fault("annotations", number, f"the bbox {shown(str(one['bbox'])[:80])} is no list of four numbers")
        else:
            self.boxes.setdefault(one["image_id"], []).append((number, one))

    def fault(self, where: str, number: int, text: str) -> None:
        self.faults.append(f"{shown(self.path)}: {where}[{number}]: {text}")


_LISTS = ("images", "annotations", "categories")
_KINDS = {int: "a whole number", str: "text", list: "x, y, width, height"}


def _part(found: Found, folder: Path, path: Path, file: _File, labels: dict[str, int]) -> Raw:
    ids = list(file.images)
    where = _folder(folder, path, [file.images[key] for key in ids[:1]])
    paths = [files.inside(where, name) for name in file.images.values()]
    if not ids and not found.faults:
        found.faults.append(f"{shown(path)}: no images in it")

    def load(position: int, channels: int) -> Pixels:
        if (image := paths[position]) is None:
            name = shown(file.images[ids[position]])
            raise RunError(f"{shown(path)}: images[{position}]: {name} leads out of {shown(where)}")
        return vision.load(image, channels)

    def box_place(position: int, box: int) -> str:
        number, one = file.boxes[ids[position]][box]
        written = ", ".join(f"{value:g}" for value in one["bbox"])
        name = shown(file.images[ids[position]])
        return f"{shown(path)}: annotations[{number}] of {name}: the box {written} ({shown(_name(file, one))})"

    return Raw(
        len(ids),
        load,
        lambda i: shown(paths[i] or file.images[ids[i]]),
        lambda i: f"{shown(path)}: {shown(file.images[ids[i]])}",
        boxes=[_boxes(file, key, labels) for key in ids],
        box_place=box_place,
    )


def _name(file: _File, one: dict[str, Any]) -> str:
    return file.categories[one["category_id"]]


def _boxes(file: _File, key: int, labels: dict[str, int]) -> Boxes:
    given = [one for _, one in file.boxes.get(key, ())]
    corners = [(x, y, x + width, y + height) for x, y, width, height in (one["bbox"] for one in given)]
    classes = [labels[_name(file, one)] for one in given]
    return boxes_of(classes, corners, [bool(one.get("iscrowd", 0)) for one in given])


def _folder(folder: Path, path: Path, names: list[str]) -> Path:
    """Where the images of a file are: beside it, or in a folder that bears its part's name."""
    if path.name == "_annotations.coco.json":
        return path.parent
    part = re.sub(r"^_?(annotations|instances)?([_.-]?coco)?[_.-]?", "", path.stem, flags=re.IGNORECASE)
    words = [part, part.rstrip("0123456789")]
    tried = [folder / above / word for word in words for above in ("", "images") if word]
    tried += [folder / "images", folder]
    return next((one for one in tried if all((one / name).is_file() for name in names)), tried[0])
