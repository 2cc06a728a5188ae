"""The least time of one pass of inference on a device, node by node, and the largest batch that its memory holds.

Williams, Waterman and Patterson 2009 (CACM 52(4), "Roofline"): a node takes as long as its arithmetic at the peak of
the unit that does it, or as its operands, weights and result take to move, each once; the longer of both counts, and
nodes run one after another. Convolutions are direct ones, starting a kernel takes nothing, nothing is fused, and no
cache keeps a result for the next node.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache

from cnnspec.cost import Cost, Row, width_of
from cnnspec.devices import Device
from cnnspec.diagnostics import UsageError
from cnnspec.graph import Graph
from cnnspec.limits import DIMENSION
from cnnspec.memory import Allocations, memory_of
from cnnspec.ops.dense import Dense


@dataclass(frozen=True, slots=True)
class Roofline:
    """Seconds of the whole batch: in all, and of the nodes that arithmetic bounds; memory bounds the others."""

    device: Device
    cost: Cost
    """The same cost, with `seconds` in every row."""
    seconds: float
    by_arithmetic: float


@dataclass(frozen=True, slots=True)
class Fit:
    """The largest batches of one pass of inference and of one training step: 0 where not even one image fits, at most
    what a dimension may be."""

    inference: int
    training: int


def roofline(graph: Graph, cost: Cost, device: Device) -> Roofline:
    """Raises UsageError for a dtype that the device has no unit for, or the table no peak."""
    matrix, convolution = _peaks(device, cost.dtype)
    width = width_of(cost.dtype)
    bytes_of = {row.path: row.activation_bytes for row in cost.rows}
    rows, by_arithmetic = [], 0.0
    for row in cost.rows:
        peak = matrix if isinstance(graph.nodes[row.path].op, Dense) else convolution
        arithmetic = 2 * row.macs / peak + row.other / device.float32
        memory = _moved(graph, row, bytes_of, width) / device.bandwidth
        seconds = max(arithmetic, memory) if memory else 0.0
        by_arithmetic += seconds if arithmetic > memory else 0.0
        rows.append(replace(row, seconds=seconds))
    total = sum(row.seconds or 0.0 for row in rows)
    return Roofline(device, replace(cost, rows=tuple(rows)), total, by_arithmetic)


def _peaks(device: Device, dtype: str) -> tuple[float, float]:
    """Of dense layers, and of convolutions."""
    found = {
        "float32": (device.float32, device.tf32 or device.float32),
        "float16": (device.float16, device.float16),
        "bfloat16": (device.bfloat16, device.bfloat16),
    }.get(dtype, (None, None))
    if found[0] is None or found[1] is None:
        raise UsageError(f"{device.name} has no peak of {dtype} here", "--dtype float32 or float16")
    return found[0], found[1]


def _moved(graph: Graph, row: Row, bytes_of: Mapping[str, int], width: int) -> int:
    """Bytes of operands, each once, weights and result; a view moves nothing, of `like` the sizes alone are read."""
    node = graph.nodes[row.path]
    if not node.inputs or node.op.shares(training=False):
        return 0
    return sum(bytes_of[name] for name in {*node.read}) + (row.params + row.buffers) * width + row.activation_bytes


def fit(
    graph: Graph,
    device: Device,
    *,
    dtype: str = "float32",
    optimizer: str = "momentum",
    symbols: Mapping[str, int] | None = None,
    backend: Allocations | None = None,
) -> Fit:
    """By the figures of cnnspec.memory with the backend's, else live, the caller's images included.

    The driver's context and the workspaces of cuDNN come on top, in the memory as the data sheet has it. Raises
    UsageError where the batch is fixed, and as memory_of does.
    """
    if graph.batch not in graph.symbols:
        raise UsageError(f"the batch of {graph.name} is fixed")
    symbols = {name: value for name, value in (symbols or {}).items() if name != graph.batch}
    sizes = graph.sizes(**symbols) | {graph.batch: 1}
    image = sum(graph.nodes[name].type.at(sizes).elements for name in graph.inputs) * width_of(dtype)

    def needed(batch: int) -> tuple[int, int]:
        held = memory_of(graph, batch=batch, dtype=dtype, optimizer=optimizer, symbols=symbols, backend=backend)
        figures = held.with_backend or held.live
        return batch * image + figures.weights + figures.inference_peak, batch * image + figures.training_peak

    @cache
    def taken(batch: int) -> tuple[int, int]:
        try:
            return needed(batch)
        except UsageError:  # beyond the elements of a tensor
            return device.memory + 1, device.memory + 1

    def largest(of: Callable[[tuple[int, int]], int]) -> int:
        most = min(device.memory // image, DIMENSION)
        return bisect_right(range(1, most + 1), device.memory, key=lambda batch: of(taken(batch)))

    needed(1)  # what is wrong with the arguments is told
    return Fit(inference=largest(lambda both: both[0]), training=largest(lambda both: both[1]))
