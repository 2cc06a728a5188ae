"""What a graph takes in memory, from the graph alone: bytes at any batch, for inference and for a training step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from cnnspec.cost import concrete_types, sizes_of, trainable, width_of
from cnnspec.diagnostics import UsageError, did_you_mean
from cnnspec.liveness import Flow, Heap, flow, inference, training
from cnnspec.mixed import AMP
from cnnspec.ops.base import number_of

if TYPE_CHECKING:
    from cnnspec.graph import Graph

STATES = {"sgd": 0, "momentum": 1, "adam": 2}
"""Numbers that an optimizer keeps for every trained one."""


class Allocations(Protocol):
    """What a backend holds besides the graph's tensors: around nodes, and for the weights as a whole."""

    @property
    def device(self) -> str: ...

    def laid(self, run: Flow) -> Flow:
        """The same flow as the backend runs it: in its layouts, with its table."""

    def weights(self, graph: Graph, width: int) -> int: ...

    def state(self, graph: Graph, optimizer: str) -> int: ...

    def step(self, graph: Graph, optimizer: str, width: int) -> int: ...


@dataclass(frozen=True, slots=True)
class Figures:
    """Bytes. `weights` are those of inference; gradients and the optimizer's state also those of training-only nodes.

    `inference_peak` stands above the weights and the caller's inputs; `training_peak` has all in, the inputs again
    apart. The node of a peak is the first that reaches it; in training it may be `loss`, `backward of ...` or `step`.
    """

    weights: int
    gradients: int
    optimizer: int
    inference_peak: int
    inference_peak_node: str
    training_peak: int
    training_peak_at: str
    training_saved: int


@dataclass(frozen=True, slots=True)
class Memory:
    """`live`: the tensors of the graph, the same everywhere; `with_backend`: what a backend allocates is added."""

    batch: int
    dtype: str
    amp: str | None
    """The half precision of mixed precision."""
    optimizer: str
    symbols: Mapping[str, int]
    live: Figures
    with_backend: Figures | None = None
    device: str | None = None
    """The one that the backend's figures are of."""


def memory_of(
    graph: Graph,
    *,
    batch: int = 1,
    dtype: str = "float32",
    amp: str | None = None,
    optimizer: str = "momentum",
    symbols: Mapping[str, int] | None = None,
    backend: Allocations | None = None,
) -> Memory:
    """The figures at given sizes, every tensor in `dtype`; with `amp` in mixed precision, weights in float32.

    Raises UsageError for an unknown dtype, optimizer or symbol, a size below its bound, one beyond the limits, and
    mixed precision on another device than the CPU.
    """
    if optimizer not in STATES:
        help = did_you_mean(optimizer, STATES) or f"one of {', '.join(STATES)}"
        raise UsageError(f"unknown optimizer '{optimizer}'", help)
    if amp is not None and (amp not in AMP or dtype != "float32"):
        raise UsageError(
            f"mixed precision is of float32 with bfloat16 or float16, got {dtype} with {amp}",
            "leave out --dtype" if amp in AMP else did_you_mean(amp, AMP),
        )
    if amp is not None and backend and backend.device != "cpu":
        raise UsageError(
            f"mixed precision is told as autocast has it on the CPU, not on {backend.device}",
            "leave out one of --amp and --device",
        )
    width = width_of(dtype)
    values = sizes_of(graph, batch, symbols or {})
    types = concrete_types(graph, values)
    inferring, trained = (flow(graph, types, width, training=mode, mixed=amp is not None) for mode in (False, True))
    return Memory(
        batch=types[graph.inputs[0]].concrete[0],
        dtype=dtype,
        amp=amp,
        optimizer=optimizer,
        symbols=MappingProxyType(values),
        live=_figures(graph, inferring, trained, optimizer, None),
        with_backend=_figures(graph, inferring, trained, optimizer, backend) if backend else None,
        device=backend.device if backend else None,
    )


def _figures(graph: Graph, inferring: Flow, trained: Flow, optimizer: str, backend: Allocations | None) -> Figures:
    width = trained.width
    params, buffers = numbers(graph)
    state = STATES[optimizer] * params * width
    whole = (params + buffers) * width
    used = inferring.graph
    weights = sum(numbers(used)) * width if used is not graph else whole
    step = 0
    if backend:
        weights, whole = weights + backend.weights(used, width), whole + backend.weights(graph, width)
        state += backend.state(graph, optimizer)
        step = backend.step(graph, optimizer, width)
        inferring, trained = (backend.laid(run) for run in (inferring, trained))
    run, fit = inference(inferring), training(trained, Heap(whole + state), step)
    return Figures(
        weights=weights,
        gradients=params * width,
        optimizer=state,
        inference_peak=run.bytes,
        inference_peak_node=run.at,
        training_peak=fit.peak.bytes,
        training_peak_at=fit.peak.at,
        training_saved=fit.saved,
    )


def numbers(graph: Graph) -> tuple[int, int]:
    """Parameters and buffers of all nodes."""
    given = ((node.op, graph.input_types(node)) for node in graph.nodes.values() if node.inputs)
    return trainable(graph), sum(number_of(op.buffers(*xs)) for op, xs in given)
