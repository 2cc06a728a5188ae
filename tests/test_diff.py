"""`cnnspec show --diff`: what changed in structure and in cost."""

from __future__ import annotations

from pathlib import Path

import pytest

import cnnspec
from cnnspec.commands.repeats import folded
from cnnspec.diff import diff, together
from cnnspec.front import compile_text
from door import TINY, run, write

Capture = pytest.CaptureFixture[str]
WIDE = (
    TINY.partition("expect:")[0]
    .replace("name: tiny", "name: wide")
    .replace("conv(8, 3, 2)", "conv(16, 3, 2)")
    .replace("[N, 1,", "[N, 3,")
    .replace("logits: c2", "c9: c2 -> tanh\n  logits: c9")
)

TEXT = """\
tiny -> wide: 1 added, 7 changed by path

   node                   operator                         shape                                  params          of
+  c9.tanh                tanh                             [N, 16, h, w]                                          c2.batchnorm
~  image                  input                            [N, 1, 4*h, 4*w] -> [N, 3, 4*h, 4*w]
~  c1.conv                conv(8, 3, 2) -> conv(16, 3, 2)  [N, 8, 2*h, 2*w] -> [N, 16, 2*h, 2*w]  80 -> 448
~  c1.relu                relu                             [N, 8, 2*h, 2*w] -> [N, 16, 2*h, 2*w]
~  c2.conv                conv(16, 3, 2, bias=false)                                              1,152 -> 2,304
~  logits.global_avgpool  global_avgpool                                                                          c2.batchnorm -> c9.tanh
~  extra.global_avgpool   global_avgpool                   [N, 8] -> [N, 16]
~  extra.dense            dense(5)                                                                45 -> 85

                                tiny      wide   change
input                       1x1x8x12  1x3x8x12
parameters                     1,434     2,954   +106 %
in training                    1,479     3,039   +105 %
buffers                           32        32
MACs                           8,800    24,352   +177 %
other arithmetic                 682     1,162  +70.4 %
weights, bytes                 5,864    11,944   +104 %
activations, bytes             2,408     4,328  +79.7 %
two layers, bytes              1,536     3,072   +100 %
live inference peak, bytes     1,152     1,920  +66.7 %
live training peak, bytes     20,244    39,796  +96.6 %
nodes                              6         7  +16.7 %
"""  # noqa: E501  a table as wide as it is


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, TINY, "tiny.yaml")
    write(tmp_path, WIDE, "wide.yaml")
    return "./tiny.yaml", "--diff", "./wide.yaml"


def test_the_text(capsys: Capture, two: tuple[str, ...]) -> None:
    answer = run(capsys, "show", *two)
    assert (answer.code, answer.err) == (0, "")
    assert answer.out == TEXT


def test_the_document(capsys: Capture, two: tuple[str, ...]) -> None:
    document = run(capsys, "show", *two, "--json").document
    data = document["data"]
    assert (document["schema"], data["before"], data["after"]) == ("cnnspec/show@1", "tiny", "wide")
    assert data["removed"] == []
    assert data["added"] == [
        {"path": "c9.tanh", "op": "tanh", "shape": "[N, 16, h, w]", "inputs": ["c2.batchnorm"]},
    ]
    changed = {change.pop("path"): change for change in data["changed"]}
    assert changed["c1.conv"] == {
        "fields": {"filters": [8, 16]},
        "shape": ["[N, 8, 2*h, 2*w]", "[N, 16, 2*h, 2*w]"],
        "params": [80, 448],
        "inputs": None,
    }
    assert changed["c2.conv"] == {"fields": {}, "shape": None, "params": [1152, 2304], "inputs": None}
    assert changed["logits.global_avgpool"]["inputs"] == [["c2.batchnorm"], ["c9.tanh"]]
    assert (data["outputs"], data["heads"], data["bounds"]) == ({}, {}, {})
    assert (data["cost"]["before"]["params"], data["cost"]["after"]["params"]) == (1434, 2954)
    assert (data["cost"]["before"]["macs"], data["cost"]["after"]["macs"]) == (8800, 24352)
    assert data["cost"]["after"]["live"] == {"inference_peak": 1920, "training_peak": 39796}


def test_a_whole_block_is_one_line(capsys: Capture) -> None:
    lines = run(capsys, "show", "resnet34", "--diff", "resnet18").out.splitlines()
    assert lines[0] == "resnet34 -> resnet18: 56 removed, 7 changed by path"
    assert lines[3].split() == ["-", "c2.stage.unit_3", "7", "nodes", "[N,", "64,", "8*h,", "8*w]", "73,984"]
    assert [" ".join(line.split()).partition(" [")[0] for line in lines[3:7]] == [
        "- c2.stage.unit_3 7 nodes",
        "- c3.stage.unit_3 .. unit_4 2 x 7 nodes",
        "- c4.stage.unit_3 .. unit_6 4 x 7 nodes",
        "- c5.stage.unit_3 7 nodes",
    ]
    assert lines[5].split()[-1] == "1,180,672"  # of each


FOLDED = """\
~ c4.stage.unit_2 .. unit_6.main.conv_bn.conv 5 x conv(256, 3, bias=false) -> conv(256, 1, bias=false) \
589,824 -> 262,144
~ c4.stage.unit_2 .. unit_6.add 5 x add [N, 256, 2*h, 2*w] -> [N, 1024, 2*h, 2*w] \
c4.stage.unit_2 .. unit_6.main.conv_bn_2.batchnorm -> c4.stage.unit_2 .. unit_6.main.conv_bn_3.batchnorm
~ c4.stage.unit_2 .. unit_6.relu 5 x relu [N, 256, 2*h, 2*w] -> [N, 1024, 2*h, 2*w]
"""


