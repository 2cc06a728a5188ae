"""What a phase trains: what is frozen, at what rates, with what decay; and averaged weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import cnnspec
from cnnspec import recipe
from cnnspec.diagnostics import UsageError
from cnnspec.freezing import matches
from cnnspec.recipe import Stage
from cnnspec_torch import optimizing
from door import write

SPEC = """\
cnnspec: 1
name: small
input: {image: [N, 1, 8, 8]}
net:
  body: image -> conv(4, 3) -> batchnorm -> relu -> conv(4, 3, bias=false) -> batchnorm -> relu
  logits: body -> global_avgpool -> dense(10)
outputs: [logits]
"""


@pytest.fixture
def net(tmp_path: Path) -> nn.Module:
    module: nn.Module = cnnspec.compile(write(tmp_path, SPEC)).lower("torch")
    return module


def stage(**changes: str) -> Stage:
    (found,) = recipe.load("classify", changes).stages
    return found


@pytest.mark.parametrize(
    ("path", "glob", "fits"),
    [
        ("body.conv.weight", "body", True),
        ("body.conv.weight", "body.conv", True),
        ("body.conv_2.weight", "body.conv", False),
        ("body.conv_2.weight", "body.conv*", True),
        ("a.batchnorm.bias", "*.batchnorm", True),
        ("a.batchnorm.bias", "*.bias", True),
        ("bodyguard.weight", "body", False),
    ],
)
def test_globs_name_paths_and_what_lies_below(path: str, glob: str, fits: bool) -> None:
    assert matches(path, [glob]) == fits


def test_what_is_frozen_stays_with_its_statistics(net: nn.Module) -> None:
    optimizing.freeze(net, ["body"])
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    net.train()
    optimizing.rest(net)
    made = optimizing.optimizer(net, stage(optimizer="sgd", lr="0.1"))
    net(torch.randn(4, 1, 8, 8)).square().sum().backward()
    made.step()
    changed = {name for name, tensor in net.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == {"logits.dense.weight", "logits.dense.bias"}
    optimizing.freeze(net, [])
    net.train()
    optimizing.rest(net)
    assert all(module.training for module in net.modules())


@pytest.mark.parametrize(
    ("globs", "said"),
    [
        (["boddy"], "error: freeze: no parameter lies below 'boddy'\n  help: did you mean 'body'?"),
        (["x"], "error: freeze: no parameter lies below 'x'\n  help: it has body, logits"),
        (["*"], "error: freeze ['*'] leaves nothing to train"),
    ],
)
def test_a_glob_that_fits_nothing_or_all_is_named(net: nn.Module, globs: list[str], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        optimizing.freeze(net, globs)
    assert str(caught.value) == said


def test_decay_leaves_out_biases_and_norms(net: nn.Module) -> None:
    made = optimizing.optimizer(net, stage(optimizer="adamw", weight_decay="0.1", rates="{logits: 0.5}"))
    names = {id(one): name for name, one in net.named_parameters()}
    found = {
        names[id(one)]: (group["factor"], group["weight_decay"])
        for group in made.param_groups
        for one in group["params"]
    }
    assert found == {
        "body.conv.weight": (1.0, 0.1),
        "body.conv.bias": (1.0, 0.0),
        "body.batchnorm.weight": (1.0, 0.0),
        "body.batchnorm.bias": (1.0, 0.0),
        "body.conv_2.weight": (1.0, 0.1),
        "body.batchnorm_2.weight": (1.0, 0.0),
        "body.batchnorm_2.bias": (1.0, 0.0),
        "logits.dense.weight": (0.5, 0.1),
        "logits.dense.bias": (0.5, 0.0),
    }
    made = optimizing.optimizer(net, stage(optimizer="adamw", weight_decay="0.1", decay_all="true"))
    assert [group["weight_decay"] for group in made.param_groups] == [0.1]


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "rmsprop"])
def test_an_optimizer_s_state_is_put_back(net: nn.Module, name: str) -> None:
    def step(made: torch.optim.Optimizer) -> None:
        made.zero_grad()
        net(torch.ones(2, 1, 8, 8)).square().sum().backward()
        made.step()

    how = stage(optimizer=name, lr="0.01")
    made = optimizing.optimizer(net, how)
    for _ in range(3):
        step(made)
    kept, weights = optimizing.named_state(net, made), {n: t.clone() for n, t in net.state_dict().items()}
    kept = {place: tensor.clone() for place, tensor in kept.items()}
    step(made)
    due = {n: t.clone() for n, t in net.state_dict().items()}
    net.load_state_dict(weights)
    other = optimizing.optimizer(net, how)
    optimizing.load_named_state(net, other, kept)
    step(other)
    assert all(torch.equal(due[n], t) for n, t in net.state_dict().items())


def test_averaged_weights_are_torch_s(net: nn.Module) -> None:
    theirs = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)  # type: ignore[no-untyped-call]
    theirs.update_parameters(net)  # the first takes the weights as they are
    ours = optimizing.Average(0.9)
    ours.bind(net)
    for _ in range(3):
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.add_(torch.randn_like(parameter))
        ours.update()
        theirs.update_parameters(net)
    live = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    with ours.in_place():
        for name, tensor in theirs.module.state_dict().items():
            torch.testing.assert_close(net.state_dict()[name], tensor)
    assert all(torch.equal(live[name], tensor) for name, tensor in net.state_dict().items())
