"""Every shipped network as ONNX: shapes that onnx infers, onnxruntime beside torch, two batches and two sizes."""

from __future__ import annotations

import pytest

import cnnspec
from cnnspec import zoo
from cnnspec_onnx.model import OLDEST
from cnnspec_onnx.verify import CLOSE, verify

HEAVY = {
    "fcn8s",
    "fcn16s",
    "fcn32s",
    "senet154",
    "vgg13",
    "vgg16",
    "vgg19",
    "vgg11-bn",
    "vgg13-bn",
    "vgg16-bn",
    "vgg19-bn",
}


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
