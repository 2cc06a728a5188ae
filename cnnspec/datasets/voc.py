"""Pascal VOC folders: `JPEGImages/`, and beside it `Annotations/` with a box file for each image, or
`SegmentationClass/` with a mask for each; `ImageSets/Main` or `ImageSets/Segmentation` list what trains and tests.

Boxes are taken as they are written, x1, y1, x2, y2 in pixels. Classes are in the order of their names unless
`classes.txt` gives another. M. Everingham et al.: The PASCAL Visual Object Classes (VOC) Challenge, IJCV 2010.
"""

from __future__ import annotations

from pathlib import Path

from cnnspec import vision
from cnnspec.datasets import files, masks, xml
from cnnspec.datasets.parts import WHOLE, Boxes, Found, Raw, boxes_of, shown
from cnnspec.diagnostics import RunError

IMAGES, BOXES, MASKS = "JPEGImages", "Annotations", "SegmentationClass"


def find(folder: Path, kinds: frozenset[str] = frozenset()) -> Found | None:
    """What stands in a folder, or in VOC2012 and the like in it; None where it is no VOC folder.

    Where there are boxes and masks, `kinds` says which are read: boxes unless it has "masks".
    """
    inner = [folder, *sorted(folder.glob("VOC[0-9]*")), *sorted(folder.glob("VOCdevkit/VOC[0-9]*"))]
    roots = [root for root in inner if (root / IMAGES).is_dir()]
    roots = [root for root in roots if (root / BOXES).is_dir() or (root / MASKS).is_dir()]
    if not roots:
        return None
    found = Found(str(folder), {})
    if len(roots) > 1:
        found.faults.append(f"{shown(roots[0])} and {shown(roots[1])}: which is meant? name one of them")
    root = roots[0]
    if (root / MASKS).is_dir() and ("masks" in kinds or not (root / BOXES).is_dir()):
        return _masks(found, root)
    return _boxes(found, root)


def _lists(found: Found, folder: Path, images: dict[str, Path], labels: dict[str, Path]) -> dict[str, list[str]]:
    """The names of the images of each part; all that have a label where there are no lists."""
    parts = {"train": "train", "val": "validation", "test": "test"}
    there = {word: path for word in (*parts, "trainval") if (path := folder / f"{word}.txt").is_file()}
    if not there:
        found.faults.extend(f"{shown(path)}: no label of it" for name, path in images.items() if name not in labels)
        return {WHOLE: [name for name in images if name in labels]}
    if "train" in there or "val" in there:
        there.pop("trainval", None)
    lists: dict[str, list[str]] = {}
    for word, path in there.items():
        names = lists.setdefault(parts.get(word, "train"), [])
        try:
            rows = files.lines(path, files.BYTES)
        except RunError as error:
            found.faults.append(error.message)
            continue
        for number, row in rows:
            name = row.split()[0]
            lacking = [what for what, known in (("image", images), ("label", labels)) if name not in known]
            found.faults.extend(f"{shown(path)}:{number}: there is no {what} of {shown(name)}" for what in lacking)
            names.extend([] if lacking else [name])
        if not names and not found.faults:
            found.faults.append(f"{shown(path)}: no images in it")
    return lists


def _boxes(found: Found, root: Path) -> Found:
    images, labels = files.images(root / IMAGES), files.of_kind(root / BOXES, (".xml",))
    found.faults.extend(f"{shown(path)}: no image of it" for name, path in labels.items() if name not in images)
    lists = _lists(found, root / "ImageSets" / "Main", images, labels)
    read = {name: _objects(labels[name], found.faults) for names in lists.values() for name in names}
    if (path := root / masks.NAMES).is_file():
        known, _ = masks.classes(path, found.faults)
    else:
        known = tuple(sorted({one.fields["name"] for objects in read.values() for one, _ in objects}))
    for part, names in lists.items():
        paths = [images[name] for name in names]
        objects = [read[name] for name in names]
        found.parts[part] = _part(paths, [labels[name] for name in names], objects, known, found.faults)
    return Found(found.name, found.parts, known, found.faults, found.notes)


Placed = list[tuple[xml.Object, list[float]]]
"""Objects with their corners."""


def _objects(path: Path, faults: list[str]) -> Placed:
    found: Placed = []
    try:
        for one in xml.read(path):
            if not one.fields.get("name"):
                faults.append(f"{shown(path)}:{one.line}: the object has no name")
                continue
            found.append((one, xml.corners(one, path)))
    except RunError as error:
        faults.append(error.message)
    return found


def _part(
    images: list[Path], files: list[Path], objects: list[Placed], known: tuple[str, ...], faults: list[str]
) -> Raw:
    number = {name: place for place, name in enumerate(known)}

    def boxes(path: Path, placed: Placed) -> Boxes:
        for one, _ in placed:
            if one.fields["name"] not in number:
                faults.append(
                    f"{shown(path)}:{one.line}: the class '{shown(one.fields['name'])}' is none of the data's"
                )
        classes = [number.get(one.fields["name"], 0) for one, _ in placed]
        return boxes_of(classes, [corner for _, corner in placed], [_difficult(one) for one, _ in placed])

    def box_place(position: int, box: int) -> str:
        one = objects[position][box][0]
        return f"{shown(files[position])}:{one.line}: the box {one.written} ({shown(one.fields['name'])})"

    return Raw(
        len(images),
        lambda i, channels: vision.load(images[i], channels),
        lambda i: shown(images[i]),
        lambda i: shown(files[i]),
        boxes=[boxes(path, placed) for path, placed in zip(files, objects, strict=True)],
        box_place=box_place,
    )


def _difficult(one: xml.Object) -> bool:
    return one.fields.get("difficult", "0") not in ("0", "")


def _masks(found: Found, root: Path) -> Found:
    images, drawn = files.images(root / IMAGES), files.of_kind(root / MASKS, masks.MASKS)
    found.faults.extend(f"{shown(path)}: no image of it" for name, path in drawn.items() if name not in images)
    lists = _lists(found, root / "ImageSets" / "Segmentation", images, drawn)
    known, table = None, None
    if (path := root / masks.NAMES).is_file():
        known, table = masks.classes(path, found.faults)
    for part, names in lists.items():
        found.parts[part] = masks.raw([images[name] for name in names], [drawn[name] for name in names], table)
    return Found(found.name, found.parts, known, found.faults, found.notes)
