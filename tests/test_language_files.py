"""What files mean to each other (use, extends), and what a file says of itself: outputs, heads, expect."""

from __future__ import annotations

from pathlib import Path

import pytest

from cnnspec.canonical import resolved_yaml
from cnnspec.diagnostics import SpecError
from cnnspec.expect import counts
from cnnspec.front import compile_file, compile_text
from cnnspec.graph import Graph
from language import compiled, lines, rows, whole

PARTS = """\
cnnspec: 1
name: parts
about: A small network with a training-only output
input: {image: [N, 3, 32, 32]}
params: {classes: 10, filters: 4, act: relu}
blocks:
  cbl(n, kernel=1): x -> conv(n, kernel, bias=false) -> batchnorm -> act
net:
  c1:     image -> cbl(filters)
  c2:     c1 -> cbl(2 * filters) -> maxpool(2)
  logits: c2 -> global_avgpool -> dense(classes)
  aux:    c1 -> global_avgpool -> dense(classes)
outputs: {logits: {}, aux: {when: train}}
heads: {logits: {classify: {}}, aux: {classify: {}}}
expect: {params: 158, training_params: 208, buffers: 24, c2: [N, 8, 16, 16], logits: [N, classes]}
weights: {ours: {url: 'https://example.org/a.pth', sha256: %s, names: parts}}
""" % ("a" * 64)

TWO = """\
cnnspec: 1
name: two
input: {a: [N, 2, 4, 4], b: [N, 2, 4, 4]}
net:
  high: a -> relu
  low: add(a, b)
outputs: [high, low]
"""

