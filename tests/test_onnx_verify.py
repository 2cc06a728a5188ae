"""The proof before a model is written finds what is wrong: each mistake here is one that onnx's checker lets pass."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from onnx import ModelProto

from cnnspec.diagnostics import RefutedError
from cnnspec.front import compile_text
from cnnspec_onnx import verify as module
from cnnspec_onnx.model import OLDEST, build
from door import run

Capture = pytest.CaptureFixture[str]

SPEC = """
cnnspec: 1
name: small
input: {image: [N, 4, 2*h, 2*w]}
net:
  c1:   image -> conv(8, 3, groups=2) -> batchnorm -> relu
  c2:   c1 -> conv(8, [1, 3], stride=[1, 2]) -> leaky_relu(0.2)
  pool: c2 -> avgpool(3, 1, padding=1)
  y:    pool -> global_avgpool -> dense(5) -> softmax
outputs: [y]
"""


def attribute(model: ModelProto, path: str, name: str) -> object:
    node = next(node for node in model.graph.node if node.name == path)
    return next(one for one in node.attribute if one.name == name)


def swap_statistics(model: ModelProto) -> None:
    node = next(node for node in model.graph.node if node.op_type == "BatchNormalization")
    node.input[2], node.input[3] = node.input[3], node.input[2]


def pad_elsewhere(model: ModelProto) -> None:
    found: object = attribute(model, "c2.conv", "pads")
    found.ints[:] = [0, 2, 0, 0]  # type: ignore[attr-defined]


def other_slope(model: ModelProto) -> None:
    found: object = attribute(model, "c2.leaky_relu", "alpha")
    found.f = 0.21  # type: ignore[attr-defined]


def leave_padding_out(model: ModelProto) -> None:
    found: object = attribute(model, "pool.avgpool", "count_include_pad")
    found.i = 0  # type: ignore[attr-defined]


def other_epsilon(model: ModelProto) -> None:
    found: object = attribute(model, "c1.batchnorm", "epsilon")
    found.f = 0.01  # type: ignore[attr-defined]


MISTAKES = (swap_statistics, pad_elsewhere, other_slope, leave_padding_out, other_epsilon)


def spoilt(spoil: Callable[[ModelProto], None]) -> Callable[..., ModelProto]:
    def build_and_spoil(*args: object, **options: object) -> ModelProto:
        model = build(*args, **options)  # type: ignore[arg-type]
        spoil(model)
        return model

    return build_and_spoil


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_wrong_number_is_found(mistake: Callable[[ModelProto], None], monkeypatch: pytest.MonkeyPatch) -> None:
    graph = compile_text(SPEC)
    module.verify(graph, OLDEST)
    monkeypatch.setattr(module, "build", spoilt(mistake))
    with pytest.raises(RefutedError, match=r"'y' differs from torch by \S+ of its largest value at {'N': 1, "):
        module.verify(graph, OLDEST)


def test_a_wrong_shape_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def shrink(model: ModelProto) -> None:
        found: object = attribute(model, "c2.conv", "strides")
        found.ints[:] = [1, 1]  # type: ignore[attr-defined]

    monkeypatch.setattr(module, "build", spoilt(shrink))
    with pytest.raises(RefutedError, match=r"onnx infers \[1, 8, 2, 4\] for 'c2.conv', the graph has \[1, 8, 2, 2\]"):
        module.verify(compile_text(SPEC), OLDEST)


def test_a_refuted_model_is_not_written(capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec, file = tmp_path / "small.yaml", tmp_path / "small.onnx"
    spec.write_text(SPEC, encoding="utf-8")
    monkeypatch.setattr(module, "build", spoilt(other_slope))
    answer = run(capsys, "compile", str(spec), "--target", "onnx", "-o", str(file))
    assert answer.code == 1
    assert "\nerror: 'y' differs from torch by " in answer.err
    assert [path.name for path in tmp_path.iterdir()] == ["small.yaml"]


def test_the_proof_is_before_softmax_at_two_sizes() -> None:
    """Of every symbol from its bound on, neighbours unlike each other; eight values, softmax not among them."""
    found = module.verify(compile_text(SPEC), OLDEST)
    assert found.sizes == [{"N": 1, "h": 1, "w": 2}, {"N": 3, "h": 4, "w": 3}]
    assert found.shapes == 8
