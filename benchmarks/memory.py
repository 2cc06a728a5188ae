"""The memory figures beside the truth: the running sum of torch's own memory events around one call.

One pass of inference, and one training step (cross-entropy; SGD with momentum or Adam) after a first one, so that the
optimizer's state is there. Truth leaves out the inputs, as the figures do; a step's adds the weights and the
optimizer's state, which stood before it. Scratch depends on the processor and its threads: both are printed.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import torch
from library import networks, pair
from measure import parser, show
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

import cnnspec
from cnnspec import zoo
from cnnspec.memory import Figures, Memory
from cnnspec.vectors import instruction_set

OPTIMIZERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "momentum": lambda params: torch.optim.SGD(params, lr=1e-4, momentum=0.9),
    "adam": lambda params: torch.optim.Adam(params, lr=1e-6),
}
T = TypeVar("T")
MIB = 2**20
MOST = 5 * 2**30
"""Bytes of a training step that are still run."""


def peak(work: Callable[[], object]) -> int:
    """The most that was allocated at once during the work, counted from its start."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        work()
    assert record.profiler is not None and record.profiler.kineto_results is not None
    events = [event for event in record.profiler.kineto_results.events() if event.name() == "[memory]"]
    now = most = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        most = max(most, now)
    return most


def rows(name: str, batch: int, peers: bool) -> Iterator[dict[str, object]]:
    """Inference, and a step with each optimizer, as far as it fits; the library's network beside, where it has it."""
    graph = cnnspec.compile(name)
    network, peer = pair(name) if peers and name in networks() else (graph.lower("torch"), None)
    fixed = graph.at(**{graph.batch: batch}) if graph.batch in graph.symbols else graph.at()
    xs = [torch.randn(fixed.nodes[path].type.concrete) for path in graph.inputs]
    memory, seconds = timed(lambda: graph.memory(batch=batch))
    assert memory.with_backend is not None
    network.eval()
    found = beside(name, batch, "inference", memory, lambda figures: figures.inference_peak, seconds)
    yield found(inference_peak(network, xs), inference_peak(peer, xs) if peer else None, None, None)
    network.train()
    if memory.with_backend.training_peak > MOST or not trains(network, xs):
        return
    for optimizer in OPTIMIZERS:
        memory, seconds = timed(lambda optimizer=optimizer: graph.memory(batch=batch, optimizer=optimizer))  # type: ignore[misc]
        assert memory.with_backend is not None
        found = beside(name, batch, optimizer, memory, lambda figures: figures.training_peak, seconds)
        truth = step_peak(network, xs, optimizer)
        if peer is None:
            yield found(truth, None, None, None)
            continue
        peer.train()
        told, took = timed(lambda optimizer=optimizer: tracked(peer, xs, optimizer))  # type: ignore[misc]
        yield found(truth, step_peak(peer, xs, optimizer), told, took)


def trains(network: nn.Module, xs: list[Tensor]) -> bool:
    """Whether it has weights, and torch takes the batch: no batch norm over single values (DeepLab, one image)."""
    if not [*network.parameters()]:
        return False
    try:
        loss(network, xs)
    except ValueError as error:
        print(error, file=sys.stderr)
        return False
    return True


def timed(work: Callable[[], T]) -> tuple[T, float]:
    begun = time.perf_counter()
    result = work()
    return result, time.perf_counter() - begun


def inference_peak(network: nn.Module, xs: list[Tensor]) -> int:
    network.eval()
    with torch.no_grad():
        network(*xs)
        return peak(lambda: network(*xs))


def tracked(network: nn.Module, xs: list[Tensor], name: str) -> int:
    """What torch's MemTracker says of a step's peak: it runs the step on the network, which must be there in code."""
    from torch.distributed._tools.mem_tracker import MemTracker

    optimizer = OPTIMIZERS[name](network.parameters())
    tracker = MemTracker()
    tracker.track_external(network, optimizer)
    with tracker:
        for _ in range(2):  # the first makes the optimizer's state
            optimizer.zero_grad()
            torch.autograd.backward(loss(network, xs))
            optimizer.step()
            tracker.reset_mod_stats()
    return int(tracker.get_tracker_snapshot("peak")[torch.device("cpu")]["Total"])


Found = Callable[[int, int | None, int | None, float | None], dict[str, object]]


def beside(name: str, batch: int, work: str, memory: Memory, figure: Callable[[Figures], int], seconds: float) -> Found:
    """A row, once the truth is known: ours, the peer's, and what MemTracker says of the peer's."""
    assert memory.with_backend is not None
    live, backend = figure(memory.live), figure(memory.with_backend)

    def row(truth: int, theirs: int | None, told: int | None, took: float | None) -> dict[str, object]:
        return {
            "network": name,
            "batch": batch,
            "work": work,
            "truth, MiB": round(truth / MIB, 2),
            "live": live / truth,
            "with backend": backend / truth,
            "off by, MiB": round((backend - truth) / MIB, 2),
            "met": abs(backend - truth) <= max(truth / 100, MIB),
            "ms": seconds * 1e3,
            "ours / peer's": truth / theirs if theirs else None,
            "torchinfo": torchinfo(name, batch) / theirs if theirs else None,
            "MemTracker": told / theirs if told and theirs else None,
            "its s": took,
        }

    return row


def step_peak(network: nn.Module, xs: list[Tensor], name: str) -> int:
    optimizer = OPTIMIZERS[name](network.parameters())

    def step() -> None:
        optimizer.zero_grad()
        torch.autograd.backward(loss(network, xs))
        optimizer.step()

    step()
    optimizer.zero_grad()
    state = [value for of in optimizer.state.values() for value in of.values() if isinstance(value, Tensor)]
    before = sum(tensor.nbytes for tensor in (*network.parameters(), *network.buffers(), *state))
    return before + peak(step)


def loss(network: nn.Module, xs: list[Tensor]) -> Tensor:
    """The sum over the outputs of the cross-entropy against class 0."""
    result: Tensor | dict[str, Tensor] = network(*xs)
    outputs = [*result.values()] if isinstance(result, dict) else [result]
    del result
    labels = [torch.zeros((y.shape[0], *y.shape[2:]), dtype=torch.long) for y in outputs]
    return torch.stack([nn.functional.cross_entropy(y, at) for y, at in zip(outputs, labels, strict=True)]).sum()


def torchinfo(name: str, batch: int) -> int:
    """Torchinfo's size of the forward and backward pass of the peer's network."""
    from torchinfo import summary

    graph = cnnspec.compile(name)
    sizes = graph.at(**{graph.batch: batch}).nodes[graph.inputs[0]].type.concrete
    return int(summary(pair(name)[1], sizes, verbose=0).total_output_bytes)


def main() -> None:
    made = parser(__doc__.splitlines()[0], rounds=1)
    made.add_argument("--batches", type=int, nargs="*", default=[1, 8], help="images in a batch (1 8)")
    made.add_argument("--after", default="", metavar="NAME", help="leave out networks up to this one, by the alphabet")
    made.add_argument("--peers", action="store_true", help="beside torchinfo and MemTracker, on the library's network")
    given = made.parse_args()
    names = [name for name in zoo.names() if (given.only is None or given.only in name) and name > given.after]
    if not given.json:
        print(f"{instruction_set()}, {torch.get_num_threads()} threads, torch {torch.__version__}", flush=True)
    found = []
    for name in names:
        for batch in given.batches:
            for row in rows(name, batch, given.peers):
                found.append(row)
                print(row, file=sys.stderr, flush=True)
    show("memory", found, given.json)


if __name__ == "__main__":
    main()