USE: dict[str, tuple[str, str]] = {
    "taps, params by keyword, and only what is needed": (
        "use: {parts: parts.yaml}\nnet:\n  body: image -> parts(filters=2)\n  y: add(body.c1, body.c1) -> relu",
        """body.parts.c1.cbl.conv: conv(image) [N, 2, 8, 8]
        body.parts.c1.cbl.batchnorm: batchnorm(body.parts.c1.cbl.conv) [N, 2, 8, 8]
        body.parts.c1.cbl.act: relu(body.parts.c1.cbl.batchnorm) [N, 2, 8, 8]
        y.add: add(body.parts.c1.cbl.act, body.parts.c1.cbl.act) [N, 2, 8, 8]
        y.relu: relu(y.add) [N, 2, 8, 8]""",
    ),
    "the bare name is the one output that is not for training; sizes are those of what is piped in": (
        "use: {parts: parts.yaml}\ninput: {image: [N, 3, 2*h, 6]}\n"
        "net:\n  y: image -> parts(classes=5, act=tanh, filters=1)",
        """y.parts.c1.cbl.conv: conv(image) [N, 1, 2*h, 6]
        y.parts.c1.cbl.batchnorm: batchnorm(y.parts.c1.cbl.conv) [N, 1, 2*h, 6]
        y.parts.c1.cbl.act: tanh(y.parts.c1.cbl.batchnorm) [N, 1, 2*h, 6]
        y.parts.c2.cbl.conv: conv(y.parts.c1.cbl.act) [N, 2, 2*h, 6]
        y.parts.c2.cbl.batchnorm: batchnorm(y.parts.c2.cbl.conv) [N, 2, 2*h, 6]
        y.parts.c2.cbl.act: tanh(y.parts.c2.cbl.batchnorm) [N, 2, 2*h, 6]
        y.parts.c2.maxpool: maxpool(y.parts.c2.cbl.act) [N, 2, h, 3]
        y.parts.logits.global_avgpool: global_avgpool(y.parts.c2.maxpool) [N, 2]
        y.parts.logits.dense: dense(y.parts.logits.global_avgpool) [N, 5]""",
    ),
    "blocks of a used file are called with that file's params; the step is the block's name": (
        "use: {parts: parts.yaml}\nparams: {act: tanh}\nblocks:\n  cbl: x -> act\n"
        "net:\n  y: image -> parts.cbl(4) -> cbl",
        """y.cbl.conv: conv(image) [N, 4, 8, 8]
        y.cbl.batchnorm: batchnorm(y.cbl.conv) [N, 4, 8, 8]
        y.cbl.act: relu(y.cbl.batchnorm) [N, 4, 8, 8]
        y.cbl_2.act: tanh(y.cbl.act) [N, 4, 8, 8]""",
    ),
    "a block of a used file may be held": (
        "use: {parts: parts.yaml}\nblocks:\n  twice(layer): x -> 2 * layer\n"
        "net:\n  y: image -> twice((relu -> parts.cbl(3)))",
        """y.twice.layer.relu: relu(image) [N, 3, 8, 8]
        y.twice.layer.cbl.conv: conv(y.twice.layer.relu) [N, 3, 8, 8]
        y.twice.layer.cbl.batchnorm: batchnorm(y.twice.layer.cbl.conv) [N, 3, 8, 8]
        y.twice.layer.cbl.act: relu(y.twice.layer.cbl.batchnorm) [N, 3, 8, 8]
        y.twice.layer_2.relu: relu(y.twice.layer.cbl.act) [N, 3, 8, 8]
        y.twice.layer_2.cbl.conv: conv(y.twice.layer_2.relu) [N, 3, 8, 8]
        y.twice.layer_2.cbl.batchnorm: batchnorm(y.twice.layer_2.cbl.conv) [N, 3, 8, 8]
        y.twice.layer_2.cbl.act: relu(y.twice.layer_2.cbl.batchnorm) [N, 3, 8, 8]""",
    ),
    "several inputs are several tensors; several outputs are tapped": (
        "use: {two: two.yaml}\ninput: {image: [N, 2, 9, 9]}\n"
        "net:\n  m: two(image, image)\n  n: image -> two(image)\n  y: add(m.high, n.low)",
        """m.two.high.relu: relu(image) [N, 2, 9, 9]
        n.two.low.add: add(image, image) [N, 2, 9, 9]
        y.add: add(m.two.high.relu, n.two.low.add) [N, 2, 9, 9]""",
    ),
    "a used spec inside a block": (
        "use: {parts: parts.yaml}\nblocks:\n  unit:\n    inner: x -> parts(filters=1)\n    out: inner.c1 -> relu\n"
        "net:\n  y: image -> unit",
        """y.unit.inner.parts.c1.cbl.conv: conv(image) [N, 1, 8, 8]
        y.unit.inner.parts.c1.cbl.batchnorm: batchnorm(y.unit.inner.parts.c1.cbl.conv) [N, 1, 8, 8]
        y.unit.inner.parts.c1.cbl.act: relu(y.unit.inner.parts.c1.cbl.batchnorm) [N, 1, 8, 8]
        y.unit.relu: relu(y.unit.inner.parts.c1.cbl.act) [N, 1, 8, 8]""",
    ),
}

