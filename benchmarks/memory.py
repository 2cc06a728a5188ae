"""The memory figures beside the truth: the running sum of torch's own memory events around one call.

One pass of inference, and one training step (cross-entropy; SGD with momentum or Adam) after a first one, so that the
optimizer's state is there. Truth leaves out the inputs, as the figures do; a step's adds the weights and the
optimizer's state, which stood before it. Scratch depends on the processor and its threads: both are printed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from measure import parser, show
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

import cnnspec
from cnnspec.memory import Figures, Memory

NETWORKS = ("lenet5", "alexnet", "googlenet", "resnet18", "resnet34", "mobilenet-v2")
OPTIMIZERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "momentum": lambda params: torch.optim.SGD(params, lr=1e-4, momentum=0.9),
    "adam": lambda params: torch.optim.Adam(params, lr=1e-6),
}
MIB = 2**20


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


def rows(name: str, batch: int) -> Iterator[dict[str, object]]:
    graph = cnnspec.compile(name)
    network: nn.Module = graph.lower("torch")
    fixed = graph.at(**{graph.batch: batch})
    xs = [torch.randn(fixed.nodes[path].type.concrete) for path in graph.inputs]
    begun = time.perf_counter()
    memory = graph.memory(batch=batch)
    seconds = time.perf_counter() - begun
    network.eval()
    with torch.no_grad():
        network(*xs)
        truth = peak(lambda: network(*xs))
    yield row(name, batch, "inference", truth, memory, lambda figures: figures.inference_peak, seconds, peer(name, xs))
    network.train()
    for optimizer in OPTIMIZERS:
        begun = time.perf_counter()
        memory = graph.memory(batch=batch, optimizer=optimizer)
        seconds = time.perf_counter() - begun
        truth = step_peak(network, xs, optimizer)
        yield row(name, batch, optimizer, truth, memory, lambda figures: figures.training_peak, seconds, None)


def row(
    name: str,
    batch: int,
    work: str,
    truth: int,
    memory: Memory,
    figure: Callable[[Figures], int],
    seconds: float,
    peer: int | None,
) -> dict[str, object]:
    assert memory.with_backend is not None
    live, backend = figure(memory.live), figure(memory.with_backend)
    return {
        "network": name,
        "batch": batch,
        "work": work,
        "truth, MiB": round(truth / MIB, 2),
        "live": live / truth,
        "with backend": backend / truth,
        "off by, MiB": round((backend - truth) / MIB, 2),
        "met": abs(backend - truth) <= max(truth / 100, MIB),
        "torchinfo": None if peer is None else peer / truth,
        "ms": seconds * 1e3,
    }


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


def peer(name: str, xs: list[Tensor]) -> int | None:
    """Torchinfo's size of the forward and backward pass, of the same module; None where torchinfo is not there."""
    try:
        from torchinfo import summary
    except ImportError:
        return None
    return int(summary(cnnspec.compile(name).lower("torch"), input_data=xs, verbose=0).total_output_bytes)


def main() -> None:
    made = parser(__doc__.splitlines()[0], rounds=1)
    made.add_argument("--batches", type=int, nargs="*", default=[1, 8], help="images in a batch (1 8)")
    given = made.parse_args()
    names = [name for name in NETWORKS if given.only is None or given.only in name]
    if not given.json:
        print(
            f"{torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads, torch {torch.__version__}"
        )
    found = [found for name in names for batch in given.batches for found in rows(name, batch)]
    show("memory", found, given.json)


if __name__ == "__main__":
    main()
