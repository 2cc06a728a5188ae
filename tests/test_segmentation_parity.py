"""Segmentation networks against their peers at sizes of every kind: each network's maps are as large as its image."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import cnnspec
from cnnspec.front import compile_file
from cnnspec.graph import Graph
from cnnspec_torch.memory import channels_last
from cnnspec_torch.module import laid
from cnnspec_torch.weights import load_weights
from parity import outputs, unsettle
from peers import SEGMENTATION, peer_model
from plain_fcn import fcn8s

SINGLE = 1e-5
# The first is high enough for ASPP's rate of 36 at an eighth; the last is no multiple of 8, so it has to be declared.
SIZES = ((304, 48), (80, 64), (75, 101))
FCN_SIZES = ((32, 64), (50, 71))


def compiled(spec: str, size: tuple[int, int], factor: int) -> Graph:
    declared = {"image": f"N,3,{size[0]},{size[1]}"} if any(n % factor for n in size) else None
    return compile_file(spec, inputs=declared)


def lowered(graph: Graph) -> nn.Module:
    model: nn.Module = graph.lower("torch", seed=1).eval()
    return model


def image(size: tuple[int, int]) -> Tensor:
    return torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("spec", SEGMENTATION)
def test_maps_are_torchvisions(spec: str, size: tuple[int, int]) -> None:
    torch.manual_seed(2)
    graph = compiled(spec, size, 16)
    ours, peer, x = lowered(graph), peer_model(spec).eval(), image(size)
    unsettle(peer)
    load_weights(ours, peer.state_dict(), names="torchvision")
    with torch.no_grad():
        found, expected = outputs(ours, x)["logits"], outputs(peer, x)["logits"]
    assert found.shape == (1, 21, *size)
    assert expected.std((2, 3)).min() > 0
    assert (found - expected).abs().max() / expected.abs().max() <= SINGLE
    if not spec.startswith("lraspp"):  # whose gates are dense layers here
        with torch.no_grad():  # the same kernels where the peer's maps lie as ours
            expected = outputs(peer, laid(x) if channels_last(graph) else x)["logits"]
        assert torch.equal(found, expected)


@pytest.mark.parametrize("size", FCN_SIZES)
def test_maps_of_fcn_are_plain_pytorchs(size: tuple[int, int]) -> None:
    ours, x = lowered(compiled("fcn8s", size, 32)), image(size)
    torch.manual_seed(2)
    unsettle(ours)
    with torch.no_grad():
        found, expected = outputs(ours, x)["logits"], fcn8s(ours.state_dict(), x, False)["logits"]
    assert found.shape == (1, 21, *size)
    assert expected.std((2, 3)).min() > 0
    assert (found - expected).abs().max() / expected.abs().max() <= SINGLE


@pytest.mark.parametrize(
    ("spec", "body", "own"),
    [
        ("fcn-resnet50", "resnet50", "logits"),
        ("fcn-resnet101", "resnet101", "logits"),
        ("deeplabv3-resnet50", "resnet50", "logits"),
        ("fcn8s", "vgg16", ("fc6", "fc7", "logits")),
    ],
)
def test_the_body_keeps_the_names_of_its_classifier(spec: str, body: str, own: str | tuple[str, ...]) -> None:
    """So a classifier's weights serve as they are: dilation and padding change none of them."""
    with torch.device("meta"):
        ours, alone = (cnnspec.compile(name).lower("torch").state_dict() for name in (spec, body))
    shared = {key: value.shape for key, value in alone.items() if not key.startswith(own)}
    assert len(shared) >= 26
    assert shared.items() <= {key: value.shape for key, value in ours.items()}.items()
