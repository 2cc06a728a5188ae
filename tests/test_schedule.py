"""The order in which inference runs: against every order there is, and against torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

import cnnspec
from cnnspec import orders
from cnnspec.cost import concrete
from cnnspec.front import compile_text
from cnnspec.graph import Graph
from cnnspec.liveness import flow, inference
from cnnspec.orders import EXACT, Piece, Stretch, best
from cnnspec.zoo import names

DAILY = settings(deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow])
WIDE = """\
cnnspec: 1
name: wide
input: {image: [N, 4, 8, 8]}
net:
  x: image -> conv(1, 1)
  a: x -> conv(8, 1)
  b: x -> conv(16, 1) -> tanh -> conv(1, 1)
  y: concat(a, b) -> global_avgpool
outputs: [y]
"""


def topological(before: tuple[int, ...], done: int = 0) -> Iterator[list[int]]:
    """Every order in which the nodes can run."""
    if done == (1 << len(before)) - 1:
        yield []
    for node, needed in enumerate(before):
        if not done >> node & 1 and not needed & ~done:
            for rest in topological(before, done | 1 << node):
                yield [node, *rest]


def peak_of(graph: Graph, order: tuple[str, ...]) -> int:
    types = {path: concrete(node, graph.sizes()) for path, node in graph.nodes.items()}
    return inference(replace(flow(graph, types, 4, training=False), order=order)).bytes


@st.composite
def nets(draw: st.DrawFn) -> str:
    """A few convolutions, sums, views and activations over each other, as written in a random order."""
    lines = []
    count = draw(st.integers(3, 8))
    channels = {"image": 2}
    for place in range(count):
        name, known = f"v{place}", list(channels)
        source, other = (draw(st.sampled_from(known)) for _ in range(2))
        kind = draw(st.sampled_from(["conv", "conv", "conv", "relu", "tanh", "identity", "concat", "add"]))
        if kind == "concat" and source != other:
            lines.append(f"{name}: concat({source}, {other})")
            channels[name] = channels[source] + channels[other]
        elif kind == "add" and channels[source] == channels[other]:
            lines.append(f"{name}: add({source}, {other})")
            channels[name] = channels[source]
        elif kind in ("relu", "tanh", "identity"):
            lines.append(f"{name}: {source} -> {kind}")
            channels[name] = channels[source]
        else:
            channels[name] = draw(st.sampled_from([1, 2, 5, 9]))
            lines.append(f"{name}: {source} -> conv({channels[name]}, 1)")
    read = " ".join(line.split(":")[1] for line in lines)
    ends = [name for name in channels if name not in read.replace(",", " ").replace("(", " ").replace(")", " ").split()]
    outputs = ", ".join(dict.fromkeys([*ends, *draw(st.lists(st.sampled_from(list(channels)[1:]), max_size=1))]))
    body = "\n".join(f"  {line}" for line in draw(st.permutations(lines)))
    return f"cnnspec: 1\nname: n\ninput: {{image: [N, 2, 4, 4]}}\nnet:\n{body}\noutputs: [{outputs}]\n"


def no_order_needs_less(text: str) -> None:
    graph = compile_text(text)
    paths = [*graph.nodes]
    before = tuple(sum(1 << paths.index(name) for name in set(node.inputs)) for node in graph.nodes.values())
    every = [tuple(paths[place] for place in order) for order in topological(before)]
    assert graph.schedule in every
    assert peak_of(graph, graph.schedule) == min(peak_of(graph, order) for order in every)


@settings(DAILY, max_examples=120)
@given(nets())
def test_no_order_needs_less(text: str) -> None:
    no_order_needs_less(text)


@pytest.mark.long
@settings(DAILY, max_examples=3000)
@given(nets())
def test_no_order_needs_less_of_many(text: str) -> None:
    no_order_needs_less(text)


@st.composite
def stretches(draw: st.DrawFn) -> Stretch:
    count = draw(st.integers(1, 8))
    before = tuple(draw(st.integers(0, (1 << node) - 1)) for node in range(count))
    pieces = []
    for node in range(count):
        read = sum(1 << other for other in range(count) if before[other] >> node & 1)
        pieces.append(Piece(draw(st.integers(1, 9)), node, read, draw(st.booleans()) or not read))
    outside = draw(st.lists(st.tuples(st.integers(1, 9), st.integers(1, (1 << count) - 1), st.booleans()), max_size=2))
    pieces += [Piece(size, None, read, lasts) for size, read, lasts in outside]
    return Stretch(sum(size for size, _, _ in outside) + draw(st.integers(0, 5)), before, tuple(pieces))


@settings(DAILY, max_examples=200)
@given(stretches())
def test_stretches(stretch: Stretch) -> None:
    lowest = min(map(stretch.peak, topological(stretch.before)))
    order, peak = best(stretch)
    assert peak == stretch.peak(order) == lowest
    assert stretch.least() <= lowest
    heuristic = orders._beam(stretch)
    assert heuristic in [*topological(stretch.before)]
    assert stretch.peak(heuristic) >= lowest


def test_branches_of_other_sizes_are_quick() -> None:
    """24 nodes that can run in any order have 16 million down-sets; the least peak is known beforehand."""
    branches = range(1, EXACT - 1)
    before = (0, *(1 for _ in branches), sum(1 << node for node in branches))
    pieces = [Piece(1, 0, sum(1 << node for node in branches), False)]
    pieces += [Piece(node, node, 1 << EXACT - 1, False) for node in branches]
    stretch = Stretch(0, before, (*pieces, Piece(sum(branches), EXACT - 1, 0, True)))
    assert best(stretch)[1] == 2 * sum(branches)


def test_the_wide_branch_goes_first() -> None:
    graph = compile_text(WIDE)
    written = tuple(graph.nodes)
    assert graph.schedule != written
    assert sorted(graph.schedule) == sorted(written)
    assert graph.schedule.index("a.conv") > graph.schedule.index("b.conv_2")
    x, a, b, c = (maps * 8 * 8 * 4 for maps in (1, 8, 16, 1))
    assert peak_of(graph, written) == a + b + b
    assert graph.memory().live.inference_peak == x + b + b
    assert c < x + b
    assert tuple(graph.nodes) == written


@pytest.mark.parametrize("name", names())
def test_no_network_of_the_zoo_needs_more(name: str) -> None:
    graph = cnnspec.compile(name).inference()
    assert peak_of(graph, graph.schedule) <= peak_of(graph, tuple(graph.nodes))
    place = {path: number for number, path in enumerate(graph.schedule)}
    assert all(place[source] < place[path] for path, node in graph.nodes.items() for source in node.inputs)


def test_the_module_runs_in_that_order() -> None:
    graph = compile_text(WIDE)
    network: nn.Module = graph.lower("torch")
    ran: list[str] = []
    for path in graph.nodes:
        if path != "image":
            network.get_submodule(path).register_forward_hook(lambda *_, path=path: ran.append(path))
    with torch.no_grad():
        evaluated = network.eval()(torch.ones(1, 4, 8, 8))
        assert ["image", *ran] == [*graph.schedule]
        ran.clear()
        torch.testing.assert_close(network.train()(torch.ones(1, 4, 8, 8)), evaluated)  # in another layout
    assert ["image", *ran] == [*graph.nodes]
