"""ONNX models as files: names, dimensions, metadata, data beside the model, and what happens where writing fails."""

from __future__ import annotations

import errno
import json
import os
import re
from itertools import count
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import cnnspec
from cnnspec.diagnostics import RunError, UsageError
from cnnspec.front import compile_text
from cnnspec.published import Preprocess
from cnnspec_onnx.files import PAGE, save
from cnnspec_onnx.model import NEWEST, Images, build
from door import TINY

NAMES = """
cnnspec: 1
name: names
input: {image: [N, 3, 4*h + 1, 4*w]}
net:
  a: image -> conv(4, 3) -> dropout(0.5)
  b: a -> relu
  c: b
outputs: [a, b, c]
"""


def test_nodes_bear_our_paths_and_dimensions_our_symbols() -> None:
    graph = compile_text(NAMES)
    model = build(graph, graph.lower("torch").state_dict())
    assert [node.name for node in model.graph.node] == ["a.conv", "b.relu", "b.relu/c"]
    assert [tensor.name for tensor in model.graph.initializer] == ["a.conv.weight", "a.conv.bias"]
    assert [value.name for value in model.graph.output] == ["a", "b", "c"]
    sizes = model.graph.input[0].type.tensor_type.shape.dim
    assert [size.dim_param or size.dim_value for size in sizes] == ["N", 3, "4*h + 1", "4*w"]
    x = np.random.default_rng(0).standard_normal((2, 3, 9, 8), np.float32)
    a, b, c = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"image": x})
    assert np.array_equal(b, np.maximum(a, 0))
    assert np.array_equal(b, c)


def test_training_only_parts_are_left_out() -> None:
    model = cnnspec.compile("googlenet").lower("onnx")
    assert [value.name for value in model.graph.output] == ["logits"]
    assert not [tensor.name for tensor in model.graph.initializer if tensor.name.startswith("aux")]
    assert "Dropout" not in {node.op_type for node in model.graph.node}


def test_the_metadata_hold_the_spec_and_how_to_read_the_outputs() -> None:
    graph = compile_text(TINY).inference()
    model = build(graph, None, images=Images(Preprocess(fit="crop", mean=[0.5], std=[0.25])))
    found = {entry.key.removeprefix("cnnspec."): entry.value for entry in model.metadata_props}
    assert compile_text(found["spec"]).hash == graph.hash == found["hash"]
    assert (
        json.loads(found["heads"])["logits"].items() >= {"kind": "classify", "of": ["logits"], "labels": None}.items()
    )
    assert json.loads(found["bounds"]) == {"N": 1, "h": 1, "w": 1}
    assert json.loads(found["typical"]) == {"h": 2, "w": 3}
    assert json.loads(found["preprocess"]) == {"fit": "crop", "mean": [0.5], "std": [0.25]}
    assert (model.producer_name, model.doc_string) == ("cnnspec", "A small network")


def test_a_detect_head_brings_its_anchors() -> None:
    model = build(cnnspec.compile("yolov3"), None)
    (heads,) = (json.loads(entry.value) for entry in model.metadata_props if entry.key == "cnnspec.heads")
    assert heads["boxes"]["of"] == ["p5", "p4", "p3"]
    assert heads["boxes"]["anchors"][2][0] == [10, 13]
    assert len(heads["boxes"]["labels"]) == 80


def test_without_weights_they_are_inputs() -> None:
    model = build(compile_text(TINY), None)
    onnx.checker.check_model(model, full_check=True)
    names = [value.name for value in model.graph.input]
    assert names[:3] == ["image", "c1.conv.weight", "c1.conv.bias"]
    assert "c2.batchnorm.running_var" in names
    assert not model.graph.initializer


def test_the_same_spec_and_seed_give_the_same_bytes() -> None:
    first, second = (compile_text(TINY).lower("onnx", seed=3).SerializeToString() for _ in range(2))
    assert first == second


@pytest.mark.parametrize("opset", [17, NEWEST + 1])
def test_an_opset_out_of_range_is_refused(opset: int) -> None:
    with pytest.raises(UsageError, match=f"opset {opset} is not written: 18 to {NEWEST} are"):
        build(compile_text(TINY), None, opset=opset)


