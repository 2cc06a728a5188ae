"""Fully convolutional forms as graphs: sizes, factors, steps, what stays, and what has no such form."""

from __future__ import annotations

import pytest

import cnnspec
from cnnspec.canonical import resolved_yaml
from cnnspec.front import compile_text
from cnnspec.wording import call

HEAD = "cnnspec: 1\nname: small\ninput: {image: [N, 2, 12, 12]}\nnet:\n  y: image -> "


@pytest.mark.parametrize(
    ("spec", "image", "bounds", "grid"),
    [
        ("vgg16", "[N, 3, 32*h, 32*w]", 7, "[N, 1000, h - 6, w - 6]"),
        ("alexnet", "[N, 3, 32*h + 3, 32*w + 3]", 7, "[N, 1000, h - 6, w - 6]"),
        ("alexnet-torchvision", "[N, 3, 32*h, 32*w]", 7, "[N, 1000, h - 6, w - 6]"),
        ("lenet5", "[N, 1, 4*h, 4*w]", 8, "[N, 10, h - 7, w - 7]"),
        ("fashion-cnn", "[N, 1, 8*h + 4, 8*w + 4]", 3, "[N, 10, h - 2, w - 2]"),
        ("resnet18", "[N, 3, 32*h, 32*w]", 7, "[N, 1000, h - 6, w - 6]"),
        ("inception-v3", "[N, 3, 32*h + 11, 32*w + 11]", 9, "[N, 1000, h - 8, w - 8]"),
    ],
)
def test_the_input_is_declared_for_every_size(spec: str, image: str, bounds: int, grid: str) -> None:
    graph = cnnspec.compile(spec)
    found, tensors = cnnspec.convolutionalize(graph)
    assert (str(found.nodes["image"].type), str(found.nodes[found.outputs[0].node].type)) == (image, grid)
    assert dict(found.bounds) == dict(found.typical) == {"h": bounds, "w": bounds}
    assert found.cost().params.total == graph.cost().params.total
    assert (found.name, dict(found.heads), dict(tensors)) == (f"{spec}-fcn", {}, {})


def test_vgg16_at_448_gives_8_by_8_from_maps_of_14_by_14() -> None:
    grid, _ = cnnspec.convolutionalize(cnnspec.compile("vgg16"))
    at = grid.at(h=14, w=14)
    shapes = [str(at.nodes[path].type) for path in ("image", "pool5.stage.maxpool", "fc6.dense", "logits.dense")]
    assert shapes == ["[1, 3, 448, 448]", "[1, 512, 14, 14]", "[1, 4096, 8, 8]", "[1, 1000, 8, 8]"]
    assert at.nodes["fc6.dense"].op.params(*at.input_types(at.nodes["fc6.dense"]))["weight"] == (4096, 512, 7, 7)


@pytest.mark.parametrize(
    ("body", "image", "grid", "ops"),
    [
        ("adaptive_avgpool(1) -> flatten -> dense(3)", "h, w", "h - 11, w - 11", ["avgpool(12, 1)", "conv(3, 1)"]),
        ("adaptive_avgpool(12) -> flatten -> dense(3)", "h, w", "h - 11, w - 11", ["conv(3, 12, padding=valid)"]),
        (
            "adaptive_avgpool([3, 1]) -> flatten -> dense(3)",
            *("4*h, w", "h - 2, w - 11", ["avgpool([4, 12], [4, 1])", "conv(3, [3, 1], padding=valid)"]),
        ),
        (
            "2 * maxpool(2) -> add(image -> maxpool(4)) -> flatten -> dense(3)",
            *("4*h, 4*w", "h - 2, w - 2"),
            ["maxpool(2)", "maxpool(2)", "maxpool(4)", "add", "conv(3, 3, padding=valid)"],
        ),
    ],
)
def test_factors_and_steps_are_the_least(body: str, image: str, grid: str, ops: list[str]) -> None:
    """Every step that the classifier could make is made."""
    found, _ = cnnspec.convolutionalize(compile_text(f"{HEAD}{body}\noutputs: [y]\n"))
    assert str(found.nodes["image"].type) == f"[N, 2, {image}]"
    assert str(found.nodes["y.dense"].type) == f"[N, 3, {grid}]"
    assert [call(node.op) for node in found.nodes.values() if node.inputs] == ops


def test_the_factor_is_the_least_common_multiple() -> None:
    body = "maxpool(4) -> flatten -> dense(3)\n  z: image -> maxpool(6) -> flatten -> dense(3)\noutputs: [y, z]\n"
    found, _ = cnnspec.convolutionalize(compile_text(HEAD + body))
    types = [str(found.nodes[path].type) for path in ("image", "y.dense", "z.dense")]
    assert types == ["[N, 2, 12*h, 12*w]", "[N, 3, 3*h - 2, 3*w - 2]", "[N, 3, 2*h - 1, 2*w - 1]"]


