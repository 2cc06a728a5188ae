"""What a run says while it goes on, and what it writes for TensorBoard."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from cnnspec.commands.telling import epoch_line
from door import TINY, run, write

Capture = pytest.CaptureFixture[str]
QUICK = ("--epochs", "2", "--device", "cpu", "-o", "run")
SPEED = {"images_per_second": 1234.7, "waiting": 0.034, "seconds": 83.0, "best": 1}
KINDS = {
    "classify": ("top1", "top5"),
    "locate": ("iou", "iou50"),
    "detect": ("map", "map50", "map75"),
    "segment": ("mean_iou", "pixel_accuracy"),
    "several": ("logits_top1", "logits_top5", "place_iou", "place_iou50", "auxiliary_top1", "auxiliary_top5"),
}


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    return write(tmp_path, TINY, "tiny.yaml")


def test_an_epoch_is_one_line() -> None:
    row = {"epoch": 3, "loss": 0.123456, "validation_loss": 0.2, "validation_top1": 0.9876, "lr": 1e-3, **SPEED}
    assert epoch_line(row, 12) == (
        "epoch  3/12  loss 0.1235  val 0.2000  top1 98.76%  1235 img/s, 3% wait  4:09 left  best"
    )
    last = {**row, "epoch": 12, "seconds": 7325.4, "best": 0}
    assert epoch_line(last, 12).endswith("  1235 img/s, 3% wait  2:02:05 in all")


@pytest.mark.parametrize("kind", KINDS)
def test_it_fits_whatever_the_heads(kind: str) -> None:
    metrics = {f"validation_{name}": 0.98765 for name in KINDS[kind]}
    row = {"epoch": 100, "loss": 1.23456, "validation_loss": 1.23456, **metrics, **SPEED, "seconds": 2512.0}
    line = epoch_line(row, 300)
    assert len(line) <= 120
    assert f"{KINDS[kind][0]} 98.7" in line
    assert line.endswith("1:23:44 left  best")
    assert (KINDS[kind][-1] in line) == (kind != "several")
    assert len(epoch_line({**row, "loss": 1e9, "validation_loss": 1e9}, 300)) <= 120


def test_lines_are_plain_where_there_is_no_terminal(capsys: Capture, spec: str) -> None:
    answer = run(capsys, "train", spec, *QUICK)
    lines = answer.err.splitlines()
    number, share = r"\d+\.\d{4}", r"\d+\.\d\d%"
    metrics = rf"loss {number}  val {number}  top1 {share}  top5 {share}  \d+ img/s, \d+% wait"
    assert re.fullmatch(rf"epoch 1/2  {metrics}  0:0\d left  best", lines[1]), lines
    assert re.fullmatch(rf"epoch 2/2  {metrics}  0:0\d in all(  best)?", lines[2]), lines
    assert len(lines) == 3


def test_tensorboard_has_every_epoch(capsys: Capture, spec: str) -> None:
    reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    answer = run(capsys, "train", spec, *QUICK, "--set", "recipe.tensorboard=true")
    assert answer.code == 0, answer.err
    found = reading.EventAccumulator("run")
    found.Reload()
    events = [json.loads(line) for line in Path("run/events.jsonl").read_text(encoding="utf-8").splitlines()]
    rows = [event for event in events if event["event"] == "epoch"]
    assert set(found.Tags()["scalars"]) == set(rows[0]) - {"event", "epoch"}
    for name in ("loss", "validation_top1", "lr"):
        kept = [(one.step, one.value) for one in found.Scalars(name)]
        assert kept == [(row["epoch"], pytest.approx(row[name])) for row in rows]
    assert run(capsys, "train", spec, *QUICK, "--force").code == 0
    assert not list(Path("run").glob("events.out.*"))


def test_without_tensorboard_it_is_said(capsys: Capture, spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnnspec_torch.board.find_spec", lambda name: None)
    answer = run(capsys, "train", spec, *QUICK, "--set", "recipe.tensorboard=true")
    text = "error: recipe.tensorboard needs tensorboard\n  help: pip install 'cnnspec[tensorboard]'\n"
    assert (answer.code, answer.err) == (3, text)
    assert not Path("run").exists()
