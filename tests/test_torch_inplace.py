"""What runs in place, and that gradients do not notice."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from cnnspec.front import compile_text
from cnnspec_torch.lower import lower
from cnnspec_torch.lower.inplace import overwritten
from cnnspec_torch.lower.merge import Sum
from samples import AUXILIARY, IDS, RESIDUAL, SAMPLES, Sample

NET = """
cnnspec: 1
name: net
input: {{image: [N, 4, 8, 8]}}
net:
{lines}
outputs: [{outputs}]
"""

# lines, outputs -> path and operand of every node that writes over it
CASES: dict[str, tuple[list[str], str, dict[str, int]]] = {
    "after a convolution": (["y: image -> conv(4, 3) -> relu"], "y", {"y.relu": 0}),
    "after an input": (["y: image -> relu"], "y", {}),
    "after an output": (["a: image -> conv(4, 3)", "y: a -> relu"], "a, y", {}),
    "read by another": (["a: image -> conv(4, 3)", "y: add(a -> relu, a -> sigmoid)"], "y", {}),
    "read twice by one": (["a: image -> conv(4, 3)", "y: add(a, a)"], "y", {}),
    "kept by its maker": (["y: image -> sigmoid -> relu -> relu6"], "y", {}),
    "softmax, tanh, global_maxpool": (
        ["a: image -> softmax -> relu", "b: image -> tanh -> relu", "c: image -> global_maxpool -> relu"],
        "a, b, c",
        {},
    ),
    "kept in place": (["y: image -> conv(4, 3) -> relu6 -> relu"], "y", {"y.relu6": 0}),
    "not kept": (["a: image -> relu6", "y: a -> relu"], "y", {"y.relu": 0}),
    "a view": (["y: image -> conv(4, 3) -> flatten -> relu"], "y", {}),
    "a view of what another reads": (
        ["a: image -> conv(4, 3)", "y: add(a -> identity -> relu, a -> dropout -> relu)"],
        "y",
        {},
    ),
    "the second operand": (["a: image -> conv(4, 3)", "y: add(image, a) -> relu"], "y", {"y.add": 1, "y.relu": 0}),
    "a sum of three": (["a: image -> conv(4, 3)", "y: add(image, image, a)"], "y", {}),
    "a sum of three, the first": (["a: image -> conv(4, 3)", "y: add(a, image, image)"], "y", {"y.add": 0}),
    "after pools and merges": (
        [
            "a: image -> maxpool(2) -> relu",
            "b: image -> avgpool(2) -> relu",
            "c: concat(a, b) -> relu",
            "d: image -> global_avgpool -> relu",
            "e: image -> lrn -> relu6",
            "f: image -> batchnorm -> relu",
            "g: scale(image, d) -> relu",
        ],
        "c, d, e, f, g",
        dict.fromkeys(("a.relu", "b.relu", "c.relu", "d.relu", "e.relu6", "f.relu", "g.relu"), 0),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_choice(case: str) -> None:
    lines, outputs, expected = CASES[case]
    graph = compile_text(NET.format(lines="\n".join(f"  {line}" for line in lines), outputs=outputs))
    assert overwritten(graph) == expected


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("training", [True, False])
def test_same_numbers_and_gradients(case: str, training: bool) -> None:
    lines, outputs, _ = CASES[case]
    text = NET.format(lines="\n".join(f"  {line}" for line in lines), outputs=outputs)
    compare(compile_text(text).lower("torch").train(training), torch.randn(2, 4, 8, 8))


@pytest.mark.parametrize("text", [RESIDUAL, AUXILIARY], ids=["residual", "auxiliary"])
@pytest.mark.parametrize("training", [True, False])
def test_whole_networks(text: str, training: bool) -> None:
    compare(compile_text(text).lower("torch").train(training), torch.randn(2, 3, 16, 16))


def compare(module: nn.Module, x: Tensor) -> None:
    """The module and its copy without in-place nodes: outputs, gradients of weights and input, and the input itself."""
    plain = copy.deepcopy(module)
    for part in plain.modules():
        if isinstance(part, Sum):
            part.into = None
        elif isinstance(part, nn.ReLU | nn.ReLU6):
            part.inplace = False
    results = []
    for network in (module, plain):
        image = x.clone().requires_grad_()
        torch.manual_seed(0)
        outputs = [y * 1 for y in tensors(network(image))]
        torch.autograd.backward([y.square().sum() for y in outputs])
        assert torch.equal(image, x)
        results.append([*outputs, image.grad, *(p.grad for p in network.parameters())])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def tensors(result: Tensor | dict[str, Tensor]) -> Iterator[Tensor]:
    yield from result.values() if isinstance(result, dict) else [result]


@pytest.mark.parametrize("sample", SAMPLES, ids=IDS)
def test_keeps_is_what_autograd_keeps(sample: Sample) -> None:
    """In-place rests on `keeps`: torch saves the result or an operand for backward just where `keeps` says so."""
    module = lower(sample.op, *sample.inputs)
    xs = [torch.randn(x.concrete, requires_grad=True) for x in sample.inputs]
    saved: set[int] = set()

    def note(tensor: Tensor) -> Tensor:
        saved.add(tensor.untyped_storage().data_ptr())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        y = module(*xs)
    if not sample.op.aliases:
        assert (y.untyped_storage().data_ptr() in saved) == ("y" in sample.op.keeps)
    if "Padded" not in type(module).__name__:  # these keep the padded map instead
        assert any(x.untyped_storage().data_ptr() in saved for x in xs) == ("x" in sample.op.keeps)
