"""Every shipped network against a second implementation, weights carried over through the name maps.

The peer is torchvision's or timm's network or, where neither has it, plain PyTorch written here by another route. In
float64, with drop-out off: outputs, the training loss, every gradient, and every parameter and buffer after one step of
SGD. In float32: the outputs of inference, to the bit where the operators are the same.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

import cnnspec
import plain_fcn
import plain_keras
import plain_lenet
import plain_yolo
from cnnspec import zoo
from cnnspec_torch.memory import channels_last
from cnnspec_torch.module import laid
from parity import Pair, Row, batch, distance, outputs, pair, training_step
from peers import PEERS
from plain import alexnet, fashion_cnn, googlenet, lenet5

DOUBLE = 1e-8
SINGLE = 1e-5

# 64 is the least at which 32*h leaves 2 x 2 before the last pool; VGG's and GoogLeNet's dense layers want 224.
# Where the peer has a 1x1 convolution for a dense layer or the other way round, sums run in another order.
ROWS = (
    Row("lenet5", (1, 32, 32), lenet5, to_the_bit=False),
    Row("lenet5-1998", (1, 28, 28), plain_lenet.lenet5_1998, to_the_bit=False),
    Row("yolov3", (3, 64, 64), plain_yolo.yolov3, to_the_bit=False),
    Row("yolo-small", (3, 64, 64), plain_yolo.yolo_small, to_the_bit=False),
    Row("yolo-chapter", (3, 64, 64), plain_yolo.yolo_chapter, to_the_bit=False),
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
    Row("darknet53-timm", (3, 64, 64)),
    Row("resnet34", (3, 64, 64)),
    Row("resnet34-keras", (3, 64, 64), plain_keras.resnet34, to_the_bit=False),
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
    Row("seresnet50", (3, 64, 64), to_the_bit=False),
    Row("senet154", (3, 64, 64), to_the_bit=False),
    Row("darknet53", (3, 64, 64)),
    Row("inception-v4", (3, 299, 299)),
    Row("xception", (3, 299, 299)),
    Row("hrnet-w18", (3, 64, 64)),
    Row("fcn-resnet50", (3, 64, 64)),
    Row("fcn-resnet101", (3, 64, 64)),
    Row("deeplabv3-resnet50", (3, 64, 64)),
    Row("lraspp-mobilenet-v3", (3, 64, 64), to_the_bit=False),
    Row("fcn8s", (3, 32, 32), plain_fcn.fcn8s, to_the_bit=False),
    Row("fcn16s", (3, 32, 32), plain_fcn.fcn16s, to_the_bit=False, long=True),
    Row("fcn32s", (3, 32, 32), plain_fcn.fcn32s, to_the_bit=False, long=True),
)
EVERY = [pytest.param(row, id=row.spec, marks=[pytest.mark.long] if row.long else []) for row in ROWS]


def test_every_shipped_network_has_a_row() -> None:
    assert sorted([*(row.spec for row in ROWS), "filters"]) == zoo.names()
    assert {row.spec for row in ROWS if row.plain is None} == set(PEERS)


def test_the_filters_have_nothing_to_train_and_add_up_lines() -> None:
    """Seven rows of a column, seven columns of a row, of all maps; beyond the edge are zeros."""
    x = torch.randn(2, 3, 20, 30, generator=torch.Generator().manual_seed(3))
    sums = F.pad(x.sum(1), (3, 3, 3, 3))
    vertical, horizontal = sums.unfold(1, 7, 1).sum(-1)[:, :, 3:-3], sums.unfold(2, 7, 1).sum(-1)[:, 3:-3]
    assert distance(cnnspec.compile("filters").lower("torch")(x), torch.stack([vertical, horizontal], 1)) <= SINGLE


@pytest.fixture(autouse=True)
def swept() -> Iterator[None]:
    """A network has circles; a gigabyte of each would stay until Python next looks for them."""
    yield
    gc.collect()


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
    assert found.keys() == {name for name in expected if not name.startswith("aux")}
    for name, y in found.items():
        peer = expected[name]
        assert torch.isfinite(peer).all()
        assert (peer[0] - peer[1]).abs().max() > 0
        assert (y - peer).abs().max() / peer.abs().max() <= SINGLE
    if row.to_the_bit:
        with torch.no_grad():  # the same kernels where the peer's maps lie as ours
            expected = outputs(made.peer, laid(x) if channels_last(cnnspec.compile(row.spec)) else x)
        assert all(torch.equal(y, expected[name]) for name, y in found.items())
