"""The module as a whole: what it holds, what it gives, and what can be done with it."""

from __future__ import annotations

import copy
import inspect
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, fx, nn
from torch.testing import assert_close

from cnnspec.front import compile_text
from cnnspec_torch.module import ByMode
from samples import AUXILIARY, RESIDUAL

NETS = {"residual": RESIDUAL, "auxiliary": AUXILIARY}
both = pytest.mark.parametrize("text", NETS.values(), ids=NETS)


def lowered(text: str, seed: int = 0) -> nn.Module:
    module: nn.Module = compile_text(text).lower("torch", seed=seed)
    return module


def image(*sizes: int, seed: int = 0) -> Tensor:
    return torch.randn(*(sizes or (2, 3, 16, 24)), generator=torch.Generator().manual_seed(seed))


@both
def test_every_node_is_a_submodule_at_its_path(text: str) -> None:
    graph, module = compile_text(text), lowered(text)
    leaves = [name for name, part in module.named_modules() if name and not list(part.children())]
    assert sorted(leaves) == sorted(path for path in graph.nodes if path not in graph.inputs)


@both
def test_keys_are_paths_in_the_order_of_the_graph(text: str) -> None:
    graph, module = compile_text(text), lowered(text)
    keys = [f"{p}.{name}" for p, n in graph.nodes.items() if n.inputs for name in n.op.params(*graph.input_types(n))]
    assert sorted(dict(module.named_parameters())) == sorted(keys)
    entries = [key.split(".")[0] for key in module.state_dict()]
    assert list(dict.fromkeys(entries)) == list(dict.fromkeys(key.split(".")[0] for key in keys))


def test_one_output_is_a_tensor_in_both_modes() -> None:
    module = lowered(RESIDUAL)
    assert isinstance(module, fx.GraphModule)
    assert module.train()(image()).shape == module.eval()(image()).shape == (2, 5)


def test_outputs_of_training_only() -> None:
    module = lowered(AUXILIARY)
    assert isinstance(module, ByMode)
    assert {name: y.shape for name, y in module.train()(image()).items()} == {"logits": (2, 5), "aux": (2, 5)}
    assert {name: y.shape for name, y in module.eval()(image()).items()} == {"logits": (2, 5)}


def test_training_only_nodes_do_not_run_in_evaluation() -> None:
    module, ran = lowered(AUXILIARY), []
    module.get_submodule("aux.conv").register_forward_hook(lambda *_: ran.append(1))
    module.eval()(image())
    assert ran == []
    module.train()(image())
    assert ran == [1]


def test_two_declared_outputs_are_a_dict_in_order() -> None:
    text = RESIDUAL.replace("outputs: [logits]", "outputs: [logits, c1]")
    assert list(lowered(text)(image())) == ["logits", "c1"]


def test_an_input_can_be_an_output() -> None:
    text = "cnnspec: 1\nname: 2-b.c\ninput: {image: [N, 3, 8, 8]}\nnet: {y: image -> relu}\noutputs: [image, y]\n"
    x = image(1, 3, 8, 8)
    found = lowered(text)(x)
    assert found["image"] is x
    assert torch.equal(found["y"], x.relu())


def test_arguments_are_the_inputs_in_declared_order() -> None:
    text = """
cnnspec: 1
name: two
input: {type_: [N, 3, 8, 8], input: [N, 3], x: [N, 3, 8, 8]}
net: {y: "add(x, scale(type_, input))"}
outputs: [y]
"""
    module = lowered(text)
    assert list(inspect.signature(module.forward).parameters) == ["type_", "input", "x"]
    a, gate, x = image(2, 3, 8, 8), image(2, 3), image(2, 3, 8, 8, seed=1)
    expected = x + a * gate[:, :, None, None]
    assert_close(module(a, gate, x), expected)
    assert_close(module(x=x, input=gate, type_=a), expected)


def test_values_are_freed_after_their_last_use() -> None:
    module = lowered(RESIDUAL)
    assert isinstance(module, fx.GraphModule)
    assert "stem_relu6 = _stem.relu6(stem_conv);  stem_conv = None" in module.code
    assert module.code.count("= None") >= 20


def test_scopes_are_looked_up_once_under_names_of_their_own() -> None:
    text = """
cnnspec: 1
name: scopes
input: {_a_b: [N, 3, 8, 8]}
blocks: {b: x -> relu -> tanh, b_b: x -> relu -> sigmoid}
net:
  a:   _a_b -> b -> b_b
  a_b: a -> b -> relu
outputs: [a_b]
"""
    module, x = lowered(text), image(1, 3, 8, 8)
    assert isinstance(module, fx.GraphModule)
    assert torch.equal(module(x), x.relu().tanh().relu().sigmoid().relu().tanh().relu())
    assert [line.strip() for line in module.code.splitlines() if "= self." in line] == [
        "_a = self.a",
        "_a_b__ = self.a_b",
    ]


@both
def test_state_dict_round_trip(text: str) -> None:
    first, second = lowered(text).eval(), lowered(text, seed=1).eval()
    assert not close(first(image()), second(image()))
    second.load_state_dict(first.state_dict())
    assert close(first(image()), second(image()))


@both
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))])
def test_copies(text: str, copied: Any) -> None:
    module = lowered(text)
    clone = copied(module)
    assert list(clone.state_dict()) == list(module.state_dict())
    assert close(module.eval()(image()), clone.eval()(image()))
    with torch.no_grad():
        for parameter in clone.train().parameters():
            parameter.zero_()
    assert not close(module(image()), clone.eval()(image()))
    assert all(not y.any() for y in tensors(clone(image())))  # both graphs run on the clone's own weights
    assert all(not y.any() for y in tensors(clone.train()(image())))


@both
def test_double_precision(text: str) -> None:
    module = lowered(text).double()
    assert {y.dtype for y in tensors(module(image().double()))} == {torch.float64}


@both
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_cuda(text: str) -> None:
    module = lowered(text).eval()
    expected = module(image())
    found = module.to("cuda")(image().cuda())
    for ours, theirs in zip(tensors(found), tensors(expected), strict=True):
        assert_close(ours.cpu(), theirs, rtol=1e-3, atol=1e-3)


@both
def test_a_replaced_submodule_is_used(text: str) -> None:
    """Transfer learning: another last layer."""
    module = lowered(text)
    module.get_submodule("logits").add_module("dense", nn.Linear(8, 3))
    for mode in (True, False):
        assert next(tensors(module.train(mode)(image()))).shape == (2, 3)


@both
def test_training_lowers_the_loss(text: str) -> None:
    torch.manual_seed(0)
    module = lowered(text).train()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.05, momentum=0.9)
    x, labels, losses = image(8, 3, 16, 16), torch.arange(8) % 5, []
    for _ in range(20):
        loss = torch.stack([nn.functional.cross_entropy(y, labels) for y in tensors(module(x))]).sum()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_a_deep_chain() -> None:
    text = "cnnspec: 1\nname: deep\ninput: {x: [N, 2]}\nnet: {y: x -> 3 * (1000 * relu)}\noutputs: [y]\n"
    module = pickle.loads(pickle.dumps(copy.deepcopy(lowered(text))))
    assert len(list(module.named_modules())) == 3002
    assert torch.equal(module(torch.ones(1, 2)), torch.ones(1, 2))


def tensors(result: Tensor | dict[str, Tensor]) -> Any:
    return iter(result.values() if isinstance(result, dict) else [result])


def close(a: Tensor | dict[str, Tensor], b: Tensor | dict[str, Tensor]) -> bool:
    return all(torch.allclose(x, y) for x, y in zip(tensors(a), tensors(b), strict=True))
