"""Networks of the zoo beside the libraries' that their maps of names know, with the same weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

import cnnspec
from cnnspec_torch.naming import shipped_maps

CALLED = {
    "alexnet-torchvision": "alexnet",
    "darknet53-timm": "darknet53",
    "googlenet-bn": "googlenet",
    "lraspp-mobilenet-v3": "lraspp_mobilenet_v3_large",
    "resnext50": "resnext50_32x4d",
    "senet154": "legacy_senet154",
    "shufflenet-v2": "shufflenet_v2_x1_0",
    "xception": "legacy_xception",
}
"""Networks that the library calls otherwise than we do."""


def networks() -> dict[str, str]:
    """The library that has each network."""
    return dict(sorted((spec, found.peer) for found in shipped_maps() for spec in found.specs))


def pair(name: str) -> tuple[nn.Module, nn.Module]:
    """Our network and the library's, holding the same weights, drawn at random."""
    library = networks()[name]
    called = CALLED.get(name, name.replace("-", "_"))
    theirs = _timm(name, called) if library == "timm" else _torchvision(called)
    ours: nn.Module = cnnspec.compile(name).lower("torch")
    cnnspec.load_weights(ours, theirs.state_dict(), names=library)
    return ours, theirs


def image(name: str, least: int) -> tuple[int, ...]:
    """Channels and sizes of a network's input: its own where they are fixed, else the first legal ones from `least`."""
    graph = cnnspec.compile(name)
    type = graph.nodes[graph.inputs[0]].type
    bounds = {symbol: graph.bounds.get(symbol, 1) for symbol in type.symbols}
    sizes = [
        n if isinstance(n, int) else max(n.at(bounds), least + (n.offset - least) % n.factor) for n in type.spatial
    ]
    return type.channels, *sizes


def results(y: Tensor | Mapping[str, Tensor] | tuple[Tensor, ...]) -> list[Tensor]:
    """The outputs of a network, which libraries give alone, by name or in a row."""
    return [y] if isinstance(y, Tensor) else [*(y.values() if isinstance(y, Mapping) else y)]


def _torchvision(called: str) -> nn.Module:
    from torchvision import models

    options: dict[str, Any] = {}
    if called.startswith(("vgg", "googlenet", "inception")):
        options = {"init_weights": False}
    if called.startswith(("fcn", "deeplab")):  # with the auxiliary head that its published weights have
        options = {"weights_backbone": None, "aux_loss": True}
    if called.startswith("lraspp"):
        options = {"weights_backbone": None}
    made: nn.Module = models.get_model(called, **options)
    return made


def _timm(name: str, called: str) -> nn.Module:
    """timm's network with the published settings where its own differ."""
    import timm

    made: nn.Module = timm.create_model(called)
    for module in made.modules():
        if name == "darknet53" and isinstance(module, nn.LeakyReLU):
            module.negative_slope = 0.1
        if name == "xception" and isinstance(module, nn.BatchNorm2d):
            module.eps, module.momentum = 0.001, 0.01
    if name == "xception":
        pool: Any = made.get_submodule("block2.rep.6")
        pool.padding, pool.ceil_mode = 0, True
    return made


def apart(found: Tensor, expected: Tensor) -> float:
    """The largest difference over the largest number."""
    return float(((found - expected).abs().max() / expected.abs().max()).detach())


def same(found: Tensor, expected: Tensor, what: str) -> float:
    """How far apart; raises SystemExit where that is no rounding, as times of different work mean nothing."""
    difference = apart(found, expected)
    if not torch.isfinite(expected).all() or not difference <= 1e-4:
        raise SystemExit(f"{what}: the outputs differ by {difference:.1e} of the largest")
    return difference
