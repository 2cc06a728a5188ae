"""Cost as expressions: at any sizes they give what the cost there is. Where windows stand, by hand and by torch."""

from __future__ import annotations

import random

import pytest
import torch

import cnnspec
from cnnspec.cost import cost_of
from cnnspec.front import compile_text
from cnnspec.graph import Graph
from cnnspec.polynomial import Polynomial
from cnnspec.tensor import Dim
from cnnspec.zoo import names
from door import run


def graph(*net: str, image: str = "N, 2, 4*h, 4*w") -> Graph:
    lines = "\n".join(f"  {line}" for line in net)
    return compile_text(f"cnnspec: 1\nname: g\ninput: {{image: [{image}]}}\nnet:\n{lines}\noutputs: [y]\n")


def test_polynomials() -> None:
    n, h = Polynomial.of(Dim(1, "N")), Polynomial.of(Dim(4, "h", -3))
    assert str(n * h * h + 2) == "16*N*h^2 - 24*N*h + 9*N + 2"
    assert str(h * 0) == "0"
    assert str(Polynomial.of(Dim(-1, "h", 1)) + 0) == "-h + 1"
    assert (n * h * h + 2).at({"N": 3, "h": 2}) == 77
    assert str((n * h * 8) // 4) == "8*N*h - 6*N"


@pytest.mark.parametrize("name", names())
def test_expressions_are_the_cost_at_every_size(name: str) -> None:
    given = cnnspec.compile(name)
    found, drawn = given.symbolic(), random.Random(name)
    assert found.least == {symbol: given.bounds.get(symbol, 1) for symbol in given.symbols}
    for _ in range(20):
        values = {symbol: least + drawn.randrange(5) for symbol, least in found.least.items()}
        batch = values.pop(given.batch, 1)
        cost = cost_of(given, batch=batch, symbols=values)
        at = cost.symbols
        assert (found.params, found.macs.at(at)) == (cost.params.total, cost.macs)
        assert 4 * found.activations.at(at) == cost.activations_bytes
        due = [(row.path, row.params, row.macs, row.activation_bytes) for row in cost.rows]
        assert due == [(row.path, row.params, row.macs.at(at), 4 * row.elements.at(at)) for row in found.rows]


def test_the_smallest_input() -> None:
    assert cnnspec.compile("resnet152").symbolic().inputs == {"image": (1, 3, 32, 32)}
    assert graph("y: image -> maxpool(9, 4)").symbolic().inputs == {"image": (1, 2, 12, 12)}


def placed(given: Graph, h: int = 3, w: int = 3) -> tuple[tuple[float, ...], tuple[float, ...], tuple[int, ...]]:
    row = cost_of(given, symbols={name: at for name, at in (("h", h), ("w", w)) if name in given.symbols}).rows[-1]
    return row.stride, row.centre, row.receptive_field


def test_by_hand() -> None:
    assert placed(graph("y: image -> conv(2, 3)")) == ((1, 1), (0, 0), (3, 3))
    assert placed(graph("y: image -> conv(2, 7, 2) -> maxpool(3, 2, padding=1)")) == ((4, 4), (0, 0), (11, 11))
    assert placed(graph("y: image -> maxpool(2)")) == ((2, 2), (0.5, 0.5), (2, 2))
    assert placed(graph("y: image -> conv(2, 3, padding=valid) -> conv(2, 3, padding=valid)")) == (
        (1, 1),
        (2, 2),
        (5, 5),
    )
    assert placed(graph("y: image -> pad(2)")) == ((1, 1), (-2, -2), (1, 1))
    assert placed(graph("y: image -> maxpool(4) -> upsample(2)")) == ((2, 2), (0.5, 0.5), (4, 4))
    assert placed(graph("y: image -> global_avgpool"), h=2, w=3) == ((8, 12), (3.5, 5.5), (8, 12))


@pytest.mark.parametrize(
    ("net", "image", "apart"),
    [
        ("image -> conv(1, 3, 2) -> conv(1, 5, padding=valid, dilation=2) -> avgpool(2)", "N, 1, 64, 64", 0.5),
        ("image -> conv(1, [3, 5], [1, 2], padding=same) -> avgpool(3, 2, padding=1)", "N, 1, 40, 40", 0.5),
        ("image -> conv(1, 3) -> transposed_conv(1, 4, 2, padding=1)", "N, 1, 24, 24", 0.5),
        ("image -> avgpool(4) -> transposed_conv(1, 3, 3)", "N, 1, 48, 48", 2),
        ("image -> pad([[1, 0], [2, 3]]) -> conv(1, 3, 2, padding=valid) -> pixel_shuffle(1)", "N, 1, 24, 24", 0.5),
    ],
)
def test_what_torch_sees(net: str, image: str, apart: float) -> None:
    """The pixels with a gradient lie around centre + stride * position, and are as many as are seen.

    Middles may be half a step of the operand `apart`: weights of a transposed convolution meet outputs in turn.
    """
    given = graph(f"y: {net}", image=image)
    network = given.lower("torch", seed=1).double()
    for parameter in network.parameters():
        torch.nn.init.ones_(parameter)
    x = torch.zeros(given.at().nodes["image"].type.concrete, dtype=torch.double, requires_grad=True)
    y = network(x)
    stride, centre, seen = placed(given)
    at = [size // 2 - size // 2 % 2 for size in y.shape[2:]]
    y[0, 0, at[0], at[1]].backward()
    assert x.grad is not None
    for axis, (place, step, middle, size) in enumerate(zip(at, stride, centre, seen, strict=True)):
        touched = x.grad[0, 0].abs().sum(1 - axis).nonzero().flatten().tolist()
        assert touched[-1] - touched[0] + 1 <= size
        assert abs((touched[0] + touched[-1]) / 2 - (middle + step * place)) <= apart


def test_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    answer = run(capsys, "summarize", "squeezenet1-1", "--symbolic")
    lines = answer.out.splitlines()
    row = next(line.split() for line in lines if line.startswith("conv1.conv "))
    shape, expression = "[N, 64, 8*h - 1, 8*w - 1]", "4096*N*h*w - 512*N*h - 512*N*w + 64*N"
    assert row[:2] == ["conv1.conv", "conv"]
    assert " ".join(row[2:]) == f"{shape} 1,792 110592*N*h*w - 13824*N*h - 13824*N*w + 1728*N {expression}"
    assert "smallest input  image 1x3x32x32, at N=1, h=2, w=2" in lines
    data = run(capsys, "summarize", "squeezenet1-1", "--json").document["data"]["symbolic"]
    found = cnnspec.compile("squeezenet1-1").symbolic()
    assert data["macs"] == str(found.macs)
    assert data["nodes"]["conv1.conv"]["elements"] == expression
    assert run(capsys, "summarize", "lenet5", "--symbolic", "--csv").code == 2
