"""Layouts on the CPU against torch: what lies channels last behind a layer norm, what a convolution takes meanwhile."""

from __future__ import annotations

from types import MappingProxyType

import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv2d
from torch.profiler import ProfilerActivity, profile

from cnnspec.graph import Graph, Node, Output
from cnnspec.liveness import Call, flow
from cnnspec.ops.conv import Conv
from cnnspec.ops.norm import LayerNorm
from cnnspec.ops.source import Input
from cnnspec.tensor import TensorType
from cnnspec.vectors import instruction_set
from cnnspec_torch.layouts import apart, last_of
from cnnspec_torch.memory import in_layout
from cnnspec_torch.onednn import BLOCKS, scratch
from samples import SAMPLES, Sample
from test_memory_torch import agrees, agrees_mixed

BLOCK = BLOCKS[instruction_set()]
MAPS = [
    sample
    for sample in SAMPLES
    if sample.inputs[0].rank > 2 and sample.output.rank > 2 and sample.inputs[0].channels > 1
]


def behind_a_layer_norm(sample: Sample) -> Graph:
    """The operator alone; its first operand comes from a layer norm."""
    names = [f"in{number}" for number in range(len(sample.inputs))]
    nodes = {name: Node(name, Input(), (), type) for name, type in zip(names, sample.inputs, strict=True)}
    nodes["norm"] = Node("norm", LayerNorm(), ("in0",), sample.inputs[0])
    nodes["y"] = Node("y", sample.op, ("norm", *names[1:]), sample.output)
    return Graph(sample.id, "", MappingProxyType(nodes), tuple(names), (Output("y", "y"),), {}, {})


@pytest.mark.parametrize("sample", MAPS, ids=lambda sample: sample.id)
def test_a_result_lies_as_torch_lays_it(sample: Sample) -> None:
    graph = behind_a_layer_norm(sample)
    types = {path: node.type for path, node in graph.nodes.items()}
    run = in_layout(flow(graph, types, 4, training=True), False, BLOCK, torch.get_num_threads())
    y = graph.lower("torch").train()(*(torch.randn(types[name].concrete) for name in graph.inputs))
    if apart(types["y"]) and sample.id not in ("pad-1d", "pixel_shuffle-one"):  # which change nothing
        assert ("y" in last_of(run, False)) == (y.movedim(1, -1).is_contiguous() and not y.is_contiguous())


STEPS = (
    *("relu", "prelu", "conv(4, 3)", "conv(4, 1)", "conv(4, 3, 2)", "depthwise(3)", "transposed_conv(3, 2, 2)"),
    *("transposed_conv(4, 1)", "maxpool(2)", "avgpool(2)", "adaptive_avgpool(2)", "batchnorm", "groupnorm(1)", "lrn"),
    *(
        "dropout(0.5)",
        "upsample(2)",
        "pad(1)",
        "normalize(0.1, 0.2)",
        "channel_affine",
        "conv(1, 1) -> relu -> conv(4, 3)",
    ),
)


@pytest.mark.parametrize("size", ["8", "6, 6", "4, 4, 4"], ids=["lines", "maps", "volumes"])
@pytest.mark.parametrize("step", STEPS)
def test_what_follows_a_layer_norm_is_copied_to_be_flattened(step: str, size: str) -> None:
    text = f"""\
cnnspec: 1
name: flat
input: {{image: [N, 3, {size}]}}
net:
  a: image -> conv(4, 3) -> layernorm -> {step}
  b: concat(a, a)
  c: add(a, a)
  y: b -> flatten -> dense(3)
  z: c -> flatten -> dense(3)
outputs: [y, z]
"""
    agrees(text)
    agrees_mixed(text)


CONVOLUTIONS = [
    *[(8, 64, 64, 28, 3, 1, 1), (2, 64, 128, 56, 3, 2, 1), (8, 20, 36, 28, 3, 1, 1), (1, 128, 256, 56, 1, 1, 1)],
    *[(8, 64, 128, 28, 1, 2, 1), (1, 64, 64, 112, 1, 1, 1), (2, 3, 64, 112, 7, 2, 1), (2, 128, 128, 56, 3, 1, 128)],
    *[(2, 96, 96, 56, 7, 1, 96), (2, 128, 128, 56, 3, 1, 32), (1, 8, 8, 40, 3, 1, 1)],
]


@pytest.mark.parametrize("last", [False, True], ids=["usual", "channels last"])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("case", CONVOLUTIONS, ids=str)
def test_what_a_convolution_takes_meanwhile(case: tuple[int, ...], threads: int, last: bool) -> None:
    """Within 5 %, and what oneDNN's kernels take inside: half a megabyte at these sizes."""
    images, maps, filters, side, kernel, stride, groups = case
    op = Conv(filters=filters, kernel=kernel, stride=stride, groups=groups)
    x_type = TensorType((images, maps, side, side))
    y_type = op.infer(x_type)
    image = maps == 3  # whose gradient nobody asks for
    call = Call(y_type, (x_type,), (x_type,), (not image,), False, True, 4, 4, (4,), last, BLOCK, threads)
    due = scratch(op, call, x_type, last)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = taken_by_torch(op, x_type, not image, torch.channels_last if last else torch.contiguous_format)
    finally:
        torch.set_num_threads(before)
    for true, told in zip(found, (due.forward, due.backward), strict=True):
        assert 0.95 * told - 20_000 <= true <= 1.05 * told + 500_000


def taken_by_torch(op: Conv, type: TensorType, needs: bool, layout: torch.memory_format) -> tuple[int, int]:
    x = torch.randn(type.concrete).contiguous(memory_format=layout).requires_grad_(needs)
    shapes = op.params(type)
    weight, bias = (torch.randn(shapes[name], requires_grad=True) for name in ("weight", "bias"))
    pads, _ = zip(*op.pads(type), strict=True)

    def work() -> Tensor:
        y = conv2d(x, weight, bias, stride=op.stride, padding=pads, groups=op.groups)
        torch.autograd.backward(y, torch.ones_like(y).contiguous(memory_format=layout))
        return y

    work()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        work()
    assert record.profiler is not None and record.profiler.kineto_results is not None
    events = sorted(record.profiler.kineto_results.events(), key=lambda event: event.start_ns())
    found = []
    for name in ("aten::convolution", "aten::convolution_backward"):
        (span,) = (event for event in events if event.name() == name)
        now = most = 0
        for event in events:
            if event.name() == "[memory]" and 0 <= event.start_ns() - span.start_ns() <= span.duration_ns():
                now += event.nbytes()
                most = max(most, now)
        found.append(most - now)
    return found[0], found[1]


@pytest.mark.parametrize(("told", "due"), [("AVX2", "AVX2"), ("avx2_vnni", "AVX2"), ("AVX512_CORE", None), ("", None)])
def test_onednn_may_be_told_to_keep_to_less(monkeypatch: pytest.MonkeyPatch, told: str, due: str | None) -> None:
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    instruction_set.cache_clear()
    widest = instruction_set()
    instruction_set.cache_clear()
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", told)
    try:
        assert instruction_set() == (due or widest)
    finally:
        instruction_set.cache_clear()
