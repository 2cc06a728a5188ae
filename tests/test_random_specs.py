"""Random specs against torch: what runs has the shapes, parameters and multiply-accumulates that the graph proved."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from cnnspec.cost import cost_of
from cnnspec.diagnostics import SpecError, UsageError
from cnnspec.front import compile_text
from cnnspec.graph import Graph, Node
from cnnspec.ops import BY_NAME
from random_specs import specs

FAILURES = sorted((Path(__file__).parent / "random_failures").glob("*.yaml"))
"""Specs that once failed, shrunk; each says what was wrong."""
BATCH, FAST, LONG = 2, 300, 10_000
COUNTER = "num_batches_tracked"


def agrees(text: str) -> Graph:
    """Every property of one spec; raises SpecError where the compiler refuses it."""
    graph = compile_text(text)
    network: nn.Module = graph.lower("torch")
    free = [name for name in graph.symbols if name != graph.batch]
    least = {name: graph.bounds.get(name, 1) for name in free}
    typical = {name: graph.typical.get(name, least[name]) for name in free}
    weighs(graph, network)
    for sizes in dict.fromkeys(tuple(at.items()) for at in (typical, least, {n: v + 1 for n, v in least.items()})):
        for training in (True, False):
            runs(graph, network.train(training), dict(sizes))
    for name in free:
        too_small(graph, network, {**typical, name: least[name] - 1}, name)
    return graph


def weighs(graph: Graph, network: nn.Module) -> None:
    """Parameters and buffers, of every node and altogether."""
    inner = [path for path in graph.nodes if path not in graph.inputs]
    params = {path: sum(p.numel() for p in network.get_submodule(path).parameters()) for path in inner}
    buffers = {
        path: sum(b.numel() for name, b in network.get_submodule(path).named_buffers() if name != COUNTER)
        for path in inner
    }
    cost = graph.cost()
    rows = {row.path: row for row in cost.rows if row.inputs}
    assert {path: row.params for path, row in rows.items()} == {path: params[path] for path in rows}
    assert {path: row.buffers for path, row in rows.items()} == {path: buffers[path] for path in rows}
    assert cost.params.total == cost.params.trainable == sum(params[path] for path in rows)
    assert cost.params.training_total == sum(params.values()) == sum(p.numel() for p in network.parameters())
    assert cost.buffers == sum(buffers[path] for path in rows)


def runs(graph: Graph, network: nn.Module, sizes: dict[str, int]) -> None:
    """One batch through every node: which ran, the shape of each, the multiplications of each."""
    used = graph if network.training else graph.inference()
    shapes, macs = traced(graph, network, sizes)
    fixed = used.at(**{graph.batch: BATCH}, **sizes)
    assert shapes == {path: node.type.concrete for path, node in fixed.nodes.items() if path not in graph.inputs}
    if network.training:
        return
    rows = [row for row in cost_of(graph, batch=BATCH, symbols=sizes).rows if row.inputs]
    assert {row.path: row.macs for row in rows} == {path: counted(graph, path, macs[path]) for path in macs}
    assert {row.path: row.shape for row in rows} == shapes


def traced(
    graph: Graph, network: nn.Module, sizes: Mapping[str, int]
) -> tuple[dict[str, tuple[int, ...]], dict[str, int]]:
    """By path the shape that came out of a module, and the multiply-accumulates that torch counted inside."""
    shapes: dict[str, tuple[int, ...]] = {}
    macs: dict[str, int] = {}
    counter = FlopCounterMode(display=False)

    def listen(path: str, module: nn.Module) -> list[Any]:
        def before(*_: object) -> None:
            macs[path] = counter.get_total_flops()

        def after(module: nn.Module, args: object, y: Tensor) -> None:
            shapes[path], macs[path] = tuple(y.shape), (counter.get_total_flops() - macs[path]) // 2

        return [module.register_forward_pre_hook(before), module.register_forward_hook(after)]

    inner = [path for path in graph.nodes if path not in graph.inputs]
    hooks = [hook for path in inner for hook in listen(path, network.get_submodule(path))]
    types = [graph.nodes[name].type.at({graph.batch: BATCH, **sizes}) for name in graph.inputs]
    try:
        with torch.no_grad(), counter:
            network(*(torch.randn(type.concrete) for type in types))
    finally:
        for hook in hooks:
            hook.remove()
    return shapes, macs


def counted(graph: Graph, path: str, macs: int) -> int:
    """Torch's number; of a table it multiplies by the zeros of the full kernel too, and only connections count."""
    node: Node = graph.nodes[path]
    table = getattr(node.op, "table", None)
    if table is None:
        return macs
    return macs * sum(map(len, table)) // (len(table) * graph.input_types(node)[0].channels)


def too_small(graph: Graph, network: nn.Module, sizes: Mapping[str, int], name: str) -> None:
    """One below its bound a symbol is refused, and rightly: torch fails there or a map is empty."""
    with pytest.raises(UsageError, match=rf"{name} = {sizes[name]} is too small"):
        graph.at(**sizes)
    least = [size for path in graph.inputs for size in graph.nodes[path].type.at({graph.batch: 1, **sizes}).concrete]
    if sizes[name] < 1 or min(least) < 1:
        return
    try:
        shapes, _ = traced(graph, network.train(), sizes)
    except (RuntimeError, IndexError):  # of a window, of a crop
        return
    assert any(0 in shape for shape in shapes.values())


def explored(count: int) -> None:
    """Random specs agree with torch, and all operators occur.

    The generator types by arithmetic of its own: it may leave an input unused, but what it typed is never refused.
    """
    seen: set[str] = set()
    refused: list[str] = []

    @settings(
        max_examples=count,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        phases=[Phase.generate, Phase.shrink],
        database=None,
        derandomize=count == FAST,
    )
    @given(specs())
    def once(text: str) -> None:
        try:
            seen.update(node.op.op for node in agrees(text).nodes.values())
        except SpecError as error:
            if {fault.code for fault in error.diagnostics} != {"graph.unused"}:
                raise
            refused.append(text)

    once()
    assert seen >= {*BY_NAME}
    assert len(refused) < count // 20


def test_random_specs() -> None:
    explored(FAST)


@pytest.mark.long
def test_many_random_specs() -> None:
    explored(LONG)


@pytest.mark.parametrize("file", FAILURES, ids=lambda file: file.stem)
def test_once_failed(file: Path) -> None:
    agrees(file.read_text())