def test_weights_that_do_not_fit_are_named() -> None:
    graph = compile_text(TINY)
    weights = graph.lower("torch").state_dict()
    with pytest.raises(RunError, match=r"'c1.conv.bias' is \[9\] among the weights, the network wants \[8\]"):
        build(graph, {**weights, "c1.conv.bias": torch.zeros(9)})
    del weights["c1.conv.bias"]
    with pytest.raises(RunError, match=r"the weights lack 'c1.conv.bias' \[8\]"):
        build(graph, weights)


def test_images_must_fit_the_input() -> None:
    with pytest.raises(UsageError, match="mean and std hold 3 and 3 numbers, the input has 1 channels"):
        build(compile_text(TINY), None, images=Images(Preprocess(fit="crop", mean=[0, 0, 0], std=[1, 1, 1])))
    with pytest.raises(UsageError, match="big does not take one image, so it has no mean, std and pixels"):
        build(compile_text(BIG), None, images=Images(Preprocess(fit="crop", mean=[0], std=[1])))


BIG = """
cnnspec: 1
name: big
input: {x: [N, 100]}
net: {y: x -> dense(50) -> relu -> dense(70)}
outputs: [y]
"""


def test_above_the_limit_the_tensors_lie_beside(tmp_path: Path) -> None:
    """As above 2 GB, with the limit at 10 kB."""
    graph = compile_text(BIG)
    whole = graph.lower("onnx")
    x = {"x": np.ones((1, 100), np.float32)}
    due = onnxruntime.InferenceSession(whole.SerializeToString()).run(None, x)
    files = save(whole, tmp_path / "big.onnx", limit=10_000)
    assert sorted(tmp_path.iterdir()) == sorted(files)
    assert re.fullmatch(r"big\.onnx\.[0-9a-f]{12}\.data", files[1].name)
    assert files[1].stat().st_size == 5 * PAGE + 4 * PAGE
    onnx.checker.check_model(str(files[0]), full_check=True)
    assert np.array_equal(onnxruntime.InferenceSession(str(files[0])).run(None, x), due)


@pytest.mark.parametrize(("at", "name"), [(0, r"big\.onnx\.\w+\.data"), (2, r"big\.onnx")])
def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int, name: str) -> None:
    """Whether the data or the model itself does not fit; each file is synced, then its folder."""
    (tmp_path / "big.onnx").write_bytes(b"old")
    calls = count()
    sync = os.fsync

    def full(descriptor: int) -> None:
        if next(calls) == at:
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    text = rf"cannot write \S+{name}: No space left on device; \d+ bytes are needed, \d+ bytes are free"
    with pytest.raises(RunError, match=text):
        save(compile_text(BIG).lower("onnx"), tmp_path / "big.onnx", limit=10_000)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


@pytest.mark.long
def test_a_model_above_two_gigabytes_runs(tmp_path: Path) -> None:
    graph = compile_text(
        "{cnnspec: 1, name: huge, input: {x: [N, 27000]}, net: {y: {op: dense, in: x, features: 21000}}, outputs: [y]}"
    )
    weight = np.zeros((21000, 27000), np.float32)
    weight[-1, -1] = 5
    weights = {"y.dense.weight": weight, "y.dense.bias": np.ones(21000, np.float32)}
    files = save(build(graph, weights), tmp_path / "huge.onnx")
    assert files[1].stat().st_size > 2**31
    (y,) = onnxruntime.InferenceSession(str(files[0])).run(None, {"x": np.ones((1, 27000), np.float32)})
    assert (y[0, 0], y[0, -1]) == (1, 6)


def test_a_hostile_text_is_text_and_no_path(tmp_path: Path) -> None:
    """Control characters never come so far, and names have none but letters: the reader refuses them."""
    about = r"../\"a\"<script>%s{0}"
    model = compile_text(BIG.replace("input:", f"about: {json.dumps(about)}\ninput:")).lower("onnx")
    assert model.doc_string == about
    save(model, tmp_path / "a.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["a.onnx"]
    assert len(onnxruntime.InferenceSession(str(tmp_path / "a.onnx")).get_outputs()) == 1
