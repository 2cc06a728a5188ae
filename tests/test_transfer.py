"""Weights for a network whose last layer is new, and for a spec that another one uses: what fits is kept, what does not
is said, and only where that was meant."""

from __future__ import annotations

from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

import cnnspec
from cnnspec import recipe
from cnnspec.diagnostics import CnnspecError
from cnnspec.front import compile_file
from cnnspec.graph import Graph
from cnnspec_torch import pretrained, training
from door import TINY, run, write
from hub import HOST, Hub
from hub import hub as hub

Capture = pytest.CaptureFixture[str]

USER = """\
cnnspec: 1
name: user
use: {{body: {body}}}
input: {{image: [N, 1, 4*h, 4*w]}}
typical: {{h: 3, w: 3}}
net:
  trunk: image -> body
  pooled: trunk.c2 -> global_avgpool
  logits: pooled -> dense(5)
  box: pooled -> dense(4)
outputs: [logits, box]
"""


@pytest.fixture
def published(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Graph:
    """tiny.yaml with weights `digits` that are at hand, and user.yaml that uses it, in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    write(tmp_path, TINY, "plain.yaml")
    sha256 = hub.publish("tiny.pth", cnnspec.compile("./plain.yaml").lower("torch", seed=7))
    entry = f"{{url: 'https://{HOST}/tiny.pth', sha256: '{sha256}'}}"
    write(tmp_path, f"{TINY}weights: {{digits: {entry}}}\n", "tiny.yaml")
    write(tmp_path, USER.format(body="tiny.yaml"), "user.yaml")
    hub.cache.mkdir(parents=True)
    (hub.cache / "tiny.pth").write_bytes((hub.files / "tiny.pth").read_bytes())
    return cnnspec.compile("./plain.yaml")


def load(spec: str | Path, weights: str, *, new_head: bool = False, **params: object) -> tuple[nn.Module, str]:
    graph = compile_file(spec, params=params)
    model: nn.Module = graph.lower("torch", seed=1)
    return model, str(pretrained.load(model, graph, weights, new_head=new_head))


def refusal(spec: str | Path, weights: str, *, new_head: bool = False, **params: object) -> str:
    """What is said; the model must stay as it was."""
    graph = compile_file(spec, params=params)
    model: nn.Module = graph.lower("torch", seed=1)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(CnnspecError) as caught:
        pretrained.load(model, graph, weights, new_head=new_head)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    return str(caught.value)


# a new last layer


def test_a_new_head_keeps_the_body_and_says_what_is_new(hub: Hub, published: Graph) -> None:
    model, said = load("./tiny.yaml", "digits", new_head=True, classes=5)
    due, start = (
        graph.lower("torch", seed=seed).state_dict()
        for graph, seed in ((published, 7), (cnnspec.compile("./tiny.yaml", classes=5), 1))
    )
    for name, value in model.state_dict().items():
        assert torch.equal(value, (start if name.startswith("logits.") else due)[name]), name
    assert said == (
        f"{hub.cache / 'tiny.pth'}: 10 tensors loaded\n"
        "2 keep their start weights:\n"
        "  logits.dense.weight is [5, 16], logits.dense.weight in the file [10, 16]\n"
        "  logits.dense.bias is [5], logits.dense.bias in the file [10]"
    )


def test_a_new_head_has_to_be_meant(hub: Hub, published: Graph) -> None:
    assert refusal("./tiny.yaml", "digits", classes=5) == (
        f"error: {hub.cache / 'tiny.pth'} has another last layer than tiny:\n"
        "  logits.dense.weight is [5, 16], logits.dense.weight in the file [10, 16]\n"
        "  logits.dense.bias is [5], logits.dense.bias in the file [10]\n"
        "  help: all else fits; training begins with a new one: cnnspec train SPEC --weights ..."
    )


def test_where_all_fits_nothing_is_said(published: Graph) -> None:
    model, said = load("./tiny.yaml", "digits", new_head=True)
    assert said == ""
    due = published.lower("torch", seed=7).state_dict()
    assert all(torch.equal(value, due[name]) for name, value in model.state_dict().items())


def test_a_body_of_another_shape_is_no_new_head(hub: Hub, published: Graph, tmp_path: Path) -> None:
    """B083: the tensor, the node's line, both shapes."""
    text = (tmp_path / "tiny.yaml").read_text().replace("conv(16, 3, 2", "conv(12, 3, 2").partition("expect:")
    write(tmp_path, f"{text[0]}weights:{text[2].partition('weights:')[2]}", "other.yaml")
    rows = [("conv.weight", "[12, 8, 3, 3]", "[16, 8, 3, 3]")]
    rows += [(f"batchnorm.{name}", "[12]", "[16]") for name in ("weight", "bias", "running_mean", "running_var")]
    lines = [
        f"  c2.{name} is {ours} float32 (./other.yaml:9), which wants c2.{name} to be {ours}; it is {theirs} float32"
        for name, ours, theirs in rows
    ]
    head = f"error: 5 tensors of {hub.cache / 'tiny.pth'} do not fit the model's:"
    assert refusal("./other.yaml", "digits", new_head=True) == "\n".join([head, *lines])


def test_more_or_fewer_layers_are_no_new_head(published: Graph, tmp_path: Path) -> None:
    """B082: names of both sides with the nearest, and counts."""
    text = (tmp_path / "tiny.yaml").read_text().replace("  c2: c1 ->", "  c2: c1 -> conv(8, 1) ->").partition("expect:")
    write(tmp_path, f"{text[0]}weights:{text[2].partition('weights:')[2]}", "other.yaml")
    said = refusal("./other.yaml", "digits", new_head=True)
    assert said.endswith(
        "tiny.pth does not have the model's tensors\n"
        "2 missing:\n"
        "  c2.conv.bias (for c2.conv.bias)\n"
        "  c2.conv_2.weight (for c2.conv_2.weight)"
    )


@pytest.mark.parametrize(
    ("spec", "nodes"),
    [
        ("resnet18", ["logits.dense"]),
        ("googlenet-bn", ["logits.dense", "aux1.auxiliary.dense_2", "aux2.auxiliary.dense_2"]),
        ("squeezenet1-1", ["logits.conv"]),
        ("vgg11", ["logits.dense"]),
        ("lraspp-mobilenet-v3", None),
        ("yolov3", None),
    ],
)
def test_last_layers_are_those_before_the_outputs(spec: str, nodes: list[str] | None) -> None:
    """Exactly those whose shape follows the number of classes, or of boxes."""
    graph, other = cnnspec.compile(spec), cnnspec.compile(spec, classes=7)
    with torch.device("meta"):
        ours, theirs = (one.lower("torch").state_dict() for one in (graph, other))
    differ = {name.rpartition(".")[0] for name in ours if ours[name].shape != theirs[name].shape}
    found = {name.rpartition(".")[0] for name in pretrained.last_layers(graph, ours)}
    assert found == differ
    assert nodes is None or differ == set(nodes)


def test_predict_does_not_guess_with_a_new_head(capsys: Capture, published: Graph) -> None:
    from PIL import Image

    Image.new("L", (9, 9)).save("a.png")
    answer = run(capsys, "predict", "./tiny.yaml", "a.png", "--weights", "digits", "--set", "classes=5")
    assert answer.code == 4
    assert "has another last layer than tiny:" in answer.err
    answer = run(capsys, "predict", "./user.yaml", "a.png", "--weights", "trunk=digits")
    assert answer.code == 2  # it has no classify head


def test_compile_says_what_is_new(capsys: Capture, published: Graph) -> None:
    out = ("compile", "./tiny.yaml", "--target", "onnx", "-o", "a.onnx", "--weights", "digits", "--no-verify")
    answer = run(capsys, *out, "--set", "classes=5")
    assert answer.code == 0
    assert "2 keep their start weights:\n  logits.dense.weight is [5, 16]" in answer.err


# the body of a used spec


def test_the_weights_of_a_used_spec_go_under_its_path(hub: Hub, published: Graph) -> None:
    model, said = load("./user.yaml", "trunk=digits")
    due, start = published.lower("torch", seed=7).state_dict(), cnnspec.compile("./user.yaml").lower("torch", seed=1)
    for name, value in model.state_dict().items():
        own = name.removeprefix("trunk.body.")
        assert torch.equal(value, due[own] if own != name else start.state_dict()[name]), name
    assert said == (
        f"{hub.cache / 'tiny.pth'}: 8 tensors loaded\n"
        "4 keep their start weights:\n"
        "  logits.dense.weight\n  logits.dense.bias\n  box.dense.weight\n  box.dense.bias\n"
        "4 of the file have no place here:\n"
        "  logits.dense.weight\n  logits.dense.bias\n  extra.dense.weight\n  extra.dense.bias"
    )


def test_a_file_for_a_used_spec(hub: Hub, published: Graph) -> None:
    model, _ = load("./user.yaml", f"trunk={hub.files / 'tiny.pth'}")
    by_name, _ = load("./user.yaml", "trunk=digits")
    assert all(torch.equal(value, by_name.state_dict()[name]) for name, value in model.state_dict().items())


def test_an_entry_without_a_used_spec(published: Graph) -> None:
    assert refusal("./user.yaml", "pooled=digits") == (
        "error: 'pooled' holds 0 used specs of user, one is wanted\n  help: its used specs are trunk.body"
    )
    assert refusal("./tiny.yaml", "c1=digits") == (
        "error: 'c1' holds 0 used specs of tiny, one is wanted\n  help: its used specs are none"
    )
    assert refusal("./user.yaml", "trunk=digit") == (
        "error: tiny has no weights 'digit'\n  help: did you mean 'digits'?"
    )


def test_a_used_spec_of_a_library_s_names(hub: Hub, tmp_path: Path) -> None:
    """A map is total for the whole used spec, though its head has no place here."""
    from peers import peer_model

    peer = peer_model("resnet18")
    sha256 = hub.publish("resnet18.pth", peer)
    hub.spec(tmp_path, "resnet18", "resnet18.pth", sha256)
    text = USER.format(body="resnet18.yaml").replace("1, 4*h, 4*w", "3, 32*h, 32*w").replace("trunk.c2", "trunk.c5")
    graph = cnnspec.compile(write(tmp_path, text, "user.yaml"))
    model = graph.lower("torch")
    loaded = pretrained.load(model, graph, "trunk=imagenet", download=True)
    assert (loaded.tensors, loaded.unused) == (120, ("fc.weight", "fc.bias"))
    assert loaded.new == ("logits.dense.weight", "logits.dense.bias", "box.dense.weight", "box.dense.bias")
    stem = model.get_submodule("trunk.body.stem.conv_bn.conv")
    assert torch.equal(stem.weight, peer.state_dict()["conv1.weight"])


# runs


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "run"
    folder.mkdir()
    graph = cnnspec.compile(write(folder.parent, TINY, "tiny.yaml"))
    training.fit(graph, recipe.load("classify", {"epochs": "1"}), folder, lambda event: None, training.Machine("cpu"))
    return folder


def test_a_run_begins_another_with_a_new_head(trained: Path) -> None:
    model, said = load(trained.parent / "tiny.yaml", str(trained), new_head=True, classes=5)
    best = safetensors.torch.load_file(trained / "best.safetensors")
    assert torch.equal(model.get_submodule("c1.conv").weight, best["c1.conv.weight"])  # type: ignore[arg-type]
    assert "2 keep their start weights:" in said


def test_a_run_of_another_spec(trained: Path, tmp_path: Path) -> None:
    """B085: both hashes and the first node that differs, also where every tensor would fit."""
    text = TINY.replace("conv(8, 3, 2)", "conv(8, 3, 1)").replace("conv(16, 3, 2", "conv(16, 3, 4")
    other = write(tmp_path, text.partition("expect:")[0], "other.yaml")
    old, new = (cnnspec.compile(path).hash[:12] for path in (trained.parent / "tiny.yaml", other))
    for new_head in (False, True):
        assert refusal(other, str(trained), new_head=new_head) == (
            f"error: {trained / 'best.safetensors'} is of another network: its spec has the hash {old}, tiny has "
            f"{new}; the first node that differs is c1.conv, {other}:8: conv(8, 3, 2) of image in the "
            "file, conv(8, 3) of image here\n"
            "  help: a spec that shares the body alone loads it by --weights ENTRY=FILE, where it uses that spec"
        )


def test_a_run_for_a_used_spec(trained: Path, tmp_path: Path) -> None:
    write(tmp_path, TINY, "tiny.yaml")
    user = write(tmp_path, USER.format(body="tiny.yaml"), "user.yaml")
    model, said = load(user, f"trunk={trained}")
    best = safetensors.torch.load_file(trained / "best.safetensors")
    assert torch.equal(model.get_submodule("trunk.body.c1.conv").weight, best["c1.conv.weight"])  # type: ignore[arg-type]
    assert "4 of the file have no place here:" in said
