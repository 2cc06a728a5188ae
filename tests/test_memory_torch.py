"""The live figures against torch: what autograd keeps, and what is alive while a module runs."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from cnnspec.cost import concrete, sizes_of
from cnnspec.diagnostics import SpecError
from cnnspec.front import compile_text
from cnnspec.graph import Graph
from cnnspec.liveness import Extra, flow, inference, nothing
from cnnspec.memory import memory_of
from cnnspec.ops import dense, norm
from cnnspec.ops import shape as shapes
from cnnspec_torch.memory import TorchMemory
from random_specs import specs
from samples import AUXILIARY, RESIDUAL

BATCH, FAST, LONG = 2, 300, 10_000
Listener = Callable[[str, Tensor], None]


class Held:
    """What stands in the autograd graph for a tensor that it keeps."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


def storage(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def inputs_of(graph: Graph) -> list[Tensor]:
    fixed = graph.at(**{graph.batch: BATCH}) if graph.batch in graph.symbols else graph.at()
    return [torch.randn(fixed.nodes[name].type.concrete) for name in graph.inputs]


@contextmanager
def listening(graph: Graph, network: nn.Module, listen: Listener) -> Iterator[None]:
    """Tell of the value of each node right after it ran."""
    hooks = []
    for path in graph.nodes:
        if path not in graph.inputs:

            def after(_: nn.Module, __: object, y: Tensor, path: str = path) -> None:
                listen(path, y)

            hooks.append(network.get_submodule(path).register_forward_hook(after))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def kept(graph: Graph, network: nn.Module, half: torch.dtype | None = None) -> tuple[int, int]:
    """Bytes that torch keeps for backward: of the values of nodes, and of what else; every storage once."""
    xs = inputs_of(graph)
    apart = {storage(x) for x in (*xs, *network.parameters(), *network.buffers())}
    values: list[Tensor] = []  # held, so that no storage's address is used again
    held: weakref.WeakSet[Held] = weakref.WeakSet()

    def pack(tensor: Tensor) -> Held:
        found = Held(tensor.detach())
        held.add(found)
        return found

    def note(path: str, y: Tensor) -> None:
        values.append(y.detach())

    mixed = torch.autocast("cpu", dtype=half) if half else nullcontext()
    with saved_tensors_hooks(pack, lambda found: found.tensor), listening(graph, network, note), mixed:
        outputs = network.train()(*xs)
    mine = {storage(y) for y in values} - apart
    saved = {storage(found.tensor): found.tensor.untyped_storage().nbytes() for found in held}
    del outputs
    rest = sum(size for at, size in saved.items() if at not in mine | apart)
    return sum(size for at, size in saved.items() if at in mine), rest


def alive(graph: Graph, network: nn.Module) -> tuple[int, str]:
    """The most that the values of nodes take while the module runs, every storage once, and the node that sets it."""
    xs = inputs_of(graph)
    apart = {storage(x) for x in xs}
    values: list[weakref.ref[Tensor]] = []
    peak = (0, "")

    def note(path: str, y: Tensor) -> None:
        nonlocal peak
        values.append(weakref.ref(y))
        there = [value for ref in values if (value := ref()) is not None]
        now = sum({storage(y): y.untyped_storage().nbytes() for y in there if storage(y) not in apart}.values())
        if now > peak[0]:
            peak = (now, path)

    with torch.no_grad(), listening(graph, network, note):
        network.eval()(*xs)
    return peak


def agrees(text: str) -> Graph:
    graph = compile_text(text)
    network: nn.Module = graph.lower("torch")
    batch = BATCH if graph.batch in graph.symbols else 1
    figures = memory_of(graph, batch=batch, backend=TorchMemory())
    assert figures.with_backend is not None
    assert figures.with_backend.weights == sum(map(weighs, (network.get_submodule(path) for path in ran(graph))))
    if not rearranged(graph):
        due = held(graph, batch)
        assert due is None or due == alive(graph, network)
        mine, rest = kept(graph, network)
        assert figures.with_backend.training_saved == mine + rest
        if not replaced(graph, batch):
            assert figures.live.training_saved == mine
    return graph


def held(graph: Graph, batch: int) -> tuple[int, str] | None:
    """The live peak in torch's layouts: maps that lie channels last are copied where they are flattened.

    None where nodes look at an input's copy, which is no node's own.
    """
    values = sizes_of(graph, batch, {})
    types = {path: concrete(node, values) for path, node in graph.nodes.items()}
    plain = flow(graph, types, 4, training=False)
    run = TorchMemory().laid(plain)
    if any(run.roots[path] in run.copied for path in run.graph.nodes if path not in graph.inputs):
        return None
    peak = inference(replace(run, table=nothing, copied=frozenset()))
    if run.roots == plain.roots and not run.room and not run.copied:
        assert peak.bytes == memory_of(graph, batch=batch).live.inference_peak
    return peak.bytes, peak.at


def ran(graph: Graph) -> list[str]:
    return [path for path in graph.inference().nodes if path not in graph.inputs]


def weighs(module: nn.Module) -> int:
    return sum(tensor.nbytes for tensor in (*module.parameters(), *module.buffers()))


def rearranged(graph: Graph) -> bool:
    """Whether a view out of order may spread into layouts: torch makes results in their operand's.

    A layer norm's single map, which it makes 0, lies in either.
    """
    ops = [node.op for node in graph.nodes.values()]
    if any(isinstance(node.op, norm.LayerNorm) and node.type.channels == 1 for node in graph.nodes.values()):
        return True
    return any(isinstance(op, shapes.Permute | shapes.Crop) for op in ops) and any(
        isinstance(op, shapes.Reshape | dense.Flatten) for op in ops
    )


def replaced(graph: Graph, batch: int) -> bool:
    """Whether torch keeps something else in the place of a node's operand: padded, copied, roomier, or nothing."""
    values = sizes_of(graph, batch, {})
    types = {path: concrete(node, values) for path, node in graph.nodes.items()}
    run = flow(graph, types, 4, training=True)
    torch_run = TorchMemory().laid(run)
    nodes = [graph.nodes[path] for path in run.needs]
    return (
        bool(torch_run.room)
        or torch_run.roots != run.roots
        or any(run.kept(node, Extra()) != run.kept(node, torch_run.extra(node)) for node in nodes)
    )


def agrees_mixed(text: str, half: torch.dtype = torch.bfloat16) -> Graph:
    """The widths of all values, and what is kept, under autocast."""
    graph = compile_text(text)
    network: nn.Module = graph.lower("torch")
    batch = BATCH if graph.batch in graph.symbols else 1
    values = sizes_of(graph, batch, {})
    types = {path: concrete(node, values) for path, node in graph.nodes.items()}
    run = flow(graph, types, 4, training=True, mixed=True)
    widths = {}

    def note(path: str, y: Tensor) -> None:
        widths[path] = y.element_size()

    with listening(graph, network, note), torch.autocast("cpu", dtype=half), torch.no_grad():
        network.train()(*inputs_of(graph))
    assert widths == {path: run.widths[path] for path in widths}
    if not rearranged(graph):
        figures = memory_of(graph, batch=batch, amp=str(half).removeprefix("torch."), backend=TorchMemory())
        assert figures.with_backend is not None
        assert figures.with_backend.training_saved == sum(kept(graph, network, half))
    return graph


def explored(count: int, agrees: Callable[[str], Graph] = agrees) -> None:
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
            agrees(text)
        except SpecError as error:
            if {fault.code for fault in error.diagnostics} != {"graph.unused"}:
                raise

    once()


def test_random_specs() -> None:
    explored(FAST)


@pytest.mark.long
def test_many_random_specs() -> None:
    explored(LONG)


def test_random_specs_in_mixed_precision() -> None:
    explored(FAST, agrees_mixed)


@pytest.mark.long
def test_many_random_specs_in_mixed_precision() -> None:
    explored(LONG, agrees_mixed)


@pytest.mark.parametrize("text", [RESIDUAL, AUXILIARY], ids=["residual", "auxiliary"])
def test_whole_networks(text: str) -> None:
    agrees(text)


MERGE = """\
cnnspec: 1
name: merge
input: {image: [N, 3, 4, 4]}
net:
  one:  image -> conv(5, 3)
  other: image -> conv(5, 3)
  wide:  one -> normalize(0.25, 0.25)
  out:   MERGE -> global_avgpool
outputs: [out]
"""


@pytest.mark.parametrize("merge", ["maximum", "multiply"])
@pytest.mark.parametrize("order", ["one, other, wide", "wide, one, other", "one, wide, other, one"])
def test_what_is_merged_in_between_is_as_wide_as_its_widest(merge: str, order: str) -> None:
    agrees_mixed(MERGE.replace("MERGE", f"{merge}({order})"))


CUT = """\
cnnspec: 1
name: cut
input: {image: [N, 3, 3, 3, 3]}
net:
  wide: image -> transposed_conv(4, 3, 2)
  out:  crop(wide, image, 0) -> lrn -> global_avgpool
outputs: [out]
"""


@pytest.mark.parametrize("agrees", [agrees, agrees_mixed])
def test_lrn_keeps_a_cut_volume_as_it_is(agrees: Callable[[str], Graph]) -> None:
    agrees(CUT)


ROOMY = """\
cnnspec: 1
name: roomy
input: {image: [N, 3, 3, 3, 3]}
net:
  wide: image -> conv(6, 1)
  few:  wide -> transposed_conv(1, HOW) -> tanh
  out:  concat(few, few) -> relu
outputs: [out]
"""


@pytest.mark.parametrize("how", ["1, dilation=2, output_padding=1", "1", "2", "1, padding=[[0, 1], [1, 0], [0, 0]]"])
@pytest.mark.parametrize("agrees", [agrees, agrees_mixed])
def test_a_transposed_volume_may_lie_in_more_memory_than_it_fills(agrees: Callable[[str], Graph], how: str) -> None:
    agrees(ROOMY.replace("HOW", how))
    agrees(ROOMY.replace("HOW", how).replace("tanh", "relu"))
