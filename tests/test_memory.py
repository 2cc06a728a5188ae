"""Memory by hand: what a page of arithmetic gives, the compiler gives."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import cnnspec
from cnnspec.backend import memory_table
from cnnspec.diagnostics import UsageError
from cnnspec.front import compile_text
from cnnspec.graph import Graph
from cnnspec.memory import Figures, memory_of
from door import run


def graph(*net: str, outputs: str = "y", image: str = "N, 2, 4, 4") -> Graph:
    lines = "\n".join(f"  {line}" for line in net)
    return compile_text(f"cnnspec: 1\nname: g\ninput: {{image: [{image}]}}\nnet:\n{lines}\noutputs: [{outputs}]\n")


def live(given: Graph, batch: int = 1, optimizer: str = "sgd") -> Figures:
    return memory_of(given, batch=batch, optimizer=optimizer).live


def peak(given: Graph) -> tuple[int, str]:
    figures = live(given)
    return figures.inference_peak, figures.inference_peak_node


def test_the_worked_example() -> None:
    given = graph("y: image -> conv(200, 5)", image="N, 3, 150, 100")
    cost = given.cost()
    assert (cost.params.total, cost.macs) == (15_200, 225_000_000)
    assert live(given).inference_peak == 12_000_000
    assert live(given, batch=100).inference_peak == 1_200_000_000
    assert live(given).weights == 15_200 * 4


MAP = 2 * 4 * 4 * 4
"""Bytes of a map of two channels of 4 x 4."""


def test_two_layers_are_what_inference_needs() -> None:
    net = ["a: image -> conv(2, 3) -> conv(6, 3) -> conv(2, 3)", "y: a -> tanh"]
    assert peak(graph(*net)) == (4 * MAP, "a.conv_2")  # 2 + 6 channels


def test_in_place_and_views_take_nothing() -> None:
    assert peak(graph("y: image -> conv(2, 3) -> relu")) == (MAP, "y.conv")
    assert peak(graph("y: image -> conv(2, 3) -> tanh")) == (2 * MAP, "y.tanh")
    assert peak(graph("y: image -> conv(2, 3) -> identity -> dropout")) == (MAP, "y.conv")
    assert peak(graph("y: image -> identity"))[0] == 0  # the caller's own


def test_what_a_skip_holds_stays() -> None:
    net = ["a: image -> conv(2, 3)", "b: a -> tanh -> conv(2, 3) -> tanh", "y: add(a, b)"]
    assert peak(graph(*net)) == (3 * MAP, "b.conv")
    assert peak(graph(*net, outputs="a, y")) == (3 * MAP, "b.conv")
    assert peak(graph(*net, "c: a -> tanh", outputs="a, y, c")) == (3 * MAP, "b.conv")


def test_a_permuted_view_is_copied_to_lie_in_order() -> None:
    assert peak(graph("y: image -> conv(2, 3) -> permute([0, 2, 3, 1])"))[0] == MAP
    assert peak(graph("y: image -> conv(2, 3) -> flatten"))[0] == MAP
    assert peak(graph("y: image -> conv(2, 3) -> permute([0, 2, 3, 1]) -> flatten"))[0] == 2 * MAP


def test_a_training_step() -> None:
    """docs/memory.md has the same by hand."""
    given = graph("y: image -> conv(2, 3) -> tanh -> global_avgpool -> dense(3)")
    figures = live(given)
    weights = (2 * 2 * 9 + 2 + 3 * 2 + 3) * 4
    pooled, logits = 2 * 4, 3 * 4
    assert (figures.weights, figures.gradients, figures.optimizer) == (weights, weights, 0)
    assert figures.training_saved == MAP + pooled  # the result of tanh, the operand of the dense layer
    dense = (3 * 2 + 3) * 4
    # the gradients of the dense layer, of tanh's result, of its operand, and what tanh kept
    assert figures.training_peak == weights + dense + 3 * MAP
    assert figures.training_peak_at == "backward of y.tanh"
    assert logits < MAP


def test_the_optimizer_keeps_its_own() -> None:
    given = graph("y: image -> conv(2, 3) -> tanh")
    sgd, momentum, adam = (live(given, optimizer=name) for name in ("sgd", "momentum", "adam"))
    assert (sgd.optimizer, momentum.optimizer, adam.optimizer) == (0, 38 * 4, 2 * 38 * 4)
    assert adam.training_peak - momentum.training_peak == momentum.training_peak - sgd.training_peak == 38 * 4


def test_a_step_of_the_optimizer_can_be_the_peak() -> None:
    given = graph("y: image -> dense(1000, bias=false)", image="N, 50")
    figures = live(given)
    assert (figures.training_peak, figures.training_peak_at) == (2 * 50_000 * 4 + 4000, "backward of y.dense")
    wide = memory_of(given, optimizer="adam", backend=memory_table("torch")).with_backend
    assert wide is not None
    assert (wide.training_peak, wide.training_peak_at) == (6 * 50_000 * 4 + 4, "step")


def test_the_gradient_of_a_sum_is_that_of_its_operands() -> None:
    given = graph("a: image -> conv(2, 3)", "b: a -> tanh", "y: add(a, b) -> global_avgpool")
    figures = live(given)
    # forward: a, what tanh keeps, the sum. backward: what tanh kept, the sum's gradient, which is also the one of a
    # so far, and the share of a that tanh passes on
    assert figures.training_peak == 38 * 4 + 3 * MAP


def test_nothing_trained_keeps_nothing() -> None:
    figures = live(graph("y: image -> tanh -> sigmoid"))
    assert (figures.training_saved, figures.gradients) == (0, 0)


def test_dtype_and_batch_scale() -> None:
    given = graph("y: image -> conv(2, 3) -> tanh")
    assert live(given, batch=8).inference_peak == 8 * live(given).inference_peak
    assert memory_of(given, dtype="bfloat16").live.inference_peak * 2 == live(given).inference_peak
    with pytest.raises(UsageError, match="unknown optimizer 'adan'"):
        memory_of(given, optimizer="adan")


def test_from_python_and_json(capsys: pytest.CaptureFixture[str]) -> None:
    figures = cnnspec.compile("resnet18").memory(batch=8).live
    answer = run(capsys, "summarize", "resnet18", "--batch", "8", "--json")
    assert (
        answer.document["data"]["memory"]["live"]["inference_peak"] == figures.inference_peak == 2 * 8 * 64 * 112**2 * 4
    )


def test_no_torch_is_needed() -> None:
    code = "import sys, json, cnnspec; m = cnnspec.compile('lenet5').memory(); "
    code += "print(json.dumps([m.with_backend.inference_peak > m.live.inference_peak, 'torch' in sys.modules]))"
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert json.loads(printed) == [True, False]
