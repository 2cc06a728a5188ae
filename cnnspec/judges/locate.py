"""One box an image: how much of it is found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, final

import numpy as np

from cnnspec import boxes
from cnnspec.dense import located
from cnnspec.judges.base import Network, Outcome

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cnnspec.datasets import Part
    from cnnspec.judges.base import Outputs
    from cnnspec.vision import Floats

ENOUGH = 0.5
"""The overlap from which a box counts as found."""


@final
class Locate:
    """An output [n, 4] of centre x, centre y and the square roots of width and height, in parts of the input.

    Both boxes lie in the input, the true one cut off at its edges. `quality` is their intersection over union.
    """

    needs = frozenset({"box"})
    metrics: tuple[str, ...] = ("iou", "iou50")

    def __init__(self, network: Network, head: str) -> None:
        self.head, self.how = head, network.preparation
        self.output = network.graph.heads[head].of[0]
        self.quality: list[float] = []

    def update(self, outputs: Outputs, part: Part, positions: Sequence[int]) -> None:
        for numbers, position in zip(outputs[self.output], positions, strict=True):
            found, true = located(numbers, self.how), self.truth(part, position)
            self.quality.append(float(boxes.iou(found, true)[0, 0]))

    def truth(self, part: Part, position: int) -> Floats:
        """Corners [1, 4] in pixels of the input."""
        assert part.boxes is not None  # asked for by `needs`
        height, width = part.sizes[position].tolist()
        how = self.how
        moved = boxes.placed((width, height), how.height, how.width, how.fit).into(part.boxes[position].corners)
        inside: Floats = np.clip(moved, 0, [how.width, how.height] * 2)
        return inside

    def outcome(self) -> Outcome:
        quality: NDArray[np.float64] = np.asarray(self.quality)
        metrics = {"iou": float(quality.mean()), "iou50": float((quality >= ENOUGH).mean())}
        return Outcome(self.head, "locate", metrics, quality)
