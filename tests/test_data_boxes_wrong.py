"""Labels of boxes that are not what they should be, in every layout, each in the words a user sees."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from boxed import (
    PARTS,
    an_object,
    annotation,
    draw,
    instances,
    put,
    read,
    rows,
    said,
    write_coco,
    write_json,
    write_list,
    write_voc,
    write_yolo,
)
from cnnspec import datasets, limits
from cnnspec.datasets import classes, files, xml
from cnnspec.diagnostics import RunError, UsageError

SKIP = "\n  help: --on-bad-label skip leaves these labels out and keeps their images"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


CORNERS: list[tuple[tuple[Any, ...], str | None]] = [
    ((5, 4, 5, 9), "5, 4, 5, 9 (bee) is 0 wide and 5 high; both must be more than 0"),
    ((5, 4, 6, 9), None),
    ((6, 4, 5, 9), "6, 4, 5, 9 (bee) is -1 wide and 5 high; both must be more than 0"),
    ((5, 4, 40, 30), None),
    ((5, 4, 41, 30), "5, 4, 41, 30 (bee) leaves the image, which is 40 wide and 30 high"),
    ((-1, 4, 9, 30), "-1, 4, 9, 30 (bee) leaves the image, which is 40 wide and 30 high"),
    (("nan", 4, 9, 30), "nan, 4, 9, 30 (bee) is not finite"),
]


@pytest.mark.parametrize(("corners", "text"), CORNERS)
def test_a_wrong_box_is_named_in_every_layout(corners: tuple[Any, ...], text: str | None) -> None:
    write_voc("voc")
    put("voc/Annotations/i1.xml", annotation(an_object("bee", corners)))
    write_list("list")
    lines = Path("list/labels.csv").read_text(encoding="utf-8").replace("bee,3,3,21,13", f"bee,{_joined(corners)}")
    put("list/labels.csv", lines)
    write_coco("coco")
    document = instances(PARTS["train"])
    x1, y1, x2, y2 = map(float, corners)
    document["annotations"][0]["bbox"] = [x1, y1, x2 - x1, y2 - y1]
    put("coco/annotations/instances_train2017.json", json.dumps(document))
    written = ", ".join(f"{number:g}" for number in (x1, y1, x2 - x1, y2 - y1))
    for name, place in (
        ("voc", "voc/Annotations/i1.xml:3: the box "),
        ("list", "list/labels.csv:3: the box "),
        ("coco", "coco/annotations/instances_train2017.json: annotations[0] of i1.png: the box "),
    ):
        due = f"{place}{text}{SKIP}" if text else "nothing"
        due = due.replace(f"{_joined(corners, ', ')} (", f"{written} (") if name == "coco" else due
        assert said("boxes", name=f"{name}/") == due
        if text:
            assert read("boxes", skip=True, name=f"{name}/").warnings == [
                f"1 bad label is left out; the first: {due.removesuffix(SKIP)}"
            ]


def test_boxes_without_area_are_named_together() -> None:
    """As in BCCD, a point in training and one in validation."""
    write_voc()
    point = an_object("bee", (5, 4, 5, 4))
    whole = an_object("ant", (1, 2, 9, 9))
    first, second = (f"d/Annotations/i{PARTS[part][0]}.xml" for part in ("train", "val"))
    put(first, annotation(whole, point))
    put(second, annotation(point))
    text = "the box 5, 4, 5, 4 (bee) is 0 wide and 0 high; both must be more than 0"
    assert said("boxes") == f"2 faults in the data d\n  {first}:7: {text}\n  {second}:3: {text}{SKIP}"
    assert read("boxes", skip=True).warnings == [f"2 bad labels are left out; the first: {first}:7: {text}"]


def _joined(corners: tuple[Any, ...], by: str = ",") -> str:
    return by.join(map(str, corners))


YOLO_ROWS: list[tuple[str, str | None]] = [
    ("1 0.5 0.5 0 0.2", "the box 1 0.5 0.5 0 0.2 is 0 wide and 6 high; both must be more than 0"),
    ("1 0.5 0.5 -0.1 0.2", "the box 1 0.5 0.5 -0.1 0.2 is -4 wide and 6 high; both must be more than 0"),
    ("1 0.5 0.5 0.1 0.2", None),
    ("1 0.5 0.5 1.0 1.0", None),
    ("1 0.5 0.5 1.1 1.0", "the box 1 0.5 0.5 1.1 1.0 leaves the image, which is 40 wide and 30 high"),
    ("1 0.95 0.5 0.2 0.2", "the box 1 0.95 0.5 0.2 0.2 leaves the image, which is 40 wide and 30 high"),
    ("1 nan 0.5 0.1 0.2", "the box 1 nan 0.5 0.1 0.2 is not finite"),
    ("2 0.5 0.5 0.1 0.2", None),
    ("3 0.5 0.5 0.1 0.2", "the box 3 0.5 0.5 0.1 0.2 is of a class out of range, allowed are 0 to 2"),
    ("-1 0.5 0.5 0.1 0.2", "the box -1 0.5 0.5 0.1 0.2 is of a class out of range, allowed are 0 to 2"),
]


@pytest.mark.parametrize(("row", "text"), YOLO_ROWS)
def test_a_wrong_row_of_yolo_is_named(row: str, text: str | None) -> None:
    write_yolo()
    put("d/labels/train/i2.txt", rows(2) + f"\n{row}\n")
    assert said("boxes") == (f"d/labels/train/i2.txt:4: {text}{SKIP}" if text else "nothing")


IS = "; a row is class, centre x, centre y, width, height"
FAULTS: list[tuple[str, Callable[[], None], str | bytes, str]] = [  # what is put where, and what is said then
    ("d/labels/train/i2.txt", write_yolo, "1 0.5 0.5 0.1", f"d/labels/train/i2.txt:1: 4 numbers{IS}"),
    ("d/labels/train/i2.txt", write_yolo, "0 " + "0.1 " * 8, f"d/labels/train/i2.txt:1: 9 numbers{IS}"),
    ("d/labels/train/i2.txt", write_yolo, "\n1 a 1 1 1", f"d/labels/train/i2.txt:2: '1 a 1 1 1'{IS}"),
    (
        "d/labels/train/i2.txt",
        write_yolo,
        "0.5 0.5 0.5 0.1 0.1",
        "d/labels/train/i2.txt:1: the class 0.5 is no whole number",
    ),
    (
        "d/labels/train/i2.txt",
        write_yolo,
        b"\xff",
        "d/labels/train/i2.txt: is no text in UTF-8: invalid start byte at byte 0",
    ),
    ("d/labels/train/i9.txt", write_yolo, "", "d/labels/train/i9.txt: no image of it"),
    (
        "d/data.yaml",
        write_yolo,
        "names: [a, b]\nnc: 3",
        "d/data.yaml: nc is 3, and there are 2 names",
    ),
    (
        "d/data.yaml",
        write_yolo,
        "train: x",
        "d/data.yaml: no names of classes; 'names' is a list, or a mapping from 0, 1, 2, ...",
    ),
    (
        "d/data.yaml",
        write_yolo,
        "names: {0: a, 2: b}",
        "d/data.yaml: no names of classes; 'names' is a list, or a mapping from 0, 1, 2, ...",
    ),
    ("d/data.yaml", write_yolo, "a: [", "d/data.yaml: is no YAML"),
    ("d/data.yaml", write_yolo, "a: " + "[" * 65, "d/data.yaml: nested deeper than 64 levels"),
    ("d/Annotations/i2.xml", write_voc, "", "d/Annotations/i2.xml:1: is no XML: no element found"),
    ("d/Annotations/i2.xml", write_voc, "text", "d/Annotations/i2.xml:1: is no XML: syntax error"),
    (
        "d/Annotations/i2.xml",
        write_voc,
        annotation()[:-3],
        "d/Annotations/i2.xml:3: is no XML: unclosed token",
    ),
    (
        "d/Annotations/i2.xml",
        write_voc,
        "<html/>",
        "d/Annotations/i2.xml:1: begins with <html>, an annotation with <annotation>",
    ),
    (
        "d/Annotations/i2.xml",
        write_voc,
        '<?xml version="1.0"?>\n<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><annotation>&b;</annotation>',
        "d/Annotations/i2.xml:2: a document type is declared; XML with entities is not read",
    ),
    (
        "d/Annotations/i2.xml",
        write_voc,
        '<!DOCTYPE a SYSTEM "http://localhost/a.dtd"><annotation/>',
        "d/Annotations/i2.xml:1: a document type is declared; XML with entities is not read",
    ),
    (
        "d/Annotations/i2.xml",
        write_voc,
        "<annotation>&b;</annotation>",
        "d/Annotations/i2.xml:1: is no XML: undefined entity",
    ),
    (
        "d/Annotations/i2.xml",
        write_voc,
        '<?xml version="1.0" encoding="none"?><annotation/>',
        "d/Annotations/i2.xml:1: is no XML: unknown encoding: none",
    ),
    (
        "d/Annotations/i2.xml",
        write_voc,
        annotation("<object><bndbox/></object>"),
        "d/Annotations/i2.xml:3: the object has no name",
    ),
    (
        "d/Annotations/i2.xml",
        write_voc,
        annotation("<object><name>bee</name></object>"),
        "d/Annotations/i2.xml:3: the object has no xmin",
    ),
    (
        "d/Annotations/i2.xml",
        write_voc,
        annotation(an_object("bee", (1, 2, "three", 4))),
        "d/Annotations/i2.xml:3: xmax of the object is 'three', no number",
    ),
    ("d/Annotations/i99.xml", write_voc, annotation(), "d/Annotations/i99.xml: no image of it"),
    (
        "d/ImageSets/Main/train.txt",
        write_voc,
        "i1\n\ni99\n",
        "2 faults in the data d\n  d/ImageSets/Main/train.txt:3: there is no image of i99\n"
        "  d/ImageSets/Main/train.txt:3: there is no label of i99",
    ),
    ("d/ImageSets/Main/val.txt", write_voc, "\n", "d/ImageSets/Main/val.txt: no images in it"),
]


@pytest.mark.parametrize(("path", "write", "content", "text"), FAULTS, ids=[str(i) for i in range(len(FAULTS))])
def test_wrong_labels_are_named(path: str, write: Callable[[], None], content: str | bytes, text: str) -> None:
    write()
    put(path, content)
    assert said("boxes") == text


SAMPLES = "\n  help: --on-bad-sample skip leaves them out, up to 1% of the samples"
FILE = "d/annotations/instances_val2017.json"
BOX = {"image_id": 106, "category_id": 5, "bbox": [1, 2, 3, 4]}
JSON: list[tuple[dict[str, Any], str]] = [
    ({"images": 1}, f"{FILE}: no COCO annotations: a mapping with the lists images, annotations, categories"),
    ({"annotations": [{**BOX, "image_id": 9}]}, f"{FILE}: annotations[0]: there is no image with the id 9"),
    ({"annotations": [{**BOX, "category_id": 6}]}, f"{FILE}: annotations[0]: there is no category with the id 6"),
    ({"annotations": [BOX, 5]}, f"{FILE}: annotations[1]: no image_id; a whole number is due"),
    ({"annotations": [{**BOX, "image_id": "a"}]}, f"{FILE}: annotations[0]: a for image_id; a whole number is due"),
    ({"annotations": [{**BOX, "image_id": True}]}, f"{FILE}: annotations[0]: True for image_id; a whole number is due"),
    (
        {"annotations": [{**BOX, "bbox": [1, 2, 3]}]},
        f"{FILE}: annotations[0]: the bbox [1, 2, 3] is no list of four numbers",
    ),
    (
        {"annotations": [{**BOX, "bbox": [1, 2, 3, None]}]},
        f"{FILE}: annotations[0]: the bbox [1, 2, 3, None] is no list of four numbers",
    ),
    ({"annotations": [{**BOX, "bbox": {}}]}, f"{FILE}: annotations[0]: {{}} for bbox; x, y, width, height is due"),
    (
        {"images": [{"id": 106, "file_name": "i6.png"}, {"id": 106, "file_name": "i7.png"}], "annotations": []},
        f"{FILE}: images[1]: the id 106 stands twice",
    ),
    (
        {"images": [{"id": 106, "file_name": "../train2017/i0.png"}], "annotations": []},
        f"{FILE}: images[0]: ../train2017/i0.png leads out of d/val2017 (sample 0 of validation){SAMPLES}",
    ),
    (
        {"images": [{"id": 106, "file_name": "/etc/passwd"}], "annotations": []},
        f"{FILE}: images[0]: /etc/passwd leads out of d/val2017 (sample 0 of validation){SAMPLES}",
    ),
    ({"images": [], "annotations": []}, f"{FILE}: no images in it"),
]


@pytest.mark.parametrize(("change", "text"), JSON)
def test_wrong_coco_files_are_named(change: dict[str, Any], text: str) -> None:
    write_coco()
    put(FILE, json.dumps(instances(PARTS["val"], **change)))
    assert said("boxes") == text


def test_files_that_are_no_json_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    write_coco()
    for content, text in (
        ("", f"{FILE}:1: is no JSON: Expecting value"),
        ('{"images": [\n1,', f"{FILE}:2: is no JSON: Expecting value"),
        ("[" * 200_000, f"{FILE}: is no JSON for data: nested too deeply"),
        ("9" * 5000, f"{FILE}: is no JSON for data: a number of too many digits"),
    ):
        put(FILE, content)
        assert said("boxes") == text
    write_coco()
    size = Path("d/annotations/instances_train2017.json").stat().st_size
    monkeypatch.setattr(files, "BYTES", size)
    assert said("boxes") == "nothing"
    monkeypatch.setattr(files, "BYTES", size - 1)
    assert said("boxes") == f"d/annotations/instances_train2017.json: more than {size - 1} bytes"


@pytest.mark.parametrize("depth", [xml.DEPTH, xml.DEPTH + 1])
def test_xml_has_a_depth(depth: int) -> None:
    inner = "<a>" * (depth - 1) + "</a>" * (depth - 1)
    put("a.xml", f"<annotation>{inner}</annotation>")
    if depth == xml.DEPTH:
        assert xml.read(Path("a.xml")) == []
    else:
        with pytest.raises(RunError, match=r"a.xml:1: nested deeper than 16 levels"):
            xml.read(Path("a.xml"))


@pytest.mark.parametrize("size", [limits.FILE_BYTES, limits.FILE_BYTES + 1])
def test_labels_have_a_size(size: int) -> None:
    put("a.xml", "<annotation/>" + " " * (size - 13))
    if size == limits.FILE_BYTES:
        assert xml.read(Path("a.xml")) == []
    else:
        with pytest.raises(RunError, match=r"a.xml: more than 1048576 bytes"):
            xml.read(Path("a.xml"))


LISTS = [
    ("all/i0.png,bee,1,2,3,4,train", "nothing"),
    ("all/i0.png,bee,1,2,3,,train", "d/labels.csv:2: no y2"),
    ("all/i0.png,bee,1,2,x,4,train", "d/labels.csv:2: x2 is 'x', no number"),
    ("all/i0.png,bee,,,,,train", "d/labels.csv:2: no x1"),
    ("all/i0.png,,1,2,3,4,train", "d/labels.csv:2: no label"),
    (",bee,1,2,3,4,train", "d/labels.csv:2: no image"),
]


@pytest.mark.parametrize(("line", "text"), LISTS)
def test_wrong_rows_of_boxes_are_named(line: str, text: str) -> None:
    write_list()
    lines = Path("d/labels.csv").read_text(encoding="utf-8").splitlines()
    lines[1] = line
    put("d/labels.csv", "\n".join(lines))
    assert said("boxes") == text


def test_a_class_too_many_is_told_with_its_place() -> None:
    write_yolo()
    Path("d/data.yaml").unlink()
    put("d/labels/train/i4.txt", "3 0.5 0.5 0.1 0.1\n")
    with pytest.raises(UsageError) as caught:
        classes.named(datasets.find("d/", 3), 3)
    due = "has 4 classes, the network's head has 3; the first label above 2 is d/labels/train/i4.txt"
    assert str(caught.value).startswith(f"error: the data 'd' {due}\n  help: ")


def test_what_is_difficult_is_marked() -> None:
    write_list()
    lines = Path("d/labels.csv").read_text(encoding="utf-8").splitlines()
    lines = [f"{line},{'difficult' if number == 0 else number % 2}" for number, line in enumerate(lines)]
    put("d/labels.csv", "\n".join(lines))
    boxes = datasets.find("d/", 3).parts["train"].boxes
    assert boxes is not None
    assert [one.difficult.tolist() for one in boxes] == [[], [False], [True, False], [], [False], [True, False]]
    write_voc("e")
    hard = "<difficult>1</difficult>"
    put("e/Annotations/i1.xml", annotation(an_object("bee", (1, 2, 3, 4), hard), an_object("bee", (1, 2, 3, 4))))
    boxes = datasets.find("e/", 3).parts["train"].boxes
    assert boxes is not None
    assert boxes[1].difficult.tolist() == [True, False]


def test_wrong_lists_of_boxes_are_named() -> None:
    write_list()
    put("d/labels.csv", "image,label,x1,y1\n")
    due = "image, label and perhaps part are read, with x1, y1, x2, y2 for boxes"
    assert said("boxes") == f"d/labels.csv:1: the columns are image, label, x1, y1; {due}"
    write_json("e")
    put("e/labels.json", json.dumps({"image": "a"}))
    due = "e/labels.json: is no list of mappings such as {'image': 'a.png', 'label': 3}"
    assert said("boxes", name="e/") == due
    put("e/labels.json", json.dumps([{"image": "all/i0.png", "label": "bee", "x1": 1, "y1": [], "x2": 3, "y2": 4}]))
    assert said("boxes", name="e/") == "e/labels.json[0]: y1 is '[]', no number"


def test_a_list_in_json_may_hold_classes_alone() -> None:
    for number in range(3):
        draw(f"d/{number}.png", number)
    put("d/labels.json", json.dumps([{"image": f"{number}.png", "label": number} for number in range(3)]))
    classes = read("classes").parts["all"].classes
    assert classes is not None
    assert classes.tolist() == [0, 1, 2]
    put("d/labels.json", json.dumps([{"image": "0.png", "label": 0.5}, {"image": "1.png", "label": 1}]))
    assert said("classes") == "d/labels.json[0]: the label 0.5 is no whole number"


def test_an_image_without_labels_is_named() -> None:
    write_voc("voc")
    Path("voc/Annotations/i3.xml").unlink()
    assert said("boxes", name="voc/") == "voc/ImageSets/Main/train.txt:4: there is no label of i3"
    for path in Path("voc/ImageSets/Main").iterdir():
        path.unlink()
    assert said("boxes", name="voc/") == "voc/JPEGImages/i3.png: no label of it"
    write_yolo("yolo")
    Path("yolo/labels/train/i3.txt").unlink()
    due = "no file of labels in yolo/labels/train; an image without boxes has an empty one"
    assert said("boxes", name="yolo/") == f"yolo/images/train/i3.png: {due}"


def test_one_folder_a_part() -> None:
    write_yolo()
    draw("d/images/valid/a.png", 99)
    assert said("boxes") == "d/images/valid: another folder beside it is the validation part too"
    write_coco("e")
    put("e/annotations/instances_valid.json", json.dumps(instances(PARTS["val"])))
    due = "e/annotations/instances_valid.json: instances_val2017.json is the validation part too"
    assert said("boxes", name="e/") == due
    write_voc("f/VOC2007")
    write_voc("f/VOC2012")
    assert said("boxes", name="f/") == "f/VOC2007 and f/VOC2012: which is meant? name one of them"
