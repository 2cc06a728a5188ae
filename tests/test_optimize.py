"""Passes that optimize keep every result, in one network and over the zoo; what they must leave, they leave."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import cnnspec
from cnnspec import zoo
from cnnspec.front import compile_text
from cnnspec.graph import Graph
from cnnspec.optimizing import OPTIMIZING, optimize
from cnnspec_onnx.verify import _feeds, _sizes, unsettle, verify
from test_onnx_zoo import HEAVY

CLOSE = 1e-5

HEAD = "cnnspec: 1\nname: small\ninput: {image: [N, 4, 2*h, 2*w]}\n"
BODIES = {
    "conv": "conv(6, 3) -> batchnorm",
    "conv-bare": "conv(6, 3, bias=false) -> batchnorm(0.01)",
    "conv-groups": "conv(6, 3, groups=2) -> batchnorm",
    "conv-twice": "conv(6, 3) -> batchnorm -> channel_affine -> batchnorm",
    "conv-affine": "conv(6, 3) -> channel_affine(bias=false)",
    "conv-normalize": "conv(6, 3) -> normalize(0.3, 0.2)",
    "conv-table": "conv(3, 3, table=[[0, 3], [2], [1, 2, 3]]) -> batchnorm",
    "depthwise": "depthwise(3, 1, 2) -> batchnorm",
    "transposed": "transposed_conv(6, 3, 2) -> batchnorm",
    "transposed-groups": "transposed_conv(6, 3, 2, groups=2, bias=false) -> batchnorm",
    "dense": "global_avgpool -> dense(5) -> batchnorm",
    "ahead": "normalize([1, 2, 3, 4], [0.1, 0.2, 0.3, 0.4]) -> conv(6, 3, padding=valid)",
    "ahead-groups": "batchnorm -> conv(6, 3, padding=valid, groups=2, bias=false)",
    "ahead-depthwise": "channel_affine -> depthwise(2, padding=valid)",
    "ahead-dense": "global_avgpool -> batchnorm -> dense(3)",
    "pad": "pad([[0, 1], [2, 0]]) -> conv(6, 3, 2, padding=valid)",
    "pad-twice": "pad(1) -> pad(2) -> depthwise(3)",
    "pad-value": "pad(1, 7) -> pad([1, 0], 7) -> relu",
    "drop": "dropout(0.5) -> identity -> stochastic_depth(0.1) -> relu",
    "flatten": "global_avgpool -> flatten -> flatten -> dense(3)",
}
NODES = {
    "conv-normalize": 1,
    "conv-twice": 1,
    "conv-affine": 1,
    "ahead-dense": 2,
    "dense": 2,
    "pad-value": 2,
    "flatten": 2,
}
KEPT = {
    "read elsewhere": "net:\n  a: image -> conv(4, 3)\n  b: a -> batchnorm\n  y: add(a, b)\noutputs: [y]\n",
    "an output": "net:\n  a: image -> conv(4, 3)\n  y: a -> batchnorm\noutputs: [a, y]\n",
    "given weights": "net:\n  y: image -> conv(1, 1, weights=[[[2]]], bias=false) -> batchnorm\noutputs: [y]\n",
    "ahead of padding": "net:\n  y: image -> batchnorm -> conv(4, 3)\noutputs: [y]\n",
    "a value that is no zero": "net:\n  y: image -> pad(1, 2) -> conv(4, 3, padding=valid)\noutputs: [y]\n",
    "two values": "net:\n  y: image -> pad(1, 2) -> pad(1, 3) -> relu\noutputs: [y]\n",
    "a pool": "net:\n  y: image -> pad(1) -> maxpool(2)\noutputs: [y]\n",
    "an input": "net:\n  y: image -> dropout(0.5)\noutputs: [y]\n",
}


def difference(graph: Graph) -> tuple[Graph, float]:
    """The optimized graph, and how far its module is from the graph's own, over the largest value of an output."""
    graph = graph.inference()
    module: torch.nn.Module = graph.lower("torch")
    feeds = _feeds(graph, _sizes(graph)[-1])
    unsettle(module, feeds)
    smaller, tensors = optimize(graph, module.state_dict())
    other: torch.nn.Module = smaller.lower("torch").eval()
    other.load_state_dict(dict(tensors))
    with torch.no_grad():
        due, found = module(*feeds.values()), other(*feeds.values())
    pairs = [(due, found)] if isinstance(due, torch.Tensor) else [(due[name], found[name]) for name in due]
    return smaller, max(float((a - b).abs().max() / a.abs().max()) for a, b in pairs)


@pytest.mark.parametrize("name", BODIES)
def test_a_result_is_kept_by_less(name: str) -> None:
    graph = compile_text(f"{HEAD}net:\n  y: image -> {BODIES[name]}\noutputs: [y]\n")
    smaller, found = difference(graph)
    assert found <= CLOSE
    assert len(smaller.nodes) - len(graph.inputs) == NODES.get(name, 1)


@pytest.mark.parametrize("name", KEPT)
def test_what_must_stay_stays(name: str) -> None:
    graph = compile_text(HEAD + KEPT[name])
    smaller, tensors = optimize(graph, graph.lower("torch").state_dict())
    assert list(smaller.nodes) == list(graph.nodes)
    assert {node.op for node in smaller.nodes.values()} == {node.op for node in graph.nodes.values()}
    assert tensors.keys() == graph.lower("torch").state_dict().keys()


@pytest.mark.parametrize("spec", [pytest.param(s, marks=[pytest.mark.long] if s in HEAVY else []) for s in zoo.names()])
def test_a_shipped_network_keeps_its_results(spec: str) -> None:
    graph = cnnspec.compile(spec)
    smaller, found = difference(graph)
    assert found <= CLOSE
    assert len(smaller.nodes) <= len(graph.nodes)
    assert not {"dropout", "stochastic_depth", "identity"} & {node.op.op for node in smaller.nodes.values()}


@pytest.mark.parametrize("name", BODIES)
def test_numpy_arrays_do_as_well(name: str) -> None:
    graph = compile_text(f"{HEAD}net:\n  y: image -> {BODIES[name]}\noutputs: [y]\n")
    state = graph.lower("torch").state_dict()
    _, due = optimize(graph, state)
    _, found = optimize(graph, {key: value.numpy() for key, value in state.items()})
    assert found.keys() == due.keys()
    for key, value in due.items():
        assert np.allclose(found[key], value.numpy(), atol=1e-6), key


@pytest.mark.parametrize("spec", ["resnet18", "densenet121", "mobilenet-v2", "lenet5-1998"])
def test_the_graph_alone_has_the_same_form(spec: str) -> None:
    graph = cnnspec.compile(spec)
    assert optimize(graph, {}) == (optimize(graph, graph.lower("torch").state_dict())[0], {})


def test_every_pass_is_there_for_something() -> None:
    """Without it some network above would stay larger."""
    graphs = [compile_text(f"{HEAD}net:\n  y: image -> {body}\noutputs: [y]\n") for body in BODIES.values()]
    for step in OPTIMIZING:
        assert any(step(graph, {})[0] != graph for graph in graphs), step.__name__


def test_an_optimized_model_is_verified_against_the_graph_as_it_was() -> None:
    plain, smaller = (verify(cnnspec.compile("resnet18"), 18, optimized=choice) for choice in (False, True))
    assert (plain.shapes, smaller.shapes) == (68, 48)
