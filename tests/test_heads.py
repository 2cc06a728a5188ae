"""Heads of the graph: what a detector's says of its grids, and what overrides leave of it."""

from __future__ import annotations

from itertools import combinations

import pytest

import cnnspec
from cnnspec.canonical import resolved_yaml
from cnnspec.diagnostics import SpecError
from cnnspec.front import compile_text
from cnnspec.ops.dense import Distance
from cnnspec.spec import BOX

GRIDS = """\
cnnspec: 1
name: grids
input: {image: [N, 3, 8, 8]}
params: {classes: 2}
net:
  out: image -> conv(2 * (5 + classes), 1)
outputs: [out]
heads: {boxes: {detect: {of: out, anchors: [[[10, 13], [16, 30.5]]], labels: [cat, dog]}}}
"""


def test_yolov3_reads_three_grids() -> None:
    graph = cnnspec.compile("yolov3")
    head = graph.heads["boxes"]
    assert (head.kind, head.of) == ("detect", ("p5", "p4", "p3"))
    assert head.anchors is not None
    areas = [width * height for grid in head.anchors[::-1] for width, height in grid]
    assert areas == sorted(areas), "small boxes on fine grids"
    assert head.labels is not None
    assert (head.labels[0], head.labels[-1]) == ("person", "toothbrush")
    for output, anchors in zip(head.of, head.anchors, strict=True):
        assert graph.nodes[graph_path(graph, output)].type.channels == len(anchors) * (BOX + len(head.labels))


def graph_path(graph: cnnspec.Graph, output: str) -> str:
    return next(o.node for o in graph.outputs if o.name == output)


def test_the_chapters_cell_has_45_numbers() -> None:
    graph = cnnspec.compile("yolo-chapter")
    head = graph.heads["boxes"]
    assert head.shared_classes
    assert head.anchors is not None
    assert head.labels is not None
    assert 45 == len(head.anchors[0]) * BOX + len(head.labels) == graph.nodes[graph_path(graph, "grid")].type.channels


def test_an_override_of_the_classes_leaves_the_labels_out() -> None:
    assert compile_text(GRIDS).heads["boxes"].labels == ("cat", "dog")
    graph = compile_text(GRIDS, classes=3)
    assert graph.heads["boxes"].labels is None
    assert graph.heads["boxes"].anchors == (((10.0, 13.0), (16.0, 30.5)),)
    (warning,) = graph.warnings
    assert warning.code == "head.labels"
    assert warning.message == "'boxes' has 3 classes and 2 labels: the labels are left out"


@pytest.mark.parametrize(
    "text", [GRIDS, GRIDS.replace("anchors", "shared_classes: true, labels: [a, b, c, d], anchors")]
)
def test_reloads_with_anchors(text: str) -> None:
    text = text.replace(", labels: [cat, dog]", "")
    graph = compile_text(text)
    again = compile_text(resolved_yaml(graph))
    assert (again, again.hash) == (graph, graph.hash)


def test_anchors_belong_to_the_hash() -> None:
    assert compile_text(GRIDS).hash != compile_text(GRIDS.replace("30.5", "30")).hash


def test_anchors_must_fit_under_overrides_too() -> None:
    text = GRIDS.replace("2 * (5 + classes)", "7 * classes")
    assert compile_text(text).heads["boxes"].labels == ("cat", "dog")
    with pytest.raises(SpecError, match=r"'out' has 21 maps, a cell of 2 boxes needs 2 \* \(5 \+ classes\)"):
        compile_text(text, classes=3)


def test_lenets_codes_are_characters_apart_from_each_other() -> None:
    graph = cnnspec.compile("lenet5-1998")
    op = graph.nodes[graph.outputs[0].node].op
    assert isinstance(op, Distance)
    assert {number for code in op.codes for number in code} == {-1.0, 1.0}
    assert min(sum(a != b for a, b in zip(one, other, strict=True)) for one, other in combinations(op.codes, 2)) >= 6
    assert graph.heads["distances"].lowest
