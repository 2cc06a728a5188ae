"""`evaluate` for every kind of head: a run, its file, ONNX in memory and an ONNX file say the same, and say it well."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cnnspec.drawing import matrix
from cnnspec_torch import runs
from door import run
from heads import each
from heads import here as here
from small import write_data
from test_evaluate import WITHOUT_TORCH
from test_predict_dense import as_before
from test_report import Page

Capture = pytest.CaptureFixture[str]
METRICS = {
    "classes": ["top1"],
    "box": ["iou", "iou50"],
    "boxes": ["map", "map50", "map75", "voc2007", "voc2010"],
    "masks": ["mean_iou", "pixel_accuracy"],
    "two": ["place_iou", "place_iou50", "logits_top1"],
}


@each
def test_all_ways_say_the_same(capsys: Capture, here: str) -> None:
    ways = (["run"], ["run", "--backend", "onnx"], ["run/best.safetensors"], ["net.onnx", "--batch", "1"])
    found = []
    for way in ways:
        answer = run(capsys, "evaluate", *way, "--data", "d/", "--split", "all", "--json")
        assert answer.code == 0, answer.err
        found.append(answer.document["data"])
    assert list(found[0]["metrics"]) == METRICS[here]
    assert all(0 <= value <= 1 for value in found[0]["metrics"].values())
    assert found[0]["images"] == 10
    for other in found[1:]:
        assert other["metrics"] == pytest.approx(found[0]["metrics"], abs=1e-5)
        assert other["hash"] == found[0]["hash"]


@each
def test_the_run_s_own_test_is_repeated(capsys: Capture, here: str) -> None:
    end = json.loads(Path("run/events.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    found = run(capsys, "evaluate", "run", "--json").document["data"]
    assert found["images"] == 2
    for name, value in found["metrics"].items():
        if name in end["test"]:
            assert value == pytest.approx(end["test"][name], abs=0.02 if here == "masks" else 1e-4)
    assert set(end["test"]) - {"loss"} <= set(found["metrics"])


@each
def test_it_is_told_in_lines(capsys: Capture, here: str) -> None:
    answer = run(capsys, "evaluate", "run", "--split", "all")
    lines = answer.out.splitlines()
    assert lines[0] == f"{'two' if here == 'two' else 'small'} on d, all: 10 images"
    names = [line.split()[0] for line in lines[1:]]
    heads = {
        "classes": ["top1", "class", "ant", "bee", "cat"],
        "box": ["iou"],
        "boxes": ["map", "COCO:", "VOC", "VOC", "class", "ant", "bee", "cat"],
        "masks": ["mean_iou", "class", "ant", "bee", "cat"],
        "two": ["place:", "logits:", "class", "ant", "bee", "cat"],
    }
    assert names == heads[here]
    assert max(map(len, lines)) <= 140


@each
def test_bounds_hold_of_every_metric(capsys: Capture, here: str) -> None:
    name = METRICS[here][0]
    assert run(capsys, "evaluate", "run", "--fail-under", f"{name}>=0").code == 0
    low = run(capsys, "evaluate", "run", "--fail-under", f"{name}>=1")
    assert low.code == 1
    assert low.out.splitlines()[-1].startswith(f"{name} is 0.")
    answer = run(capsys, "evaluate", "run", "--fail-under", "loss>=0.5")
    network = "two" if here == "two" else "small"
    text = f"its metrics are {', '.join(METRICS[here])}, each from 0 to 1\n"
    assert answer.err == f"error: --fail-under: {network} has no metric 'loss'\n  help: {text}"
    assert answer.code == 2


@each
def test_pictures_are_drawn(capsys: Capture, here: str) -> None:
    answer = run(capsys, "evaluate", "run", "--split", "all", "--picture", "seen/a")
    assert answer.code == 0, answer.err
    files = sorted(path.name for path in Path("seen/a").iterdir())
    names = {
        "classes": ["confusion.svg"], "box": [], "boxes": ["precision-recall.svg"], "masks": ["confusion.svg"],
        "two": ["2-classify-confusion.svg"],
    }  # fmt: skip
    assert files == names[here]
    assert answer.err == "".join(f"wrote seen/a/{name}\n" for name in files)
    for name in files:
        Page(Path("seen/a", name).read_text(encoding="utf-8"))
    again = run(capsys, "evaluate", "run", "--picture", "seen/a")
    if files:
        text = f"error: seen/a/{files[0]} is there already\n  help: --force overwrites it\n"
        assert (again.code, again.err) == (2, text)
        assert run(capsys, "evaluate", "run", "--picture", "seen/a", "--force").code == 0


@pytest.mark.parametrize("here", ["boxes"], indirect=True)
def test_boxes_of_onnx_files_need_no_torch(capsys: Capture, here: str) -> None:
    args = ("evaluate", "net.onnx", "--data", "d/", "--split", "all", "--json")
    done = subprocess.run([sys.executable, "-c", WITHOUT_TORCH, *args], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == run(capsys, *args).out


@pytest.mark.parametrize("here", ["boxes"], indirect=True)
def test_a_model_that_suppresses_is_judged_by_what_it_gives(capsys: Capture, here: str) -> None:
    compiling = ("compile", "run/spec.yaml", "--target", "onnx", "--weights", "run", "--no-verify", "-o", "nms.onnx")
    given = ("--nms", "--confidence", "0.001", "--overlap", "0.6")
    answer = run(capsys, *compiling, *given)
    assert answer.code == 0, answer.err
    args = ("--data", "d/", "--split", "all", "--json")
    found = run(capsys, "evaluate", "nms.onnx", *args).document["data"]
    plain = run(capsys, "evaluate", "net.onnx", *args).document["data"]
    assert found["metrics"] == pytest.approx(plain["metrics"], abs=1e-6)
    said = "COCO: mean over IoU 0.50 to 0.95, 101 recalls, at most 300 boxes an image with scores above"
    assert found["heads"][0]["protocols"][0] == f"{said} 0.001, after the model's own suppression"
    as_before("nms.onnx")
    (head,) = run(capsys, "evaluate", "nms.onnx", *args).document["data"]["heads"]
    old = f"{said} a confidence that the file does not tell, after the model's own suppression"
    assert head["protocols"][0] == old


@pytest.mark.parametrize("here", ["two"], indirect=True)
def test_two_heads_are_predicted_together(capsys: Capture, here: str) -> None:
    header = runs.read_header(Path("run/best.safetensors"))
    assert (header.head, header.labels) == ("logits", ["ant", "bee", "cat"])
    data = run(capsys, "predict", "run", "d/i0.png", "--json").document["data"]
    (box,) = data["images"][0]["boxes"]
    assert box["label"] in header.labels


@pytest.mark.parametrize("here", ["masks"], indirect=True)
def test_data_without_the_labels_is_refused(capsys: Capture, here: str) -> None:
    answer = run(capsys, "evaluate", "run", "--data", "digits")
    assert (answer.code, answer.err) == (2, "error: the data 'digits' has 1 channel, the network's input has 3\n")
    shutil.rmtree("d")
    write_data("classes")
    text = "error: the data 'd' has no masks, which the network learns; it has classes of images\n"
    answer = run(capsys, "evaluate", "run", "--data", "d/", "--format", "list")
    assert (answer.code, answer.err) == (2, text)


def test_of_many_classes_those_most_confused_are_drawn() -> None:
    counts = np.diag(np.full(100, 9)).astype(np.int64)
    counts[77, 3] = 5
    labels = [f"a class <{number}>" for number in range(100)]
    text = matrix.svg(counts, labels, "images")
    page = Page(text)
    assert page.tags.count("title") == 41
    told = "a class <77> taken for a class <3>: 5, 35.7%"
    assert told in page.texts
    assert "a class <50> taken for a class <50>: 9, 100.0%" not in page.texts
