"""One class an image: how often it is the first, or among the first five."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, final

import numpy as np

from cnnspec.judges.base import Network, Outcome, part_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cnnspec.datasets import Part
    from cnnspec.judges.base import Outputs
    from cnnspec.vision import Floats


@final
class Classify:
    """Scores [n, classes] against the class; of equal scores the first class comes first.

    `quality` is the logarithm of the probability of the true class, softmax's of the scores.
    """

    needs = frozenset({"classes"})

    def __init__(self, network: Network, head: str) -> None:
        self.head, self.labels = head, network.labels
        how = network.graph.heads[head]
        self.output, self.sign = how.of[0], -1 if how.lowest else 1
        self.metrics: tuple[str, ...] = ("top1", "top5") if len(self.labels) > 5 else ("top1",)
        self.confusion = np.zeros((len(self.labels),) * 2, np.int64)
        self.among_five = 0
        self.quality: list[NDArray[np.float64]] = []

    def scores(self, outputs: Outputs) -> Floats:
        """[n, classes], larger for likelier classes."""
        scores: Floats = self.sign * outputs[self.output]
        return scores

    def update(self, outputs: Outputs, part: Part, positions: Sequence[int]) -> None:
        assert part.classes is not None  # asked for by `needs`
        scores, true = self.scores(outputs), part.classes[positions]
        first = np.argsort(-scores, axis=1, kind="stable")[:, :5]
        np.add.at(self.confusion, (true, first[:, 0]), 1)
        self.among_five += int((first == true[:, None]).any(axis=1).sum())
        self.quality.append(log_softmax(scores)[np.arange(len(true)), true])

    def outcome(self) -> Outcome:
        counts = self.confusion
        images = int(counts.sum())
        metrics = {"top1": int(np.trace(counts)) / images}
        if "top5" in self.metrics:
            metrics["top5"] = self.among_five / images
        rows = [_row(counts, number, label) for number, label in enumerate(self.labels)]
        return Outcome(self.head, "classify", metrics, np.concatenate(self.quality), rows, "recall", counts)


def _row(counts: NDArray[np.int64], number: int, label: str) -> dict[str, Any]:
    images, taken, right = int(counts[number].sum()), int(counts[:, number].sum()), int(counts[number, number])
    return {
        "label": label,
        "images": images,
        "right": right,
        "recall": part_of(right, images),
        "precision": part_of(right, taken),
    }


def log_softmax(scores: Floats) -> NDArray[np.float64]:
    """Logarithms of the probabilities [n, classes]."""
    shifted = scores.astype(np.float64) - scores.max(axis=1, keepdims=True)
    found: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return found
