"""How good a network is on labelled data, whatever backend runs it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from cnnspec.diagnostics import RunError, UsageError, did_you_mean
from cnnspec.judges import Judge, Network, Outcome

if TYPE_CHECKING:
    from cnnspec.datasets import Part
    from cnnspec.judges.base import Outputs
    from cnnspec.predicting import Preparation
    from cnnspec.vision import Floats, Pixels


class Classifier(Protocol):
    """A network that predicts classes: what its images need, what its classes are called, and its scores of a batch of
    pixels [n, h, w, c] as [n, classes], larger for likelier classes."""

    @property
    def labels(self) -> tuple[str, ...]: ...

    @property
    def preparation(self) -> Preparation: ...

    def scores(self, images: Pixels) -> Floats: ...


@dataclass(frozen=True)
class Evaluation:
    """What every head came to over all images of the parts."""

    parts: tuple[Part, ...]
    outcomes: tuple[Outcome, ...]

    @property
    def images(self) -> int:
        return sum(map(len, self.parts))

    @property
    def metrics(self) -> dict[str, float]:
        """By name, as `names` has them."""
        found = {(one.head, name): value for one in self.outcomes for name, value in one.metrics.items()}
        return dict(zip(_names(found), found.values(), strict=True))

    def place(self, image: int) -> tuple[Part, int]:
        """The part of an image, counted over all parts, and its position there."""
        for part in self.parts:
            if image < len(part):
                return part, image
            image -= len(part)
        raise IndexError(image)


def kinds(judges: Sequence[Judge]) -> frozenset[str]:
    """What judges need to know of the samples."""
    return frozenset[str]().union(*(judge.needs for judge in judges))


def names(judges: Sequence[Judge]) -> list[str]:
    """The metrics of judges, under their head's name where there are several."""
    return _names([(judge.head, name) for judge in judges for name in judge.metrics])


def _names(pairs: Iterable[tuple[str, str]]) -> list[str]:
    pairs = list(pairs)
    several = len({head for head, _ in pairs}) > 1
    return [f"{head}_{name}" if several else name for head, name in pairs]


def evaluate(
    network: Network,
    judges: Sequence[Judge],
    parts: Sequence[Part],
    batch: int,
    tick: Callable[[int], None] = lambda number: None,
) -> Evaluation:
    """Run a network over every image. Raises RunError where there is none, or outputs are not finite, and what the
    network and the judges raise."""
    total = sum(map(len, parts))
    if total == 0:
        raise RunError("there are no images to evaluate on")
    batch = 1 if network.keeps_sizes else batch
    for part in parts:
        for start in range(0, len(part), batch):
            positions = list(range(start, min(start + batch, len(part))))
            outputs = network.run(network.pixels(part, positions))
            _finite(outputs, part, positions)
            for judge in judges:
                judge.update(outputs, part, positions)
            for _ in positions:
                tick(total)
    return Evaluation(tuple(parts), tuple(judge.outcome() for judge in judges))


def _finite(outputs: Outputs, part: Part, positions: Sequence[int]) -> None:
    for array in outputs.values():
        if np.isfinite(array).all():
            continue
        where = f"images {part.place(positions[0])} to {part.place(positions[-1])}"
        if len(array) == len(positions):
            bad = ~np.isfinite(array).reshape(len(array), -1).all(axis=1)
            where = part.place(positions[int(np.flatnonzero(bad)[0])])
        raise RunError(f"{where}: the network gives scores that are not finite: its weights are broken")


def least(text: str) -> tuple[str, float]:
    """Metric and bound of `top1>=0.99`. Raises UsageError for other texts."""
    found = re.fullmatch(r"\s*([A-Za-z_]\w*)\s*>=\s*([01]?\.?[0-9]*)\s*", text, re.ASCII)
    try:
        bound = float(found[2]) if found else -1.0
    except ValueError:
        bound = -1.0
    if not found or not 0 <= bound <= 1:
        raise UsageError(f"--fail-under wants METRIC>=NUMBER as 'top1>=0.99', from 0 to 1, got '{text}'")
    return found[1], bound


def known(name: str, metric: str, there: Sequence[str]) -> None:
    """Raises UsageError where a network has no such metric."""
    if metric not in there:
        listed = f"its metrics are {', '.join(there)}, each from 0 to 1"
        guess = did_you_mean(metric, there)
        help = f"{guess} {listed}" if guess else listed
        raise UsageError(f"--fail-under: {name} has no metric '{metric}'", help)


def document(one: Outcome) -> dict[str, Any]:
    """An outcome as JSON has it."""
    from cnnspec.drawing.curves import points

    confusion = None if one.confusion is None else one.confusion.tolist()
    curves = {label: points(curve) for label, curve in one.curves.items() if curve.boxes}
    return {
        "head": one.head,
        "kind": one.kind,
        "metrics": one.metrics,
        "protocols": list(one.protocols),
        "classes": one.classes,
        "confusion": confusion,
        "precision_over_recall": curves or None,
    }
