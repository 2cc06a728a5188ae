"""Each map's peer, drawn at random and saved as a real .pth and .safetensors, loaded by the product's own path from a
file server: its logits on real photographs, from the file of the image on, are the peer's own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_images
from torch import nn

import cnnspec
from cnnspec import vision
from cnnspec_torch import prediction, pretrained
from hub import Hub
from hub import hub as hub
from parity import unsettle
from peers import SEGMENTATION, TIMM, TORCHVISION, peer_model
from test_published import RESCALED, SLOPE, as_peer

DAILY = {"resnet18", "mobilenet-v2", "googlenet-bn", "shufflenet-v2", "squeezenet1-1", "regnet-y-400mf"}
DAILY |= {"lraspp-mobilenet-v3", "efficientnet-b0"}
"""Small ones; the others run with `long`."""
CLASSIFIERS = [spec for spec in (*TORCHVISION, *TIMM) if spec != SLOPE]
CLOSE = 1e-6
"""Of the largest, in float32, where a 1x1 convolution here is a dense layer there; elsewhere the bits agree."""


def marked(specs: list[str]) -> list[object]:
    return [spec if spec in DAILY else pytest.param(spec, marks=pytest.mark.long) for spec in specs]


def peer(spec: str) -> nn.Module:
    torch.manual_seed(5)
    found = peer_model(spec)
    unsettle(found)
    return found.eval()


@pytest.mark.parametrize("spec", marked(CLASSIFIERS))
def test_predicts_what_the_peer_predicts(spec: str, hub: Hub, tmp_path: Path) -> None:
    theirs = peer(spec)
    photo = Image.fromarray(load_sample_images().images[0])
    photo.save(tmp_path / "china.png")
    with torch.inference_mode():
        due = theirs(torch.from_numpy(as_peer(spec, "imagenet", photo))[None])[0]
    scores = []
    for suffix in ("pth", "safetensors"):
        sha256 = hub.publish(f"{spec}.{suffix}", theirs)
        path = hub.spec(tmp_path, spec, f"{spec}.{suffix}", sha256[:8])
        predictor = prediction.from_graph(cnnspec.compile(path), weights="imagenet", sizes={}, download=True)
        assert isinstance(predictor, prediction.Predictor)
        pixels = predictor.preparation.pixels(vision.load(tmp_path / "china.png", 3))
        scores.append(torch.from_numpy(predictor.scores(pixels[None]))[0])
        assert predictor(str(tmp_path / "china.png"), 1).top[0].number == int(due.argmax())
    assert torch.equal(scores[0], scores[1])
    assert float((scores[0] - due).abs().max() / due.abs().max()) < CLOSE
    assert sorted(file.name for file in hub.cache.iterdir()) == [f"{spec}.pth", f"{spec}.safetensors"]


@pytest.mark.parametrize("spec", marked(list(SEGMENTATION)))
def test_segments_what_the_peer_segments(spec: str, hub: Hub, tmp_path: Path) -> None:
    theirs = peer(spec)
    sha256 = hub.publish(f"{spec}.pth", theirs)
    graph = cnnspec.compile(hub.spec(tmp_path, spec, f"{spec}.pth", sha256, keep="voc"))
    model = graph.lower("torch").eval()
    loaded = pretrained.load(model, graph, "imagenet", download=True)
    assert loaded.preprocess == cnnspec.compile(spec).weights["voc"].preprocess
    image = torch.randn(1, 3, 96, 128, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        due, found = theirs(image)["out"], model(image)
    found = found if isinstance(found, torch.Tensor) else found["logits"]
    assert float((found - due).abs().max() / due.abs().max()) < CLOSE


def test_the_published_ones_with_a_transform_have_it_in_the_peer() -> None:
    """What `RESCALED` rests on: torchvision's builders turn it on with published weights, and for no others."""
    import inspect

    from torchvision.models import get_model_builder, list_models

    builders = {TORCHVISION[spec] for spec in RESCALED}
    found = {n for n in list_models() if "transform_input" in inspect.getsource(get_model_builder(n).__wrapped__)}
    assert builders == found - {name for name in found if name.startswith("quantized")}
