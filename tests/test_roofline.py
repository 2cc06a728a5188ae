"""The least time on a device by hand, the bounds of batches, and what `summarize --device NAME` says of both."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import cnnspec
from cnnspec.commands.common import seconds_text
from cnnspec.devices import DEVICES, Device
from cnnspec.diagnostics import UsageError
from cnnspec.front import compile_text
from cnnspec.limits import DIMENSION
from cnnspec.roofline import fit, roofline
from door import run

Capture = pytest.CaptureFixture[str]
HAND = Device("hand", 1000.0, 4000.0, 8000.0, None, 100.0, 10_000, "made up")
SPEC = """\
cnnspec: 1
name: hand
input: {image: [N, 3, 4, 4]}
net:
  wide:   image -> conv(8, 3, bias=false) -> relu -> dropout(0.5)
  logits: wide -> flatten -> dense(2, bias=false)
outputs: [logits]
"""
CONV, RELU, DENSE = "wide.conv", "wide.relu", "logits.dense"
BYTES = {CONV: 4 * (48 + 216 + 128), RELU: 4 * 256, DENSE: 4 * (128 + 256 + 2)}
MACS = {CONV: 16 * 216, DENSE: 256}


@pytest.mark.parametrize(
    ("dtype", "convolution", "dense", "part"), [("float32", 4000, 1000, 1), ("float16", 8000, 8000, 2)]
)
def test_each_node_by_hand(dtype: str, convolution: int, dense: int, part: int) -> None:
    graph = compile_text(SPEC)
    line = roofline(graph, graph.cost(dtype=dtype), HAND)
    due = {
        CONV: max(2 * MACS[CONV] / convolution, BYTES[CONV] / part / 100),
        RELU: BYTES[RELU] / part / 100,
        DENSE: max(2 * MACS[DENSE] / dense, BYTES[DENSE] / part / 100),
    }
    assert {row.path: row.seconds for row in line.cost.rows if row.seconds} == pytest.approx(due)
    assert line.seconds == pytest.approx(sum(due.values()))
    assert line.by_arithmetic == 0
    slow = replace(HAND, tf32=40.0, float32=1e9)
    bound = roofline(graph, graph.cost(), slow)
    assert bound.by_arithmetic == pytest.approx(2 * MACS[CONV] / 40)


def test_of_what_is_resized_like_another_the_sizes_alone_are_read() -> None:
    text = SPEC.replace("  logits:", "  small: image -> maxpool(2)\n  large: resize(small, image)\n  logits:")
    graph = compile_text(text.replace("[logits]", "[logits, large]"))
    (row,) = (row for row in roofline(graph, graph.cost(), HAND).cost.rows if row.op == "resize")
    assert row.seconds == pytest.approx(max(4 * (12 + 48) / 100, row.other / 1000))


@pytest.mark.parametrize("name", ["resnet18", "mobilenet-v2"])
def test_without_other_limits_it_is_torchs_count_of_operations(name: str) -> None:
    """At one operation a second, no other arithmetic and a memory without end."""
    graph = cnnspec.compile(name)
    cost = graph.cost()
    plain = replace(cost, rows=tuple(replace(row, other=0) for row in cost.rows))
    endless = replace(HAND, float32=1.0, tf32=None, bandwidth=1e30)
    network = graph.lower("torch").eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.randn(1, 3, 224, 224))
    assert roofline(graph, plain, endless).seconds == pytest.approx(counter.get_total_flops())


@pytest.mark.parametrize("name", ["lenet5", "resnet18", "yolov3"])
@pytest.mark.parametrize("optimizer", ["momentum", "adam"])
def test_one_image_more_does_not_fit(name: str, optimizer: str) -> None:
    graph = cnnspec.compile(name)
    gpu = DEVICES["t4"]
    image = graph.cost().rows[0].activation_bytes
    found = fit(graph, gpu, optimizer=optimizer)
    for batch, mode in ((found.inference, "inference"), (found.training, "training")):
        needed = []
        for images in (batch, batch + 1):
            live = graph.memory(batch=images, optimizer=optimizer).live
            peak = live.weights + live.inference_peak if mode == "inference" else live.training_peak
            needed.append(images * image + peak)
        assert needed[0] <= gpu.memory < needed[1]


def test_an_operand_that_is_read_twice_moves_once() -> None:
    graph = compile_text(SPEC.replace("  logits: wide", "  both: add(wide, wide)\n  logits: both"))
    (row,) = (row for row in roofline(graph, graph.cost(), HAND).cost.rows if row.op == "add")
    assert row.seconds == pytest.approx(BYTES[RELU] / 100)


def test_wrong_arguments_are_told_and_a_dimension_has_its_most() -> None:
    graph = compile_text("cnnspec: 1\nname: v\ninput: {v: [N, 4]}\nnet: {y: v -> dense(2)}\noutputs: [y]\n")
    with pytest.raises(UsageError, match="unknown optimizer 'foo'"):
        fit(graph, HAND, optimizer="foo")
    assert fit(graph, DEVICES["h200"]).inference == DIMENSION


def test_not_even_one_image() -> None:
    tiny = replace(HAND, memory=2000)
    found = fit(compile_text(SPEC), tiny)
    assert (found.inference, found.training) == (0, 0)


def test_the_table_says_where_it_is_from_and_halves_are_quicker() -> None:
    for name, device in DEVICES.items():
        assert (device.name, device.source.partition(" ")[0]) == (name, "NVIDIA")
        assert device.float32 <= (device.tf32 or device.float32) < device.float16
        assert device.bfloat16 in (None, device.float16)


@pytest.mark.parametrize("dtype", ["bfloat16", "float64"])
def test_what_a_device_does_not_compute_is_refused(dtype: str) -> None:
    graph = compile_text(SPEC)
    with pytest.raises(UsageError, match=f"t4 has no peak of {dtype} here"):
        roofline(graph, graph.cost(dtype=dtype), DEVICES["t4"])


def test_the_column_and_the_lines_below(capsys: Capture) -> None:
    shown = run(capsys, "summarize", "lenet5", "--device", "T4", "--batch", "8", "--columns", "path,time")
    graph = cnnspec.compile("lenet5")
    line, most = roofline(graph, graph.cost(batch=8), DEVICES["t4"]), fit(graph, DEVICES["t4"])
    lines = shown.out.splitlines()
    assert lines[2].split() == ["node", "time"]
    rows = [row for row in line.cost.rows if row.seconds]
    said = dict(text.split(maxsplit=1) for text in lines[3 : 3 + len(line.cost.rows)])
    assert said[rows[0].path] == seconds_text(rows[0].seconds or 0)
    assert sum(text != "-" for text in said.values()) == len(rows)
    assert lines[-2].startswith(f"least time        {seconds_text(line.seconds)} on t4: ")
    assert lines[-1] == (
        f"largest batch     {most.inference:,} in inference, {most.training:,} in training with momentum, in 16 GB"
    )


def test_the_document(capsys: Capture) -> None:
    data = run(capsys, "summarize", "lenet5", "--device", "h100", "--json").document["data"]
    found = data["roofline"]
    assert found["device"]["name"] == "h100"
    assert found["seconds"] == pytest.approx(sum(node["seconds"] for node in data["nodes"]))
    assert found["fits"]["training"] < found["fits"]["inference"]
    assert data["memory"]["machine"]["device"] == "cuda"
    plain = run(capsys, "summarize", "lenet5", "--json").document["data"]
    assert "roofline" not in plain
    assert {node["seconds"] for node in plain["nodes"]} == {None}


def test_two_beside_each_other(capsys: Capture) -> None:
    args = ("summarize", "resnet18", "--compare", "resnet34")
    times = [roofline(graph, graph.cost(), DEVICES["l4"]) for graph in map(cnnspec.compile, args[1::2])]
    (row,) = (text for text in run(capsys, *args, "--device", "l4").out.splitlines() if text.startswith("least time"))
    assert row.split()[3:5] == [f"{round(1e9 * line.seconds):,}" for line in times]
    assert "least time" not in run(capsys, *args).out


@pytest.mark.parametrize("option", [("--columns", "path,time"), ("--sort", "time")])
def test_no_time_without_a_device(capsys: Capture, option: tuple[str, str]) -> None:
    answer = run(capsys, "summarize", "lenet5", *option)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == (
        "error: the column time wants a GPU\n"
        "  help: name one: --device t4, v100, rtx3090, rtx4090, l4, a100, h100, h200\n"
    )


@pytest.mark.parametrize(
    ("number", "text"), [(1234.5, "1,234 s"), (1.5, "1.5 s"), (0.0123, "12.3 ms"), (4e-6, "4 us"), (5e-11, "0.05 ns")]
)
def test_a_time_in_words(number: float, text: str) -> None:
    assert seconds_text(number) == text
