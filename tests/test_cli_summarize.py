"""`cnnspec summarize`: the data and the table."""

from __future__ import annotations

from pathlib import Path

import pytest

import cnnspec
from cnnspec.commands.common import bytes_text, count, scaled
from cnnspec.commands.summarize import COLUMNS, folded
from cnnspec.commands.table import fitting
from door import TINY, run, write

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, TINY)
    return "spec.yaml"


def test_the_document(capsys: Capture, tiny: str) -> None:
    answer = run(capsys, "summarize", tiny, "--json")
    document, data = answer.document, answer.document["data"]
    assert (answer.code, document["schema"], document["ok"], document["diagnostics"]) == (
        0,
        "cnnspec/summarize@1",
        True,
        [],
    )
    assert data["name"] == "tiny"
    assert data["inputs"] == {"image": [1, 1, 8, 12]}
    assert data["outputs"] == {"logits": [1, 10], "extra": [1, 5]}
    assert data["params"] == {"total": 1434, "trainable": 1434, "training_total": 1479}
    assert (data["buffers"], data["macs"], data["memory"]) == (32, 8800, None)
    assert data["nodes"][4] == {
        "path": "c2.batchnorm",
        "op": "batchnorm",
        "inputs": ["c2.conv"],
        "shape": [1, 16, 2, 3],
        "params": 32,
        "buffers": 32,
        "macs": 0,
        "other": 192,
        "activation_bytes": 384,
        "receptive_field": [7, 7],
        "line": 9,
    }


TABLE = """\
tiny: A small network

node                   operator        shape     params    MACs  other  bytes   sees  line
image                  input           1x1x8x12       -       -      -  384 B    1x1     4
c1.conv                conv            1x8x4x6       80  1.73 k    192  768 B    3x3     8
c1.relu                relu            1x8x4x6        -       -    192  768 B    3x3     8
c2.conv                conv            1x16x2x3   1,152  6.91 k      -  384 B    7x7     9
c2.batchnorm           batchnorm       1x16x2x3      32       -    192  384 B    7x7     9
logits.global_avgpool  global_avgpool  1x16           -       -     96   64 B  11x15    10
logits.dense           dense           1x10         170     160     10   40 B  11x15    10

sizes             batch 1, h=2, w=3, float32
outputs           logits, extra (training only)
parameters        1,434
in training       1,479, 45 for training-only outputs
buffers           32
MACs              8,800
other arithmetic  682
weights           5.86 kB (5,864 bytes)
activations       2.41 kB (2,408 bytes) for all nodes together
two layers        1.54 kB (1,536 bytes): the largest inputs and output of one node, c1.relu
"""


def test_the_table(capsys: Capture, tiny: str) -> None:
    answer = run(capsys, "summarize", tiny)
    assert (answer.code, answer.err) == (0, "")
    assert answer.out == TABLE


def test_sizes_batch_and_dtype(capsys: Capture, tiny: str) -> None:
    args = ("--at", "h=4,w=6", "--batch", "8", "--dtype", "bfloat16", "--json")
    data = run(capsys, "summarize", tiny, *args).document["data"]
    assert data["inputs"] == {"image": [8, 1, 16, 24]}
    assert (data["batch"], data["dtype"], data["symbols"]) == (8, "bfloat16", {"N": 8, "h": 4, "w": 6})
    assert data["macs"] == 8 * (4 * 8640 + 160)
    assert data["weights_bytes"] == 2 * 1466


def test_another_input(capsys: Capture, tiny: str) -> None:
    data = run(capsys, "summarize", tiny, "--input", "image=N,3,20,28", "--json").document["data"]
    assert data["inputs"] == {"image": [1, 3, 20, 28]}
    assert data["params"]["total"] == 1434 + 2 * 72


def test_another_param(capsys: Capture, tiny: str) -> None:
    assert run(capsys, "summarize", tiny, "--set", "classes=3", "--json").document["data"]["outputs"]["logits"] == [
        1,
        3,
    ]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--at", "h=0"), "h = 0 is too small"),
        (("--at", "z=1"), "'z' is no symbol of tiny"),
        (("--dtype", "int4"), "unknown dtype 'int4'"),
        (("--batch", "0"), "invalid value for '--batch'"),
        (("--input", "picture=N,3,8,8"), "picture"),
    ],
)
def test_bad_sizes_are_bad_usage(capsys: Capture, tiny: str, args: tuple[str, ...], words: str) -> None:
    answer = run(capsys, "summarize", tiny, *args)
    assert (answer.code, answer.out) == (2, "")
    assert words in answer.err


def test_a_deep_network_is_folded(capsys: Capture) -> None:
    folded = run(capsys, "summarize", "resnet152").out.splitlines()
    assert len(folded) < 80
    assert any(line.startswith("parameters        60,192,808 (60.2 M)") for line in folded)
    whole = run(capsys, "summarize", "resnet152", "--depth", "0").out.splitlines()
    assert len(whole) > 500
    assert folded[-8:] == whole[-8:]
    entries = run(capsys, "summarize", "resnet152", "--depth", "1").out.splitlines()
    assert [line.split()[0] for line in entries[3:10]] == ["image", "stem", "c2", "c3", "c4", "c5", "logits"]


def test_a_folded_row_adds_up() -> None:
    rows = cnnspec.compile("resnet34").cost().rows
    for depth in (0, 1, 2, None):
        lines = folded(rows, depth)
        assert sum(line.params for line in lines) == 21_797_672
        assert sum(line.activation_bytes for line in lines) == sum(row.activation_bytes for row in rows)


def test_a_narrow_terminal_keeps_what_matters() -> None:
    cells = [["x" * 30, "conv", "1x64x112x112", "1,000", "118 M", "803 k", "3.21 MB", "7x7", "9"]]
    names = [[COLUMNS[place].name for place in fitting(COLUMNS, cells, width)] for width in (200, 95, 90, 40)]
    assert names[0] == ["node", "operator", "shape", "params", "MACs", "other", "bytes", "sees", "line"]
    assert names[1] == ["node", "operator", "shape", "params", "MACs", "bytes", "sees", "line"]
    assert names[2] == ["node", "operator", "shape", "params", "MACs", "bytes", "sees"]
    assert names[3] == ["node", "shape", "params", "MACs", "bytes"]


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (999, "999"), (1_000, "1 k"), (999_499, "999 k"), (999_999, "1 M"), (11_513_626_624, "11.5 G")],
)
def test_people_units(number: int, text: str) -> None:
    assert scaled(number) == text


def test_counts_and_bytes() -> None:
    assert (count(9_999), count(60_192_808)) == ("9,999", "60,192,808 (60.2 M)")
    assert (bytes_text(12), bytes_text(12_000_000), bytes_text(1_200_000_000)) == ("12 B", "12 MB", "1.2 GB")