def test_what_training_starts_from_and_heads_of_maps_stay() -> None:
    text = f"{HEAD}flatten -> dense(3, init='he')\n  m: image -> conv(4, 1)\noutputs: [y, m]\n"
    heads = "heads: {y: {classify: {}}, m: {segment: {labels: [a, b, c, d]}}}\n"
    graph = compile_text(text + heads)
    found, _ = cnnspec.convolutionalize(graph)
    assert (found.nodes["y.dense"].op.init, dict(found.heads)) == ("he", {"m": graph.heads["m"]})  # type: ignore[attr-defined]
    assert compile_text(resolved_yaml(found)) == found


# what has no form

FAULTS = {
    "flatten -> batchnorm -> dense(3)": """\
spec.yaml:5:26: error[convolutionalize.batchnorm]: batchnorm takes every value of flattened maps [1, 2, 12, 12] for a \
channel
    5 |   y: image -> flatten -> batchnorm -> dense(3)
      |                          ^^^^^^^^^
  node y.batchnorm
  help: put it before flatten, or behind the dense layer""",
    "reshape([2, 144]) -> global_avgpool -> dense(3)": """\
spec.yaml:5:15: error[convolutionalize.reshape]: reshape wants images of one size
    5 |   y: image -> reshape([2, 144]) -> global_avgpool -> dense(3)
      |               ^^^^^^^^^^^^^^^^^
  node y.reshape
  help: flatten before a dense layer has a form for all""",
    "adaptive_avgpool(5) -> flatten -> dense(3)": """\
spec.yaml:5:15: error[convolutionalize.adaptive_avgpool]: adaptive_avgpool to 5 has uneven windows: the height is 12
    5 |   y: image -> adaptive_avgpool(5) -> flatten -> dense(3)
      |               ^^^^^^^^^^^^^^^^^^^
  node y.adaptive_avgpool
  help: pool to 1 or to a divisor, or give an image that makes it a multiple""",
    "maxpool(12) -> flatten -> distance([[1, 2]])": """\
spec.yaml:5:41: error[convolutionalize.distance]: distance of a vector has no form for a grid of them
    5 |   y: image -> maxpool(12) -> flatten -> distance([[1, 2]])
      |                                         ^^^^^^^^^^^^^^^^^^
  node y.distance
  help: make what it reads the output""",
    "maxpool(6) -> flatten -> relu": """\
spec.yaml:5:40: error[convolutionalize.relu]: 'y' would be [1, 2, 2, 2], no grid of vectors
    5 |   y: image -> maxpool(6) -> flatten -> relu
      |                                        ^^^^
  node y.relu
  help: an output is maps, or comes from a dense layer or a pool over whole maps""",
    "conv(4, 1) -> relu\n  g: y -> global_avgpool\n  z: scale(y, g)\n  k: g -> dense(3)": """\
spec.yaml:8:11: error[convolutionalize.dense]: dense reads what gates maps, one vector of the whole image
    8 |   k: g -> dense(3)
      |           ^^^^^^^^
  node k.dense
  help: give it a pool of its own""",
    "maxpool(4)\n  k: add(y, image -> conv(2, 10, padding=valid)) -> flatten -> dense(3)": """\
spec.yaml:6:6: error[convolutionalize.add]: operands of add agree in height and width only for some values, such as \
h = 3
    6 |   k: add(y, image -> conv(2, 10, padding=valid)) -> flatten -> dense(3)
      |      ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  node k.add
  help: sizes that hold a symbol must be identical; sizes that must agree want one symbol""",
}
ENDS = {"scale": "[z, k]", "add(": "[k]"}


@pytest.mark.parametrize("body", FAULTS)
def test_what_has_no_form_is_an_error_at_its_line(body: str) -> None:
    outputs = next((ends for op, ends in ENDS.items() if op in body), "[y]")
    graph = compile_text(f"{HEAD}{body}\noutputs: {outputs}\n", shown="spec.yaml")
    with pytest.raises(cnnspec.SpecError) as refused:
        cnnspec.convolutionalize(graph)
    assert str(refused.value) == FAULTS[body]


def test_every_fault_is_named_at_once() -> None:
    body = (
        "flatten -> batchnorm -> dense(3)\n  z: image -> adaptive_avgpool(5) -> flatten -> dense(3)\noutputs: [y, z]\n"
    )
    with pytest.raises(cnnspec.SpecError) as refused:
        cnnspec.convolutionalize(compile_text(HEAD + body))
    assert [one.node for one in refused.value.diagnostics] == ["y.batchnorm", "z.adaptive_avgpool"]


@pytest.mark.parametrize(
    ("image", "body", "text"),
    [
        ("[N, 2, 12, 12]", "conv(3, 1)", "error: small gives grids already: y [N, 3, 12, 12]"),
        ("[N, 7]", "dense(3)", "error: small takes image [N, 7], a grid of predictions wants one image"),
    ],
)
def test_there_may_be_nothing_to_do(image: str, body: str, text: str) -> None:
    graph = compile_text(f"{HEAD.replace('[N, 2, 12, 12]', image)}{body}\noutputs: [y]\n")
    with pytest.raises(cnnspec.UsageError) as refused:
        cnnspec.convolutionalize(graph)
    assert str(refused.value) == text