# Fragments that use or extend PARTS, each with the errors it gives.
REFUSED: dict[str, list[tuple[str, str]]] = {
    "use: {parts: parts.yaml}\ninput: {image: [N, 4, 8, 8]}\nnet: {y: image -> parts}": [
        ("use.input", "parts takes 3 channels for 'image', got 4: [N, 4, 8, 8]")
    ],
    "use: {parts: parts.yaml}\ninput: {image: [N, 3, 8]}\nnet: {y: image -> parts}": [
        ("use.input", "parts takes a tensor of 4 axes for 'image', got [N, 3, 8]")
    ],
    "use: {parts: parts.yaml}\nnet:\n  y: image -> parts(5)": [
        ("call.arguments", "parts takes 1 tensor (image) and no argument without a keyword, got 1")
    ],
    "use: {parts: parts.yaml}\nnet:\n  y: image -> parts(classes=2.5)": [
        ("param.kind", "the param 'classes' is a number, got a decimal: 2.5")
    ],
    "use: {parts: parts.yaml}\nnet:\n  m: image -> parts\n  y: m.c3": [("name.tap", "'m' has no entry 'c3'")],
    "use: {parts: parts.yaml}\nnet:\n  y: image -> parts.cbm(3)": [
        ("name.operator", "there is no operator or block 'parts.cbm'")
    ],
    "use: {two: two.yaml}\ninput: {image: [N, 2, 9, 9]}\nnet:\n  m: two(image, image)\n  y: m -> relu": [
        ("value.result", "two has not exactly one result")
    ],
    "use: {parts_2: parts.yaml}\nnet: {y: image -> parts_2}": [
        ("name.form", "'parts_2' cannot name a used spec: _ and digits at its end number repeated steps")
    ],
    "use: {parts: none.yaml}\nnet: {y: image}": [("use.missing", "cannot read 'none.yaml': No such file or directory")],
    "use: {parts: /etc/parts.yaml}\nnet: {y: image}": [("use.path", "'/etc/parts.yaml' is no relative path")],
    "use: {circle: circle.yaml}\nnet: {y: image}": [
        ("use.cycle", "files use each other in a circle: circle.yaml -> circle.yaml")
    ],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "parts.yaml").write_text(PARTS)
    (tmp_path / "two.yaml").write_text(TWO)
    (tmp_path / "circle.yaml").write_text(whole("extends: circle.yaml\nnet: {y: image}"))
    return tmp_path


@pytest.mark.parametrize("rule", USE)
def test_use(folder: Path, rule: str) -> None:
    fragment, expected = USE[rule]
    graph = compiled(fragment, folder)
    assert rows(graph) == lines(expected)
    assert (graph.heads, graph.typical, graph.weights, graph.expected) == ({}, {}, {}, {})


@pytest.mark.parametrize("fragment", REFUSED)
def test_refused(folder: Path, fragment: str) -> None:
    assert _errors(fragment, folder) == REFUSED[fragment]


def test_what_expect_says_holds_for_the_file_itself() -> None:
    graph = compiled(PARTS)
    assert counts(graph) == {"params": 158, "training_params": 208, "buffers": 24}
    assert [(o.name, o.node, o.train_only) for o in graph.outputs] == [
        ("logits", "logits.dense", False),
        ("aux", "aux.dense", True),
    ]
    wrong = PARTS.replace("params: 158", "params: 157").replace("[N, 8, 16, 16]", "[N, 8, 15, 16]")
    with pytest.raises(SpecError) as caught:
        compiled(wrong)
    assert [(d.code, d.message) for d in caught.value.diagnostics] == [
        ("expect.count", "expected 157 params, the graph has 158: +1"),
        ("expect.shape", "expected c2 to be [N, 8, 15, 16], it is [N, 8, 16, 16]"),
    ]
    assert counts(compiled(wrong, params={"classes": 11}))["params"] == 158 + 9  # an override leaves expect aside


def test_pruning_renames_nothing() -> None:
    graph = compiled(PARTS)
    inference = graph.inference()
    assert set(inference.nodes) == {path for path in graph.nodes if not path.startswith("aux.")}
    assert [o.name for o in inference.outputs] == ["logits"]
    assert list(inference.heads) == ["logits"]


def test_a_higher_count_renames_only_later_steps() -> None:
    net = "net:\n  y: image -> conv(3, 1) -> %d * unit -> tanh -> conv(3, 1)\nblocks:\n  unit: x -> relu"
    three, four = (list(compiled(net % count).nodes) for count in (3, 4))
    assert [path for path in four if path not in three] == ["y.unit_4.relu"]


