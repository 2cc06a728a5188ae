"""YOLO's text labels: a file for each image, a row for each box: class, centre x, centre y, width, height, all in parts
of the image. `images/` and `labels/` stand side by side, each flat or with `train`, `val`, `test`, or in each of these.

`data.yaml` (its `names`) or `classes.txt` name the classes. J. Redmon: Darknet, 2013-2018.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from cnnspec import limits, vision
from cnnspec.datasets import files
from cnnspec.datasets.parts import Boxes, Found, Raw, boxes_of, shown
from cnnspec.diagnostics import RunError

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_YAML = ("data.yaml", "data.yml", "dataset.yaml")
_TEXT = ("classes.txt", "obj.names", "labels/classes.txt", "names.txt")


def find(folder: Path) -> Found | None:
    """The labels of a folder; None where no `images` with `labels` beside it are in it."""
    pairs = files.pairs(folder, "labels")
    if not pairs:
        return None
    found = Found(str(folder), {})
    try:
        names = _names(folder)
    except RunError as error:
        found.faults.append(error.message)
        names = None
    for part, images, labels in pairs:
        if part in found.parts:
            found.faults.append(f"{shown(images)}: another folder beside it is the {part} part too")
            continue
        found.parts[part] = _part(found, images, labels)
    return Found(found.name, found.parts, names, found.faults, found.notes)


def _part(found: Found, images: Path, labels: Path) -> Raw:
    pictures, texts = files.images(images), files.of_kind(labels, (".txt",))
    texts.pop("classes", None)
    lacking = [path for name, path in pictures.items() if name not in texts]
    hint = "an image without boxes has an empty one"
    found.faults.extend(f"{shown(path)}: no file of labels in {shown(labels)}; {hint}" for path in lacking)
    found.faults.extend(f"{shown(path)}: no image of it" for name, path in texts.items() if name not in pictures)
    if not pictures:
        found.faults.append(f"{shown(images)}: no images in it")
    both = [name for name in pictures if name in texts]
    paths, sources = [pictures[name] for name in both], [texts[name] for name in both]
    read = [_boxes(path, found.faults) for path in sources]

    def box_place(position: int, box: int) -> str:
        line, row = read[position][1][box]
        return f"{shown(sources[position])}:{line}: the box {shown(row)}"

    return Raw(
        len(both),
        lambda i, channels: vision.load(paths[i], channels),
        lambda i: shown(paths[i]),
        lambda i: shown(sources[i]),
        boxes=[boxes for boxes, _ in read],
        box_place=box_place,
        relative=True,
    )


def _boxes(path: Path, faults: list[str]) -> tuple[Boxes, list[tuple[int, str]]]:
    """The boxes of a file, with their rows."""
    classes, corners, rows = [], [], []
    try:
        written = files.lines(path, limits.FILE_BYTES)
    except RunError as error:
        faults.append(error.message)
        written = []
    for number, row in written:
        words = row.split()
        try:
            label, x, y, width, height = float(words[0]), *map(float, words[1:])
        except (ValueError, IndexError):
            what = f"{len(words)} numbers" if len(words) != 5 else f"'{shown(row[:80])}'"
            faults.append(f"{shown(path)}:{number}: {what}; a row is class, centre x, centre y, width, height")
            continue
        if not label.is_integer() or abs(label) > limits.INTEGER:
            faults.append(f"{shown(path)}:{number}: the class {shown(words[0][:40])} is no whole number")
            continue
        classes.append(int(label))
        corners.append((x - width / 2, y - height / 2, x + width / 2, y + height / 2))
        rows.append((number, row))
    return boxes_of(classes, corners), rows


def _names(folder: Path) -> tuple[str, ...] | None:
    """The names of the classes. Raises RunError where a file of names cannot be read."""
    for name in _YAML:
        if (path := folder / name).is_file():
            return _from_yaml(path)
    for name in _TEXT:
        if (path := folder / name).is_file():
            return tuple(line for _, line in files.lines(path, limits.FILE_BYTES))
    return None


def _from_yaml(path: Path) -> tuple[str, ...]:
    """`names` of a data.yaml: a list, or a mapping from numbers. What else it says is passed over."""
    try:
        said = _top(path, yaml.parse(files.text(path, limits.FILE_BYTES), Loader=_LOADER))
    except yaml.YAMLError:
        raise RunError(f"{shown(path)}: is no YAML") from None
    names = said.get("names", [])
    if isinstance(names, dict):
        due = [str(number) for number in range(len(names))]
        names = [names[number] for number in due] if set(names) == set(due) else []
    if not isinstance(names, list) or not names:
        raise RunError(f"{shown(path)}: no names of classes; 'names' is a list, or a mapping from 0, 1, 2, ...")
    count = said.get("nc", str(len(names)))
    if count != str(len(names)):
        raise RunError(f"{shown(path)}: nc is {shown(count)}, and there are {len(names)} names")
    return tuple(names)


def _top(path: Path, events: Iterator[Any]) -> dict[str, Any]:
    """The keys of a YAML mapping with their texts, or the texts in them one level down. Nothing is composed: aliases
    stay what they are, and depth has a limit."""
    found: dict[str, Any] = {}
    opened: list[Any] = []
    key: str | None = None
    for event in events:
        if isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            opened.append(event)
            if len(opened) > limits.YAML_DEPTH:
                raise RunError(f"{shown(path)}: nested deeper than {limits.YAML_DEPTH} levels")
            if len(opened) == 2 and key is not None:
                found[key] = []
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            start = opened.pop()
            if len(opened) == 1 and key is not None:
                words = found[key]
                found[key] = dict(zip(words[::2], words[1::2], strict=False)) if _is_mapping(start) else words
                key = None
        elif isinstance(event, (yaml.ScalarEvent, yaml.AliasEvent)) and opened and _is_mapping(opened[0]):
            text = event.value if isinstance(event, yaml.ScalarEvent) else f"*{event.anchor}"
            if len(opened) == 1:
                key = text if key is None else found.update({key: text})
            elif len(opened) == 2 and key is not None:
                found[key].append(text)
    return found


def _is_mapping(event: Any) -> bool:
    return isinstance(event, yaml.MappingStartEvent)
