"""Half and mixed precision: every operator keeps what torch keeps, on inputs and behind a trained layer."""

from __future__ import annotations

from types import MappingProxyType

import pytest
import torch
from torch import Tensor

import cnnspec
import test_memory_torch as memory
from cnnspec.cost import concrete
from cnnspec.diagnostics import UsageError
from cnnspec.front import compile_text
from cnnspec.graph import Graph, Node, Output
from cnnspec.liveness import flow
from cnnspec.memory import memory_of
from cnnspec.ops.conv import Conv
from cnnspec.ops.dense import Dense
from cnnspec.ops.source import Input
from cnnspec_torch.memory import TorchMemory
from door import run
from samples import IDS, SAMPLES, Sample

MISSING = "avg_pool3d_out_frame"
"""Torch averages volumes, and so the squares of LRN, in no half precision on the CPU."""


def behind(sample: Sample, trained: bool) -> Graph:
    """The operator on the inputs themselves, or on what a trained layer made of each."""
    names = [f"in{number}" for number in range(len(sample.inputs))]
    nodes = {name: Node(name, Input(), (), type) for name, type in zip(names, sample.inputs, strict=True)}
    sources = list(names)
    for place, (name, type) in enumerate(zip(names, sample.inputs, strict=True)):
        if trained:
            op = Dense(features=type.channels) if type.rank == 2 else Conv(filters=type.channels, kernel=1)
            sources[place] = f"{name}p.layer"
            nodes[sources[place]] = Node(sources[place], op, (name,), type)
    nodes["y.step"] = Node("y.step", sample.op, tuple(sources), sample.output)
    typical = {symbol: 3 for type in sample.inputs for symbol in type.symbols if symbol != "N"}
    outputs = (Output("y", "y.step"),)
    return Graph(sample.id, "", MappingProxyType(nodes), tuple(names), outputs, typical, {})


def saved(graph: Graph, *, dtype: str = "float32", amp: str | None = None) -> int:
    found = memory_of(graph, batch=memory.BATCH, dtype=dtype, amp=amp, backend=TorchMemory()).with_backend
    assert found is not None
    return found.training_saved


@pytest.mark.parametrize("trained", [False, True], ids=["inputs", "trained"])
@pytest.mark.parametrize("sample", SAMPLES, ids=IDS)
def test_mixed(sample: Sample, trained: bool) -> None:
    graph = behind(sample, trained)
    kept = memory.kept(graph, graph.lower("torch"), torch.bfloat16)
    assert saved(graph, amp="bfloat16") == sum(kept)


@pytest.mark.parametrize("trained", [False, True], ids=["inputs", "trained"])
@pytest.mark.parametrize("sample", SAMPLES, ids=IDS)
def test_half(sample: Sample, trained: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def halved(graph: Graph) -> list[Tensor]:
        return [x.bfloat16() for x in inputs_of(graph)]

    inputs_of = memory.inputs_of
    monkeypatch.setattr(memory, "inputs_of", halved)
    graph = behind(sample, trained)
    try:
        kept = memory.kept(graph, graph.lower("torch").bfloat16())
    except NotImplementedError as error:
        pytest.skip(str(error)) if MISSING in str(error) else pytest.fail(str(error))
    assert saved(graph, dtype="bfloat16") == sum(kept)


def test_by_hand() -> None:
    """A convolution, a batch norm, an activation: casts of the image and the kernel. docs/memory.md has the same."""
    net = "net:\n  y: image -> conv(2, 3) -> batchnorm -> tanh\noutputs: [y]\n"
    text = f"cnnspec: 1\nname: g\ninput: {{image: [N, 2, 4, 4]}}\n{net}"
    graph = compile_text(text)
    found = memory_of(graph, amp="bfloat16").live
    image, kernel, maps = (2 * numbers for numbers in (2 * 16, 2 * 2 * 9, 2 * 16))
    assert found.training_saved == image + kernel + maps + maps  # the operand of the norm, the result of tanh
    assert found.weights == memory_of(graph).live.weights
    types = {path: concrete(node, graph.sizes()) for path, node in graph.nodes.items()}
    widths = flow(graph, types, 4, training=True, mixed=True).widths
    assert widths == {"image": 4, "y.conv": 2, "y.batchnorm": 2, "y.tanh": 2}


def test_options(capsys: pytest.CaptureFixture[str]) -> None:
    whole = cnnspec.compile("mobilenet-v2").memory(batch=8)
    mixed = cnnspec.compile("mobilenet-v2").memory(batch=8, amp="float16")
    assert mixed.live.weights == whole.live.weights
    assert mixed.live.training_peak < whole.live.training_peak
    asked = ("summarize", "mobilenet-v2", "--batch", "8", "--amp", "float16")
    data = run(capsys, *asked, "--json").document["data"]["memory"]
    assert (data["amp"], data["live"]["training_peak"]) == ("float16", mixed.live.training_peak)
    assert "training peak" in run(capsys, *asked).out
    with pytest.raises(UsageError, match=r"mixed precision is of float32 .* got float32 with int8"):
        cnnspec.compile("lenet5").memory(amp="int8")
    answer = run(capsys, "summarize", "lenet5", "--amp", "bfloat16", "--dtype", "float64")
    assert (answer.code, answer.err.splitlines()[1]) == (2, "  help: leave out --dtype")