def test_extends_replaces_entries_of_the_same_name(folder: Path) -> None:
    graph = _extending(folder, "params: {filters: 2}\nnet:\n  c2: c1 -> tanh\nblocks:\n  cbl(n): x -> conv(n, 3)")
    assert rows(graph) == lines("""c1.cbl.conv: conv(image) [N, 2, 32, 32]
        c2.tanh: tanh(c1.cbl.conv) [N, 2, 32, 32]
        logits.global_avgpool: global_avgpool(c2.tanh) [N, 2]
        logits.dense: dense(logits.global_avgpool) [N, 10]
        aux.global_avgpool: global_avgpool(c1.cbl.conv) [N, 2]
        aux.dense: dense(aux.global_avgpool) [N, 10]""")
    assert list(graph.heads) == ["logits", "aux"]


def test_extends_replaces_outputs_heads_and_typical_whole(folder: Path) -> None:
    graph = _extending(folder, "outputs: [c1]\nheads: {}")
    assert rows(graph) == lines("""c1.cbl.conv: conv(image) [N, 4, 32, 32]
        c1.cbl.batchnorm: batchnorm(c1.cbl.conv) [N, 4, 32, 32]
        c1.cbl.act: relu(c1.cbl.batchnorm) [N, 4, 32, 32]""")  # what the parent left over is pruned silently
    assert graph.heads == {}
    assert _extending(folder, "outputs: [c1]").heads == {}  # heads of outputs that are gone are left over
    sized = "input: {image: [N, 3, 2*h, 2*w]}\ntypical: {h: 4, w: 4}"
    (folder / "sized.yaml").write_text(whole(f"extends: parts.yaml\n{sized}"))
    assert compiled("extends: sized.yaml\ntypical: {h: 5}", folder).typical == {"h": 5}


def test_extends_leaves_name_about_expect_and_weights_behind(folder: Path) -> None:
    graph = _extending(folder, "params: {classes: 3}")
    assert (graph.name, graph.about, graph.expected, graph.weights) == ("example", "", {}, {})
    assert counts(graph)["params"] == 12 + 8 + 32 + 16 + 8 * 3 + 3


def test_an_own_entry_that_reaches_no_output_is_an_error(folder: Path) -> None:
    assert _errors("extends: parts.yaml\nnet: {c3: c2 -> relu}", folder) == [("graph.unused", "'c3' reaches no output")]


def test_extends_inherits_what_is_used(folder: Path) -> None:
    (folder / "user.yaml").write_text(whole("use: {parts: parts.yaml}\nnet: {y: image -> parts}"))
    graph = compiled("extends: user.yaml\nnet:\n  y: image -> parts.cbl(3)", folder)
    assert [path for path in graph.nodes if path not in graph.inputs] == ["y.cbl.conv", "y.cbl.batchnorm", "y.cbl.act"]


def test_a_name_without_suffix_is_a_shipped_spec_at_any_size() -> None:
    graph = compiled(
        "input: {image: [N, 3, 32*h, 32*w]}\nuse: {vgg16: vgg16}\n"
        "net:\n  body: image -> vgg16\n  y: body.pool5 -> conv(21, 1)"
    )
    assert str(graph.nodes["body.vgg16.pool5.stage.maxpool"].type) == "[N, 512, h, w]"
    assert not [path for path in graph.nodes if ".fc" in path]


def _extending(folder: Path, fragment: str) -> Graph:
    return compiled(f"extends: parts.yaml\n{fragment}", folder)


def _errors(fragment: str, folder: Path) -> list[tuple[str, str]]:
    with pytest.raises(SpecError) as caught:
        compiled(fragment, folder)
    return [(d.code, d.message) for d in caught.value.diagnostics]


def test_an_inherited_typical_size_goes_with_its_symbol(tmp_path: Path) -> None:
    (tmp_path / "child.yaml").write_text(
        "cnnspec: 1\nname: child\nextends: resnet18\ninput: {image: [N, 3, 64, 64]}\n", encoding="utf-8"
    )
    graph = compile_file(tmp_path / "child.yaml")
    assert graph.typical == {}
    assert compile_text(resolved_yaml(graph)).hash == graph.hash