def test_repeats_that_change_alike_are_one(capsys: Capture) -> None:
    lines = [" ".join(line.split()) for line in run(capsys, "show", "resnet34", "--diff", "resnet50").out.splitlines()]
    assert [line for line in lines if line.startswith("~ c4.stage.unit_2")] == FOLDED.splitlines()
    assert not [line for line in lines if "c4.stage.unit_3" in line]
    assert len([line for line in lines if line.startswith(("+ ", "- ", "~ "))]) == 52
    assert lines[0].endswith("50 added, 65 changed by path")


def test_only_what_says_the_same_is_folded() -> None:
    rows = [
        ("~", f"a.unit{n}.{op}", op, f"a.unit{n}.conv -> image") for n in ("", "_2", "_4") for op in ("add", "relu")
    ]
    assert folded(rows) == [
        ("~", "a.unit .. unit_2.add", "2 x add", "a.unit .. unit_2.conv -> image"),
        ("~", "a.unit .. unit_2.relu", "2 x relu", "a.unit .. unit_2.conv -> image"),
        *rows[4:],  # unit_3 is the same in both graphs
    ]
    other = [*rows[:3], ("~", "a.unit_2.relu", "relu", "image -> a.unit_2.conv"), *rows[4:]]
    assert folded(other) == other
    assert folded(rows[:2]) == rows[:2]
    signs = [("-", "b.conv", "conv(1, 1)", ""), ("+", "b.conv_2", "conv(1, 1)", "")]
    assert folded(signs) == signs


def test_nothing_changed(capsys: Capture) -> None:
    answer = run(capsys, "show", "lenet5", "--diff", "lenet5")
    assert answer.code == 0
    assert answer.out.startswith("lenet5 -> lenet5: the same nodes\n\n")
    graph = cnnspec.compile("googlenet")
    assert not diff(graph, cnnspec.compile("googlenet"))


def test_operators_outputs_heads_and_bounds(capsys: Capture, tmp_path: Path) -> None:
    one = TINY.partition("expect:")[0].replace("params: {", "params: {act: relu, ").replace("-> relu", "-> act")
    other = (
        one.replace("act: relu", "act: leaky_relu(0.2)")
        .replace(", extra: {when: train}", "")
        .replace("  extra: c1 -> global_avgpool -> dense(5)\n", "")
        .replace("classify: {}", "classify: {labels: digits}")
        .replace("global_avgpool", "avgpool(2, stride=1) -> global_avgpool")
    )
    write(tmp_path, one, "one.yaml")
    shown = run(capsys, "show", str(tmp_path / "one.yaml"), "--diff", write(tmp_path, other, "other.yaml"))
    lines = shown.out.splitlines()
    squeezed = [" ".join(line.split()) for line in lines]
    assert squeezed[0] == "tiny -> tiny: 2 removed, 1 added, 2 changed by path"
    assert "- extra 2 nodes [N, 5] 45" in squeezed
    assert "+ logits.avgpool avgpool(2, 1) [N, 16, h - 1, w - 1] c2.batchnorm" in squeezed
    assert "~ c1.act relu -> leaky_relu(0.2)" in squeezed
    assert "~ logits.global_avgpool global_avgpool c2.batchnorm -> logits.avgpool" in squeezed
    assert lines[lines.index("") + 1 :].count("output extra: extra.dense (training only) -> none") == 1
    assert "head logits: classify of logits -> classify of logits, 10 labels (digits)" in lines
    assert {"holds for h >= 1 -> h >= 2", "holds for w >= 1 -> w >= 2"} <= set(lines)


@pytest.mark.parametrize(
    ("one", "other"), [("resnet34", "resnet50"), ("googlenet", "googlenet-bn"), ("vgg16", "fcn8s")]
)
def test_nothing_is_lost(one: str, other: str) -> None:
    before, after = cnnspec.compile(one), cnnspec.compile(other)
    found, back = diff(before, after), diff(after, before)
    assert len(before.nodes) - len(found.removed) + len(found.added) == len(after.nodes)
    assert {node.path for node in found.removed} == {node.path for node in back.added}
    assert {change.before.path for change in found.changed} == {change.before.path for change in back.changed}
    grouped = together(found.removed, after)
    assert sum(map(len, grouped.values())) == len(found.removed)
    assert not [prefix for prefix in grouped if any(f"{path}.".startswith(f"{prefix}.") for path in after.nodes)]
    same = set(before.nodes) & set(after.nodes) - {change.before.path for change in found.changed}
    assert all(before.nodes[path] == after.nodes[path] for path in same)


def test_labels_of_one_number_may_differ() -> None:
    texts = [TINY.partition("expect:")[0].replace("classify: {}", f"classify: {{labels: [{names}]}}") for names in "ab"]
    graphs = [compile_text(text.replace("classes: 10", "classes: 1")) for text in texts]
    assert diff(*graphs).heads == {"logits": ("classify of logits, 1 labels",) * 2}


def test_one_question_at_a_time(capsys: Capture, two: tuple[str, ...]) -> None:
    answer = run(capsys, "show", *two, "--resolved")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == "error: --diff compares graphs\n  help: leave out --resolved and --source\n"
    missing = run(capsys, "show", "lenet5", "--diff", "./none.yaml")
    assert (missing.code, missing.err) == (3, "error: cannot read ./none.yaml: No such file or directory\n")
