"""Every shipped network against a second implementation, weights carried over through the name maps.

The peer is torchvision's network or, where it has none, plain PyTorch written here by another route. In float64, with
drop-out off: outputs, the training loss, every gradient, and every parameter and buffer after one step of SGD. In
float32: the logits of inference, to the bit where the operators are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

import cnnspec
from cnnspec import zoo
from cnnspec_torch.lower.dense import DropImages
from cnnspec_torch.weights import Target, find_map, load_weights
from peers import TORCHVISION, torchvision_model

DOUBLE = 1e-8
SINGLE = 1e-5
BATCH = 2
AUXILIARY = 0.3  # Szegedy et al. 2014, section 5

Weights = Mapping[str, Tensor]
Outputs = dict[str, Tensor]


def conv_relu(w: Weights, key: str, x: Tensor, stride: int = 1) -> Tensor:
    """Padding by half the kernel, ReLU as a clamp."""
    weight = w[f"{key}.weight"]
    return F.conv2d(x, weight, w[f"{key}.bias"], stride, weight.shape[-1] // 2).clamp(min=0)


def dense(w: Weights, key: str, x: Tensor) -> Tensor:
    return torch.einsum("ni,oi->no", x, w[f"{key}.weight"]) + w[f"{key}.bias"]


def halve(x: Tensor, reduce: Callable[..., Tensor]) -> Tensor:
    """2 x 2 windows, what does not fill one dropped."""
    n, c, h, w = x.shape
    return reduce(x[:, :, : h // 2 * 2, : w // 2 * 2].reshape(n, c, h // 2, 2, w // 2, 2), dim=(3, 5))


def lenet5(w: Weights, x: Tensor, training: bool) -> Outputs:
    for key in ("c1", "c3"):
        x = halve(torch.tanh(F.conv2d(x, w[f"{key}.conv.weight"], w[f"{key}.conv.bias"])), torch.mean)
    x = torch.tanh(torch.einsum("nchw,ochw->no", x, w["c5.conv.weight"]) + w["c5.conv.bias"])
    return {"logits": dense(w, "logits.dense", torch.tanh(dense(w, "f6.dense", x)))}


def fashion_cnn(w: Weights, x: Tensor, training: bool) -> Outputs:
    x = halve(conv_relu(w, "c1.conv", x), torch.amax)
    for key in ("c2", "c3"):
        x = halve(conv_relu(w, f"{key}.conv_2", conv_relu(w, f"{key}.conv", x)), torch.amax)
    x = dense(w, "f4.dense", x.flatten(1)).clamp(min=0)
    return {"logits": dense(w, "logits.dense", dense(w, "f5.dense", x).clamp(min=0))}


def lrn(x: Tensor) -> Tensor:
    """Krizhevsky et al. 2012, section 3.3: n = 5, alpha 1e-4 over n (as Caffe and torch have it), beta 0.75, k = 1."""
    squares = F.pad(x.square(), (0, 0, 0, 0, 2, 2))
    near = sum((squares[:, i : i + x.shape[1]] for i in range(5)), torch.zeros_like(x))
    return x * (1 + 1e-4 / 5 * near) ** -0.75


def overlapping(x: Tensor) -> Tensor:
    """3 x 3 windows two apart, the last one hanging over: Caffe's rounding up."""
    return F.max_pool2d(F.pad(x, (0, 1, 0, 1), value=-torch.inf), 3, 2)


def alexnet(w: Weights, x: Tensor, training: bool) -> Outputs:
    """Two columns side by side; they meet in c3 and in the dense layers."""
    pool = partial(F.max_pool2d, kernel_size=3, stride=2)
    x = F.conv2d(x, w["c1.conv.weight"], w["c1.conv.bias"], 4).clamp(min=0)
    x = pool(lrn(two_columns(w, "c2.conv", pool(lrn(x)))))
    x = two_columns(w, "c4.conv", conv_relu(w, "c3.conv", x))
    x = pool(two_columns(w, "c5.conv", x)).flatten(1)
    x = dense(w, "f7.dense", dense(w, "f6.dense", x).clamp(min=0)).clamp(min=0)
    return {"logits": dense(w, "logits.dense", x)}


