"""Small data with boxes and masks, written in every layout that is read: the same scene of ten images each time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cnnspec import datasets
from cnnspec.diagnostics import CnnspecError

HEIGHT, WIDTH = 30, 40
NAMES = ("ant", "bee", "cat")
PARTS = {"train": range(6), "val": range(6, 8), "test": range(8, 10)}
BOXES: list[list[tuple[int, int, int, int, int]]] = [
    [(i % 3, 2 + i, 3, 20 + i, 13), ((i + 1) % 3, 0, 15, 40, 30)][: i % 3] for i in range(10)
]
"""Class, x1, y1, x2, y2 of the boxes of each image; some have none."""


def pixels(number: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(number).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


def mask(number: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Classes 0 to 2, and a corner that is void."""
    found = np.random.default_rng(number).integers(0, 3, (HEIGHT, WIDTH), np.uint8)
    found[:3, :3] = 255
    return found


def put(path: str | Path, content: str | bytes) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(content.encode() if isinstance(content, str) else content)


def draw(path: str, number: int) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels(number)).save(path)


def an_object(name: str, corners: tuple[Any, ...], more: str = "") -> str:
    keys = zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)
    box = "".join(f"<{key}>{value}</{key}>" for key, value in keys)
    return f"<object>\n<name>{name}</name>{more}\n<bndbox>{box}</bndbox>\n</object>\n"


def annotation(*objects: str) -> str:
    return f"<annotation>\n<size><width>40</width></size>\n{''.join(objects)}</annotation>\n"


def write_voc(root: str = "d") -> None:
    for number in range(10):
        draw(f"{root}/JPEGImages/i{number}.png", number)
        objects = [an_object(NAMES[label], tuple(corners)) for label, *corners in BOXES[number]]
        put(f"{root}/Annotations/i{number}.xml", annotation(*objects))
    for part, numbers in PARTS.items():
        put(f"{root}/ImageSets/Main/{part}.txt", "".join(f"i{number}\n" for number in numbers))
    put(f"{root}/ImageSets/Main/trainval.txt", "".join(f"i{number}\n" for number in range(8)))


def write_voc_masks(root: str = "d") -> None:
    for number in range(10):
        draw(f"{root}/JPEGImages/i{number}.png", number)
        palette = Image.fromarray(mask(number), "P")
        palette.putpalette(np.random.default_rng(0).integers(0, 256, 768, np.uint8).tobytes())
        Path(f"{root}/SegmentationClass").mkdir(exist_ok=True)
        palette.save(f"{root}/SegmentationClass/i{number}.png")
    for part, numbers in PARTS.items():
        put(f"{root}/ImageSets/Segmentation/{part}.txt", "".join(f"i{number}\n" for number in numbers))
    put(f"{root}/classes.txt", "\n".join(NAMES))


def instances(numbers: range, **change: Any) -> dict[str, Any]:
    """COCO's document; ids with gaps, categories not in the order of their ids."""
    annotations = [
        {"id": 7 * number + 1, "image_id": number + 100, "category_id": 3 * label + 5, "iscrowd": int(label == 2),
         "bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1)}
        for number in numbers for label, x1, y1, x2, y2 in BOXES[number]
    ]  # fmt: skip
    for one, key in enumerate(annotations):
        key["id"] = one
    return {
        "images": [{"id": n + 100, "file_name": f"i{n}.png", "height": HEIGHT, "width": WIDTH} for n in numbers],
        "annotations": annotations,
        "categories": [{"id": 3 * label + 5, "name": NAMES[label]} for label in (2, 0, 1)],
        **change,
    }


def write_coco(root: str = "d") -> None:
    for part, numbers in PARTS.items():
        for number in numbers:
            draw(f"{root}/{part}2017/i{number}.png", number)
        put(f"{root}/annotations/instances_{part}2017.json", json.dumps(instances(numbers)))
        put(f"{root}/annotations/captions_{part}2017.json", "{}")


def write_coco_beside(root: str = "d") -> None:
    for part, numbers in PARTS.items():
        name = part.replace("val", "valid")
        for number in numbers:
            draw(f"{root}/{name}/i{number}.png", number)
        put(f"{root}/{name}/_annotations.coco.json", json.dumps(instances(numbers)))


def rows(number: int) -> str:
    lines = [
        f"{label} {(x1 + x2) / 2 / WIDTH:.6f} {(y1 + y2) / 2 / HEIGHT:.6f} {(x2 - x1) / WIDTH:.6f} "
        f"{(y2 - y1) / HEIGHT:.6f}\n"
        for label, x1, y1, x2, y2 in BOXES[number]
    ]
    return "".join(lines)


def write_yolo(root: str = "d", pattern: str = "{kind}/{part}") -> None:
    for part, numbers in PARTS.items():
        for number in numbers:
            draw(f"{root}/{pattern.format(kind='images', part=part)}/i{number}.png", number)
            put(f"{root}/{pattern.format(kind='labels', part=part)}/i{number}.txt", rows(number))
    put(f"{root}/data.yaml", "train: ../train/images\nval:\nnames:\n  0: ant\n  1: bee\n  2: cat\ndownload: |\n  x\n")


def write_masks(root: str = "d", pattern: str = "{kind}/{part}") -> None:
    for part, numbers in PARTS.items():
        folder = f"{root}/{pattern.format(kind='masks', part=part)}"
        Path(folder).mkdir(parents=True, exist_ok=True)
        for number in numbers:
            draw(f"{root}/{pattern.format(kind='images', part=part)}/i{number}.png", number)
            Image.fromarray(mask(number)).save(f"{folder}/i{number}.png")
    put(f"{root}/classes.txt", "\n".join(NAMES))


def write_list(root: str = "d") -> None:
    lines = ["image,label,x1,y1,x2,y2,part"]
    for part, numbers in PARTS.items():
        for number in numbers:
            draw(f"{root}/all/i{number}.png", number)
            told = [f"{NAMES[label]},{','.join(map(str, corners))}" for label, *corners in BOXES[number]]
            lines += [f"all/i{number}.png,{one},{part}" for one in told or [",,,,"]]
    put(f"{root}/labels.csv", "\n".join(lines))


def write_json(root: str = "d") -> None:
    content: list[dict[str, Any]] = []
    for part, numbers in PARTS.items():
        for number in numbers:
            draw(f"{root}/all/i{number}.png", number)
            image = {"image": f"all/i{number}.png", "part": part}
            keys = ("x1", "y1", "x2", "y2")
            told = [
                {"label": NAMES[label], **dict(zip(keys, corners, strict=True))} for label, *corners in BOXES[number]
            ]
            content += [{**image, **one} for one in told or [{}]]
    put(f"{root}/labels.json", json.dumps(content))


def read(kind: str, skip: bool = False, channels: int = 3, name: str = "d/", **given: Any) -> datasets.Loaded:
    """As training reads it, at the images' own sizes."""
    found = datasets.find(name, channels, kinds=frozenset({kind}), **given)
    wanted = datasets.Wanted(channels, 0, 0, None, 3, kinds=frozenset({kind}), skip_labels=skip)
    return datasets.load(found.name, found.parts, wanted, found.faults)


def said(kind: str, **given: Any) -> str:
    try:
        read(kind, **given)
    except CnnspecError as error:
        return str(error).removeprefix("error: ")
    return "nothing"
