"""What is held while each node runs: the live memory of one pass of inference and of one training step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cnnspec.cost import concrete, sizes_of, width_of
from cnnspec.liveness import Heap, flow, inference, training
from cnnspec.memory import STATES, numbers

if TYPE_CHECKING:
    from cnnspec.graph import Graph


@dataclass(frozen=True, slots=True)
class Timeline:
    """(what runs, bytes while it does) in order; inference above the weights, training all in."""

    inference: tuple[tuple[str, int], ...]
    training: tuple[tuple[str, int], ...]


@dataclass(slots=True)
class _Recorded(Heap):
    marks: dict[str, int] = field(default_factory=dict)

    def touch(self, more: int) -> None:
        Heap.touch(self, more)
        self.marks[self.at] = max(self.marks.get(self.at, 0), self.now + more)


def timeline(
    graph: Graph,
    *,
    batch: int = 1,
    dtype: str = "float32",
    optimizer: str = "momentum",
    symbols: Mapping[str, int] | None = None,
) -> Timeline:
    """The live memory, moment by moment; its highest points are the peaks of memory_of. Raises as that does."""
    values, width = sizes_of(graph, batch, symbols or {}), width_of(dtype)
    types = {path: concrete(node, values) for path, node in graph.nodes.items()}
    params, buffers = numbers(graph)
    forward, step = _Recorded(0), _Recorded((params + buffers + STATES[optimizer] * params) * width)
    inference(flow(graph, types, width, training=False), forward)
    training(flow(graph, types, width, training=True), step, 0)
    return Timeline(tuple(forward.marks.items()), tuple(step.marks.items()))
