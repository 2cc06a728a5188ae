"""The tree of a graph's paths: what folds, and that nothing is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

import cnnspec
from cnnspec.commands.rows import LINES, NODES, lines_of
from cnnspec.front import compile_text
from cnnspec.tree import tree
from door import write


@pytest.mark.parametrize("name", ["vgg16-bn", "resnet34", "densenet121", "hrnet-w18", "yolov3"])
def test_the_numbers_of_closed_rows_add_up(name: str) -> None:
    graph = cnnspec.compile(name).inference()
    rows = graph.cost().rows
    for depth in (1, 2, 3, 0, None):
        lines = lines_of(tree(graph), rows, depth)
        least = [line for line, below in zip(lines, [*lines[1:], lines[0]], strict=True) if below.indent <= line.indent]
        for field in ("params", "buffers", "macs", "other"):
            assert sum(getattr(line, field) for line in least) == sum(getattr(row, field) for row in rows)
        assert sum(line.bytes for line in least) == sum(row.activation_bytes for row in rows)
        assert depth is not None or len(lines) <= (NODES if len(rows) <= NODES else LINES)


@pytest.mark.parametrize(
    ("steps", "contents"),
    [
        ("2 * (conv(4, 3) -> relu) -> maxpool(2)", "2 x (conv, relu), maxpool"),
        ("2 * conv(4, 3) -> relu -> 2 * conv(4, 3) -> relu -> tanh", "2 x (2 x conv, relu), tanh"),
        ("conv(4, 3) -> relu -> conv(4, 3) -> tanh", "conv, relu, conv, tanh"),
        ("3 * relu -> tanh -> relu", "3 x relu, tanh, relu"),
    ],
)
def test_contents_in_words(steps: str, contents: str) -> None:
    text = f"cnnspec: 1\nname: words\ninput: {{image: [N, 3, 8, 8]}}\nnet:\n  y: image -> {steps}\noutputs: [y]\n"
    assert tree(compile_text(text))[1].contents == contents


def test_repeats_fold_only_where_they_are_alike(tmp_path: Path) -> None:
    spec = write(
        tmp_path,
        """\
cnnspec: 1
name: alike
input: {image: [N, 4, 16, 16]}
blocks:
  unit(rate=1): x -> conv(4, 3, dilation=rate) -> relu
  pair(a, b;): add(a -> relu, b)
net:
  a: image -> 2 * unit -> 3 * unit(2) -> unit
  b: pair(a, image) -> pair(a) -> pair(image)
  logits: b -> 6 * relu
outputs: [logits]
""",
    )
    parts = tree(cnnspec.compile(Path(spec)))
    assert [(part.name, part.contents) for part in parts[1:]] == [
        ("a", "6 x unit"),
        ("b", "3 x pair"),
        ("logits", "6 x relu"),
    ]
    assert [part.name for part in parts[1].parts] == ["unit .. unit_2", "unit_3 .. unit_5", "unit_6"]
    assert parts[1].parts[1].prefixes == ("a.unit_3", "a.unit_4", "a.unit_5")
    assert [part.paths for part in parts[3].parts] == [("logits.relu", *(f"logits.relu_{n}" for n in range(2, 7)))]
