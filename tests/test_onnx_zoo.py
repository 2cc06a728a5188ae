"""Every shipped network as ONNX: shapes that onnx infers, onnxruntime beside torch, two batches and two sizes."""

from __future__ import annotations

import pytest

import cnnspec
from cnnspec import zoo
from cnnspec_onnx.model import OLDEST
from cnnspec_onnx.verify import CLOSE, verify

HEAVY = {"alexnet-torchvision", "fcn8s", "fcn16s", "fcn32s", "fcn-resnet101", "inception-v4", "resnet101", "resnet152"}
HEAVY |= {"senet154", "yolo-chapter"} | {f"vgg{depth}{suffix}" for depth in (11, 13, 16, 19) for suffix in ("", "-bn")}
"""Large, and like others that are tried every day."""


def _marked(spec: str) -> object:
    return pytest.param(spec, marks=[pytest.mark.long] if spec in HEAVY else [])


@pytest.mark.parametrize("spec", [_marked(spec) for spec in zoo.names()])
def test_a_shipped_network_is_verified(spec: str) -> None:
    graph = cnnspec.compile(spec)
    found = verify(graph, OLDEST)
    assert 0 < found.difference <= CLOSE
    assert len(found.sizes) == 2
    assert found.sizes[0] != found.sizes[1]
    assert found.shapes > 0
