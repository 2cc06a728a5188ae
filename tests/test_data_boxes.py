"""Data with boxes: every layout gives the same scene."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from boxed import (
    BOXES,
    NAMES,
    PARTS,
    an_object,
    annotation,
    pixels,
    put,
    read,
    said,
    write_coco,
    write_coco_beside,
    write_json,
    write_list,
    write_voc,
    write_yolo,
)
from cnnspec import datasets
from cnnspec.datasets import voc, yolo
from cnnspec.datasets.parts import Found
from cnnspec.diagnostics import RunError, UsageError

LAYOUTS: dict[str, Callable[[], None]] = {
    "voc": write_voc,
    "voc in a folder": partial(write_voc, "d/VOCdevkit/VOC2012"),
    "coco": write_coco,
    "coco beside": write_coco_beside,
    "yolo": write_yolo,
    "yolo by years": partial(write_yolo, pattern="{kind}/{part}2017"),
    "yolo by parts": partial(write_yolo, pattern="{part}/{kind}"),
    "list": write_list,
    "list in json": write_json,
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_scene(layout: str, given: bool) -> None:
    LAYOUTS[layout]()
    name = layout.split()[0] if given else None
    assert datasets.find("d/", 3, format=name).labels == NAMES
    loaded = read("boxes", format=name)
    assert loaded.warnings == []
    for part, numbers in PARTS.items():
        samples = loaded.parts[{"val": "validation"}.get(part, part)]
        assert samples.boxes is not None
        assert samples.classes is None
        for position, number in enumerate(numbers):
            boxes = samples.boxes[position]
            assert samples.place(position).endswith(f"/i{number}.png")
            assert np.array_equal(samples.images.one(position), pixels(number))
            due = np.array(BOXES[number]).reshape(-1, 5)
            assert boxes.classes.tolist() == due[:, 0].tolist()
            assert np.allclose(boxes.corners, due[:, 1:], atol=5e-5)
            assert boxes.difficult.tolist() == [bool(layout.startswith("coco") and one == 2) for one in due[:, 0]]


def test_coco_s_boxes_are_torchvision_s() -> None:
    from torchvision.datasets import CocoDetection, wrap_dataset_for_transforms_v2

    write_coco()
    peer = wrap_dataset_for_transforms_v2(CocoDetection("d/train2017", "d/annotations/instances_train2017.json"))
    boxes = datasets.find("d/", 3).parts["train"].boxes
    assert boxes is not None
    for ours, (_, theirs) in zip(boxes, peer, strict=True):
        assert ours.corners.tolist() == (theirs["boxes"].tolist() if "boxes" in theirs else [])
        assert [3 * label + 5 for label in ours.classes] == (theirs["labels"].tolist() if "labels" in theirs else [])


def test_voc_s_objects_are_torchvision_s() -> None:
    from torchvision.datasets import VOCDetection

    write_voc("d/VOCdevkit/VOC2012")
    for file in Path("d/VOCdevkit/VOC2012/JPEGImages").iterdir():
        file.with_suffix(".jpg").symlink_to(file.name)
    peer = VOCDetection("d", image_set="val")
    boxes = datasets.find("d/", 3).parts["validation"].boxes
    assert boxes is not None
    for ours, (_, theirs) in zip(boxes, peer, strict=True):
        objects = theirs["annotation"].get("object", [])
        assert [NAMES[label] for label in ours.classes] == [one["name"] for one in objects]
        corners = [[float(one["bndbox"][key]) for key in ("xmin", "ymin", "xmax", "ymax")] for one in objects]
        assert ours.corners.tolist() == corners


@pytest.mark.parametrize(("write", "file"), [(write_list, "labels.csv"), (write_json, "labels.json")])
@pytest.mark.parametrize("format", [None, "list"])
def test_a_list_is_read_by_its_file(write: Callable[[], None], file: str, format: str | None) -> None:
    """Under any name; the paths in it count from its folder."""
    write()
    due = read("boxes")
    labels = datasets.find("d/", 3).labels
    other = Path("d", f"mine{Path(file).suffix.upper()}")
    shutil.copy(f"d/{file}", other)
    for target in (f"d/{file}", f"./d/{file}", str(other)):
        found = read("boxes", name=target, format=format)
        assert datasets.find(target, 3).labels == labels
        assert list(found.parts) == list(due.parts)
        for name, part in due.parts.items():
            theirs = found.parts[name]
            assert len(theirs) == len(part)
            assert part.boxes is not None
            assert theirs.boxes is not None
            for position in range(len(part)):
                assert theirs.place(position) == part.place(position)
                assert (theirs.boxes[position].corners == part.boxes[position].corners).all()
                assert (theirs.boxes[position].classes == part.boxes[position].classes).all()
                assert (theirs.images.one(position) == part.images.one(position)).all()


def test_a_file_that_is_no_list_is_named() -> None:
    write_list()
    assert (
        said("boxes", name="d/labels.csv", format="yolo") == "--format yolo goes with a folder, d/labels.csv is a list"
    )
    put("d/other.json", '{"images": []}')
    due = "d/other.json: is no list of mappings such as {'image': 'a.png', 'label': 3}"
    assert said("boxes", name="d/other.json") == due
    put("d/other.json", '{"images": [], "annotations": [], "categories": []}')
    due = "d/other.json: is COCO's, which is read by its folder: --data DIR"
    assert said("boxes", name="d/other.json") == due
    put("d/other.csv", "image,class\n")
    due = "image, label and perhaps part are read, with x1, y1, x2, y2 for boxes"
    assert said("boxes", name="d/other.csv") == f"d/other.csv:1: the columns are image, class; {due}"
    put("d/labels.csv", "image,label,x1,y1,x2,y2\nall/i99.png,ant,1,2,3,4\n")
    assert said("boxes", name="d/labels.csv").startswith("cannot read d/all/i99.png: No such file or directory")


def test_without_lists_all_of_a_voc_folder_is_one_part() -> None:
    write_voc()
    for path in Path("d/ImageSets/Main").iterdir():
        path.unlink()
    assert {name: len(part) for name, part in datasets.find("d/", 3).parts.items()} == {"all": 10}
    put("d/ImageSets/Main/trainval.txt", "i3 1\n\ni5 -1\n")
    assert {name: len(part) for name, part in datasets.find("d/", 3).parts.items()} == {"train": 2}


def test_names_of_classes_may_be_given() -> None:
    write_voc()
    put("d/classes.txt", "cat\nbee\nant\n")
    boxes = datasets.find("d/", 3).parts["train"].boxes
    assert boxes is not None
    assert boxes[1].classes.tolist() == [1]
    assert boxes[2].classes.tolist() == [0, 2]
    put("d/classes.txt", "cat\nbee\n")
    assert "d/Annotations/i2.xml:7: the class 'ant' is none of the data's" in said("boxes")


def test_parts_of_an_object_are_no_boxes() -> None:
    write_voc()
    part = f"<part><name>head</name><bndbox><xmin>0</xmin></bndbox></part>{an_object('bee', (1, 2, 3, 4))[9:]}"
    put("d/Annotations/i1.xml", annotation("<object>" + part))
    boxes = datasets.find("d/", 3).parts["train"].boxes
    assert boxes is not None
    assert boxes[1].corners.tolist() == [[1, 2, 3, 4]]


def test_names_of_yolo_s_classes() -> None:
    write_yolo()
    for content, names in (
        ("names: ['a', \"b c\", d]", ("a", "b c", "d")),
        ("nc: 2\nnames:\n- a\n- b\nx: {names: [c]}", ("a", "b")),
        ("names: {1: b, 0: a}", ("a", "b")),
        ("x: &a [b]\ny: *a\nnames: [c]", ("c",)),
    ):
        put("d/data.yaml", content)
        assert datasets.find("d/", 3).labels == names
    Path("d/data.yaml").unlink()
    assert datasets.find("d/", 3).labels is None
    put("d/classes.txt", "x\ny\n")
    assert datasets.find("d/", 3).labels == ("x", "y")


def test_a_format_is_told_or_refused() -> None:
    write_yolo()
    with pytest.raises(UsageError, match=r"there is no format 'yolov3'\n  help: did you mean 'yolo'\?"):
        datasets.find("d/", 3, format="yolov3")
    with pytest.raises(RunError) as caught:
        datasets.find("d/", 3, format="voc")
    due = "d/: no data in the format voc\n  help: JPEGImages/ with Annotations/ or SegmentationClass/ are looked for"
    assert str(caught.value) == f"error: {due}"


def test_other_folders_are_none_of_these() -> None:
    for path in ("d/JPEGImages", "d/images", "d/annotations"):
        Path(path).mkdir(parents=True)
    put("d/captions.json", "[]")
    found: list[Found | None] = [voc.find(Path("d")), yolo.find(Path("d")), datasets.coco.find(Path("d"))]
    assert found == [None, None, None]
