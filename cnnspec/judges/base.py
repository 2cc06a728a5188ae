"""What judges take and give."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from cnnspec import dense
from cnnspec.tensor import Dim

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cnnspec.datasets import Part
    from cnnspec.graph import Graph
    from cnnspec.precision import Curve
    from cnnspec.predicting import Preparation
    from cnnspec.vision import Pixels

    Outputs = Mapping[str, NDArray[Any]]

CLASSED = ("classify", "detect", "segment")
"""The kinds of heads that tell classes apart."""


@dataclass(frozen=True)
class Network:
    """A trained network and its inference graph.

    `run` takes pixels [n, h, w, c] of the size that `preparation` says (of any legal size where it `keeps_sizes`) and
    gives the outputs by name; of the head `suppressed` these are boxes already, as cnnspec_onnx.suppressing writes
    them, with scores above `confidence`, None where that is not known. `labels` name the classes that its heads tell
    apart.
    """

    graph: Graph
    labels: tuple[str, ...]
    preparation: Preparation
    run: Callable[[Pixels], Outputs]
    suppressed: str | None = None
    confidence: float | None = None

    @property
    def keeps_sizes(self) -> bool:
        """Whether it sees images at their own sizes, one by one, as for `predict`: masks alone, of free sizes."""
        graph = self.graph
        free = all(isinstance(size, Dim) for size in graph.nodes[graph.inputs[0]].type.spatial)
        return free and {head.kind for head in graph.heads.values()} == {"segment"}

    def dense(self, head: str) -> dense.Network:
        """The network with one of its heads, as `cnnspec.dense` takes it."""
        return dense.Network(
            self.graph, head, self.labels, self.preparation, self.run, self.suppressed == head, self.confidence
        )

    def pixels(self, part: Part, positions: Sequence[int]) -> Pixels:
        """Images of a part, uint8 [n, h, w, c], as the network takes them; one where it `keeps_sizes`."""
        if self.keeps_sizes:
            (position,) = positions
            return dense.fitted(self.dense(next(iter(self.graph.heads))), part.images.one(position))[0][None]
        if not isinstance(part.images.kept, list):  # as it is where each has its own size
            return part.images[positions]
        return np.stack([self.preparation.pixels(part.images.one(position)) for position in positions])


@dataclass(frozen=True)
class Outcome:
    """What one head came to.

    `metrics` are from 0 to 1, more being better, the first the one that counts. `quality` [n] says of every image how
    well it went, more being better. `classes` has a row for each class, of which the column `by` says how well it is
    known. `confusion[i, j]` counts images, or pixels, of class i that were taken for class j.
    """

    head: str
    kind: str
    metrics: dict[str, float]
    quality: NDArray[np.float64]
    classes: list[dict[str, Any]] = field(default_factory=list)
    by: str = ""
    confusion: NDArray[np.int64] | None = None
    protocols: tuple[str, ...] = ()
    curves: Mapping[str, Curve] = field(default_factory=dict)


class Judge(Protocol):
    """Counts one head's answers."""

    needs: frozenset[str]
    """What must be known of the samples, as `datasets.Wanted.kinds` has it."""
    metrics: tuple[str, ...]
    """The names of its metrics."""
    head: str

    def update(self, outputs: Outputs, part: Part, positions: Sequence[int]) -> None:
        """Count what a network gave for samples of a part."""
        ...

    def outcome(self) -> Outcome:
        """Judge all that was counted."""
        ...


def part_of(part: int, whole: int) -> float | None:
    """A share, None of nothing."""
    return part / whole if whole else None
