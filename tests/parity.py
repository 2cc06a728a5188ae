"""Pairs of one network from a spec and the same from elsewhere, weights carried over, and one training step of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

import cnnspec
from cnnspec_torch.lower.dense import DropImages
from cnnspec_torch.lower.norm import Affine
from cnnspec_torch.naming import Target, find_map
from cnnspec_torch.weights import load_weights
from peers import PEERS, peer_model
from plain import Outputs, Weights

BATCH = 2
AUXILIARY = 0.3  # Szegedy et al. 2014, section 5


@dataclass(frozen=True)
class Row:
    """One network: the image it is tried on, its peer if that is not torchvision's, whether the float32 bits agree."""

    spec: str
    image: tuple[int, int, int]
    plain: Callable[[Weights, Tensor, bool], Outputs] | None = None
    to_the_bit: bool = True
    long: bool = False


class Plain(nn.Module):
    """A function of our tensors as a module; tensors keep our keys, with dots as torch forbids them written `-`."""

    def __init__(self, function: Callable[[Weights, Tensor, bool], Outputs], ours: nn.Module) -> None:
        super().__init__()
        self.function = function
        for key, parameter in ours.named_parameters():
            self.register_parameter(key.replace(".", "-"), nn.Parameter(parameter.detach().clone()))
        for key, buffer in ours.named_buffers():
            self.register_buffer(key.replace(".", "-"), buffer.clone())

    def forward(self, x: Tensor) -> Outputs:
        tensors = {key.replace("-", "."): t for key, t in (*self.named_parameters(), *self.named_buffers())}
        return self.function(tensors, x, self.training)


@dataclass(frozen=True)
class Pair:
    """Our module and its peer with the same weights, and what each of our tensors is there."""

    ours: nn.Module
    peer: nn.Module
    targets: Mapping[str, Target]


def pair(row: Row) -> Pair:
    ours = cnnspec.compile(row.spec).lower("torch", seed=1)
    torch.manual_seed(2)
    if row.plain:
        unsettle(ours)
        targets = {key: Target(to=key.replace(".", "-")) for key in ours.state_dict()}
        return without_dropout(Pair(ours, Plain(row.plain, ours), targets))
    peer = peer_model(row.spec)
    unsettle(peer)
    load_weights(ours, peer.state_dict(), names=PEERS[row.spec])
    found = find_map(ours, PEERS[row.spec])
    assert found is not None
    return without_dropout(Pair(ours, peer, found.peer_of(ours.state_dict())))


def unsettle(model: nn.Module) -> None:
    """Statistics, scales, shifts and starts away from the ones and zeros that would hide a mistake."""
    for module in model.modules():
        if isinstance(module, (nn.BatchNorm2d, nn.LayerNorm, Affine)):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            if module.bias is not None:
                nn.init.normal_(module.bias, std=0.1)
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
        if isinstance(module, nn.ConvTranspose2d):
            nn.init.normal_(module.weight, std=0.1)
    for name, parameter in model.named_parameters():
        if name.endswith("layer_scale"):
            nn.init.uniform_(parameter, 0.5, 1.5)
        if not parameter.any():
            nn.init.normal_(parameter, std=0.1)


def without_dropout(made: Pair) -> Pair:
    for model in (made.ours, made.peer):
        for module in model.modules():
            if isinstance(module, (nn.Dropout, StochasticDepth)):
                module.p = 0.0
            if isinstance(module, DropImages):
                module.rate = 0.0
    return made


def batch(row: Row, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(BATCH, *row.image, generator=generator, dtype=dtype)
    return x, torch.tensor([1, 7])


def outputs(model: nn.Module, x: Tensor) -> Outputs:
    """By our names of outputs."""
    y = model(x)
    if isinstance(y, Tensor):
        return {"logits": y}
    if not isinstance(y, dict):  # the named tuple of torchvision's GoogLeNet and Inception in training
        return {name.replace("aux_logits", "aux"): value for name, value in y._asdict().items()}
    return {"logits" if name == "out" else name: value for name, value in y.items()}  # torchvision's of segmentation


def loss_of(y: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of one label an image; of maps, the mean of a fixed random weight times each number."""
    if y.ndim == 2:
        return F.cross_entropy(y, labels)
    generator = torch.Generator().manual_seed(4)
    return (y * torch.randn(y.shape, generator=generator, dtype=y.dtype)).mean()


def training_step(model: nn.Module, x: Tensor, labels: Tensor) -> tuple[Outputs, Tensor]:
    """One step of SGD; the outputs and the loss before it. The gradients stay on the parameters."""
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    found = outputs(model, x)
    weights = {name: AUXILIARY if name.startswith("aux") else 1.0 for name in found}
    loss = sum((weights[name] * loss_of(y, labels) for name, y in found.items()), torch.zeros((), dtype=x.dtype))
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return found, loss


def distance(a: Tensor, b: Tensor) -> float:
    """The largest difference over the largest number, or over 1 where all are smaller."""
    return float(((a - b).abs().max() / b.abs().max().clamp(min=1)).detach())