def two_columns(w: Weights, key: str, x: Tensor) -> Tensor:
    weights, biases = w[f"{key}.weight"].chunk(2), w[f"{key}.bias"].chunk(2)
    columns = zip(x.chunk(2, dim=1), weights, biases, strict=True)
    return torch.cat([F.conv2d(x, w, b, padding=w.shape[-1] // 2) for x, w, b in columns], 1).clamp(min=0)


def inception(w: Weights, key: str, x: Tensor) -> Tensor:
    def branch(name: str, x: Tensor) -> Tensor:
        return conv_relu(w, f"{key}.inception.{name}.conv", x)

    windows = F.unfold(F.pad(x, (1, 1, 1, 1), value=-torch.inf), 3)
    pooled = windows.reshape(x.shape[0], x.shape[1], 9, -1).amax(2)
    three = branch("b3.conv_relu_2", branch("b3.conv_relu", x))
    five = branch("b5.conv_relu_2", branch("b5.conv_relu", x))
    four = (branch("b1.conv_relu", x), three, five, branch("bp.conv_relu", pooled.view_as(x)))
    y = torch.cat(four, dim=1)
    gate = f"{key}.inception.se.gate"
    return y * excited(w, gate, y)[:, :, None, None] if f"{gate}.dense.weight" in w else y


def excited(w: Weights, key: str, x: Tensor) -> Tensor:
    """Hu et al. 2017, equations 2 and 3."""
    return torch.sigmoid(dense(w, f"{key}.dense_2", dense(w, f"{key}.dense", x.mean((2, 3))).clamp(min=0)))


def auxiliary(w: Weights, key: str, x: Tensor) -> Tensor:
    x = x.unfold(2, 5, 3).unfold(3, 5, 3).mean((4, 5))
    x = conv_relu(w, f"{key}.auxiliary.conv_relu.conv", x).flatten(1)
    return dense(w, f"{key}.auxiliary.dense_2", dense(w, f"{key}.auxiliary.dense", x).clamp(min=0))


def googlenet(w: Weights, x: Tensor, training: bool) -> Outputs:
    """torchvision's is googlenet-bn, so no peer but the paper: table 1 and section 5; gated where there are gates."""
    x = lrn(overlapping(conv_relu(w, "conv1.conv_relu.conv", x, 2)))
    x = conv_relu(w, "conv2.conv_relu_2.conv", conv_relu(w, "conv2.conv_relu.conv", x))
    x = overlapping(lrn(x))
    at = {}
    for module in ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"):
        at[module] = x = inception(w, f"inception{module}", x)
        x = overlapping(x) if module in ("3b", "4e") else x
    outputs = {"logits": dense(w, "logits.dense", x.mean((2, 3)))}
    heads = {"aux1": auxiliary(w, "aux1", at["4a"]), "aux2": auxiliary(w, "aux2", at["4d"])}
    return outputs | heads if training else outputs


@dataclass(frozen=True)
class Row:
    """One network: the image it is tried on, its peer if that is not torchvision's, whether the float32 bits agree."""

    spec: str
    image: tuple[int, int, int]
    plain: Callable[[Weights, Tensor, bool], Outputs] | None = None
    to_the_bit: bool = True
    long: bool = False


# 64 is the least at which 32*h leaves 2 x 2 before the last pool; VGG's and GoogLeNet's dense layers want 224.
# Where the peer has a 1x1 convolution for a dense layer or the other way round, sums run in another order.
ROWS = (
    Row("lenet5", (1, 32, 32), lenet5, to_the_bit=False),
    Row("fashion-cnn", (1, 28, 28), fashion_cnn, to_the_bit=False),
    Row("alexnet", (3, 227, 227), alexnet, to_the_bit=False),
    Row("alexnet-torchvision", (3, 224, 224)),
    Row("vgg11", (3, 224, 224)),
    Row("vgg13", (3, 224, 224), long=True),
    Row("vgg16", (3, 224, 224), long=True),
    Row("vgg19", (3, 224, 224), long=True),
    Row("vgg11-bn", (3, 224, 224), long=True),
    Row("vgg13-bn", (3, 224, 224), long=True),
    Row("vgg16-bn", (3, 224, 224), long=True),
    Row("vgg19-bn", (3, 224, 224), long=True),
    Row("resnet18", (3, 64, 64)),
    Row("resnet34", (3, 64, 64)),
    Row("resnet50", (3, 64, 64)),
    Row("resnet101", (3, 64, 64)),
    Row("resnet152", (3, 64, 64)),
    Row("resnext50", (3, 64, 64)),
    Row("googlenet", (3, 224, 224), googlenet, to_the_bit=False),
    Row("se-googlenet", (3, 224, 224), googlenet, to_the_bit=False),
    Row("googlenet-bn", (3, 224, 224)),
    Row("inception-v3", (3, 299, 299)),
    Row("densenet121", (3, 64, 64)),
    Row("squeezenet1-1", (3, 64, 64)),
    Row("shufflenet-v2", (3, 64, 64)),
    Row("mobilenet-v2", (3, 64, 64)),
    Row("mobilenet-v3-large", (3, 64, 64), to_the_bit=False),
    Row("efficientnet-b0", (3, 64, 64), to_the_bit=False),
    Row("regnet-y-400mf", (3, 64, 64), to_the_bit=False),
    Row("convnext-tiny", (3, 32, 32), to_the_bit=False),
)
WITHOUT_PEER = {"darknet53", "inception-v4", "resnet34-keras", "senet154", "seresnet50", "xception"}
"""Held by counts alone, of parameters and of multiply-accumulates: torchvision lacks them."""
EVERY = [pytest.param(row, id=row.spec, marks=[pytest.mark.long] if row.long else []) for row in ROWS]


class Plain(nn.Module):
    """A function of our tensors as a module; tensors keep our keys, with dots as torch forbids them written `-`."""

    def __init__(self, function: Callable[[Weights, Tensor, bool], Outputs], tensors: Weights) -> None:
        super().__init__()
        self.function = function
        for key, value in tensors.items():
            self.register_parameter(key.replace(".", "-"), nn.Parameter(value.detach().clone()))

    def forward(self, x: Tensor) -> Outputs:
        return self.function({key.replace("-", "."): p for key, p in self.named_parameters()}, x, self.training)


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
        targets = {key: Target(to=key.replace(".", "-")) for key in ours.state_dict()}
        return without_dropout(Pair(ours, Plain(row.plain, ours.state_dict()), targets))
    peer = torchvision_model(row.spec)
    unsettle(peer)
    load_weights(ours, peer.state_dict(), names="torchvision")
    found = find_map(ours, "torchvision")
    assert found is not None
    return without_dropout(Pair(ours, peer, found.peer_of(ours.state_dict())))


def unsettle(model: nn.Module) -> None:
    """Statistics, scales and shifts away from the ones and zeros that would hide a mistake."""
    for module in model.modules():
        if isinstance(module, (nn.BatchNorm2d, nn.LayerNorm)):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    for name, parameter in model.named_parameters():
        if name.endswith("layer_scale"):
            nn.init.uniform_(parameter, 0.5, 1.5)


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
    y = model(x)
    if not isinstance(y, (Tensor, dict)):  # the named tuple of torchvision's GoogLeNet and Inception in training
        return {name.replace("aux_logits", "aux"): value for name, value in y._asdict().items()}
    return y if isinstance(y, dict) else {"logits": y}


def training_step(model: nn.Module, x: Tensor, labels: Tensor) -> tuple[Outputs, Tensor]:
    """One step of SGD; the outputs and the loss before it. The gradients stay on the parameters."""
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    found = outputs(model, x)
    losses = {name: F.cross_entropy(y, labels) for name, y in found.items()}
    loss = losses.pop("logits") + AUXILIARY * sum(losses.values(), torch.zeros((), dtype=x.dtype))
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return found, loss


def distance(a: Tensor, b: Tensor) -> float:
    """The largest difference over the largest number, or over 1 where all are smaller."""
    return float(((a - b).abs().max() / b.abs().max().clamp(min=1)).detach())


def test_every_shipped_network_has_a_row() -> None:
    assert sorted([*(row.spec for row in ROWS), *WITHOUT_PEER]) == zoo.names()
    assert {row.spec for row in ROWS if row.plain is None} == set(TORCHVISION)


@pytest.mark.parametrize("row", EVERY)
def test_training_in_double_precision(row: Row) -> None:
    made = pair(row)
    ours, peer = made.ours.double(), made.peer.double()
    x, labels = batch(row, torch.float64)
    found, loss = training_step(ours, x, labels)
    expected, expected_loss = training_step(peer, x, labels)
    assert found.keys() == expected.keys()
    for name, y in expected.items():
        assert y.std() > 0
        assert distance(found[name], y) <= DOUBLE, name
    assert distance(loss, expected_loss) <= DOUBLE
    assert_same_gradients(made)
    peers = peer.state_dict()
    assert sorted(peers) == sorted(target.to for target in made.targets.values())
    for key, value in ours.state_dict().items():
        target = made.targets[key]
        assert distance(target.to_peer(value), peers[target.to]) <= DOUBLE, key


def assert_same_gradients(made: Pair) -> None:
    gradients = {name: p.grad for name, p in made.peer.named_parameters() if p.grad is not None}
    assert len(gradients) == len(list(made.ours.parameters()))
    largest = max(gradient.norm() for gradient in gradients.values())
    assert largest > 0
    for key, parameter in made.ours.named_parameters():
        assert parameter.grad is not None, key
        target = made.targets[key]
        assert (target.to_peer(parameter.grad) - gradients[target.to]).norm() / largest <= DOUBLE, key


@pytest.mark.parametrize("row", EVERY)
def test_inference_in_single_precision(row: Row) -> None:
    made = pair(row)
    x, _ = batch(row, torch.float32)
    with torch.no_grad():
        found, expected = outputs(made.ours.eval(), x), outputs(made.peer.eval(), x)
    assert found.keys() == expected.keys() == {"logits"}
    y, peer = found["logits"], expected["logits"]
    assert torch.isfinite(peer).all()
    assert (peer[0] - peer[1]).abs().max() > 0
    assert (y - peer).abs().max() / peer.abs().max() <= SINGLE
    if row.to_the_bit:
        assert torch.equal(y, peer)
