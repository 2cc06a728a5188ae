"""A task is what one head means in training: its loss, and how it is judged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from torch import Tensor

Outputs = Mapping[str, Tensor]
"""What the network gave, by output name."""
Targets = Mapping[str, Tensor]
"""The truth of a batch of n images, as far as the data has it:

classes  int64 [n]
box      float32 [n, 4]: centre x, centre y, width, height in parts of the input
boxes    float32 [k, 6]: which image of the batch, its class, then as `box`
difficult  bool [k]: the boxes that no one is judged by
masks    int64 [n, h, w], 255 where nothing counts
index    int64 [n]: the positions of the samples in their part
"""


class Task(Protocol):
    """One head's loss and metrics; the network calls `loss` in training, all three in validation and test."""

    head: str
    needs: frozenset[str]
    """The targets that it reads."""
    best: tuple[str, bool]
    """The metric that chooses the best epoch, or `loss`, and whether more of it is better."""

    def loss(self, outputs: Outputs, targets: Targets) -> dict[str, Tensor]:
        """Named parts whose sum is the loss, each a mean over the images of the batch."""
        ...

    def update(self, outputs: Outputs, targets: Targets) -> None:
        """Count a batch of validation or test."""
        ...

    def compute(self) -> dict[str, float]:
        """The metrics of what was counted, over all processes; counting begins anew."""
        ...
