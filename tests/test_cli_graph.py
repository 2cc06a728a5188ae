"""`cnnspec show` and `cnnspec compile`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import cnnspec
from door import TINY, run, write

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, TINY)
    return "spec.yaml"


def test_show_is_a_line_per_node(capsys: Capture, tiny: str) -> None:
    answer = run(capsys, "show", tiny)
    assert (answer.code, answer.err) == (0, "")
    lines = [line.split("  ") for line in answer.out.splitlines()]
    rows = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    assert rows[1:5] == [
        ["image", "input", "[N, 1, 4*h, 4*w]"],
        ["c1.conv", "conv(8, 3, 2)", "[N, 8, 2*h, 2*w]", "image"],
        ["c1.relu", "relu", "[N, 8, 2*h, 2*w]", "c1.conv"],
        ["c2.conv", "conv(16, 3, 2, bias=false)", "[N, 16, h, w]", "c1.relu"],
    ]
    assert rows[-2:] == [["output logits = logits.dense"], ["output extra = extra.dense (training only)"]]


def test_show_resolved_reloads_to_an_equal_graph(capsys: Capture, tiny: str, tmp_path: Path) -> None:
    answer = run(capsys, "show", tiny, "--resolved")
    assert cnnspec.compile(write(tmp_path, answer.out, "again.yaml")) == cnnspec.compile(Path(tiny))
    data = run(capsys, "show", tiny, "--resolved", "--json").document["data"]
    assert data["yaml"].rstrip("\n") == answer.out.rstrip("\n")


def test_show_json_is_the_graph(capsys: Capture, tiny: str) -> None:
    document = run(capsys, "show", tiny, "--json").document
    assert document["schema"] == "cnnspec/show@1"
    assert document["data"]["name"] == "tiny"


REPORT = """\
name        tiny
input       image [N, 1, 4*h, 4*w]
output      logits [N, 10], node logits.dense
output      extra [N, 5], node extra.dense, training only
shapes      proved for 8 nodes, for all N >= 1, h >= 1, w >= 1
parameters  1,434; 1,479 with training-only outputs
buffers     32
MACs        8,800 at N=1, h=2, w=3
expect      holds: params 1434, training_params 1479, logits [N, classes]
"""


def test_compile_reports_what_was_proved(capsys: Capture, tiny: str) -> None:
    answer = run(capsys, "compile", tiny)
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith(REPORT)
    assert answer.out.splitlines()[-1] == f"hash        {cnnspec.compile(Path(tiny)).hash}"


def test_compile_json(capsys: Capture, tiny: str) -> None:
    data = run(capsys, "compile", tiny, "--json").document["data"]
    assert (data["params"], data["training_params"], data["macs"]) == (1434, 1479, 8800)
    assert data["bounds"] == {"N": 1, "h": 1, "w": 1}
    assert data["outputs"]["extra"] == {"node": "extra.dense", "shape": "[N, 5]", "train_only": True}


def test_bounds_are_reported(capsys: Capture, tmp_path: Path) -> None:
    text = TINY.partition("expect:")[0].replace("conv(8, 3, 2)", "conv(8, 9, 2, padding=valid)")
    path = write(tmp_path, text.replace("{h: 2, w: 3}", "{h: 4, w: 4}"))
    assert "for all N >= 1, h >= 3, w >= 3\n" in run(capsys, "compile", path).out
    assert run(capsys, "show", path).out.splitlines()[-1] == "holds for h >= 3, w >= 3"
    answer = run(capsys, "compile", path, "--at", "h=2")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == "error: h = 2 is too small: tiny wants h >= 3\n"


def test_the_graph_goes_to_a_file_and_overwrites_nothing(capsys: Capture, tiny: str) -> None:
    printed = run(capsys, "compile", tiny, "--target", "graph").out
    answer = run(capsys, "compile", tiny, "--target", "graph", "-o", "graph.json")
    assert (answer.code, answer.out, answer.err) == (0, "", "wrote graph.json\n")
    assert Path("graph.json").read_text(encoding="utf-8") == printed
    assert json.loads(printed)["name"] == "tiny"
    again = run(capsys, "compile", tiny, "--target", "graph", "-o", "graph.json")
    assert (again.code, again.err) == (2, "error: graph.json is there already\n  help: --force overwrites it\n")
    assert run(capsys, "compile", tiny, "--target", "graph", "-o", "graph.json", "--force").code == 0


@pytest.mark.parametrize(
    ("args", "suffix"), [(("report",), ".html"), (("compile", "--target", "python"), ".py")], ids=["report", "python"]
)
def test_nothing_is_written_under_a_name_of_something_else(
    capsys: Capture, tiny: str, tmp_path: Path, args: tuple[str, ...], suffix: str
) -> None:
    answer = run(capsys, args[0], tiny, *args[1:], "-o", "other.onnx")
    assert (answer.code, answer.err) == (2, f"error: -o other.onnx does not end in {suffix}\n")
    assert not (tmp_path / "other.onnx").exists()


def test_a_folder_that_is_not_there(capsys: Capture, tiny: str) -> None:
    answer = run(capsys, "compile", tiny, "-o", "no/where.txt")
    assert (answer.code, answer.err) == (2, "error: cannot write no/where.txt: No such file or directory\n")
