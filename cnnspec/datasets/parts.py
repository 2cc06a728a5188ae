"""What readers of data give: parts whose images are not decoded yet, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from cnnspec.diagnostics import RunError, printable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cnnspec.vision import Pixels

SHOWN = 10
WHOLE = "all"
"""The part of data that is not split yet."""


@dataclass(frozen=True)
class Raw:
    """Samples before they are decoded: `load(position, channels)` gives an image or raises RunError or MissingError;
    `place` and `label_place` say where an image and its class stand."""

    classes: NDArray[np.int64]
    load: Callable[[int, int], Pixels]
    place: Callable[[int], str]
    label_place: Callable[[int], str]

    def __len__(self) -> int:
        return len(self.classes)

    def take(self, positions: NDArray[np.int64]) -> Raw:
        """Some of the samples, in the order of `positions`."""
        at = positions.tolist()
        return Raw(
            self.classes[positions],
            lambda i, channels: self.load(at[i], channels),
            lambda i: self.place(at[i]),
            lambda i: self.label_place(at[i]),
        )


@dataclass(frozen=True)
class Found:
    """What stands at a path or under a name: parts by `train`, `validation`, `test`, or one part `all`.

    `labels` are the names of the classes, None where the data only has numbers; `faults` keep it from being used.
    """

    name: str
    parts: dict[str, Raw]
    labels: tuple[str, ...] | None = None
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def classes(self) -> int:
        """How many classes there are: names, or the largest number and one."""
        if self.labels is not None:
            return len(self.labels)
        return max((int(part.classes.max()) + 1 for part in self.parts.values() if len(part)), default=0)


def shown(path: object) -> str:
    """A path in a line of a message."""
    return printable(str(path)).replace("\n", "\\n").replace("\t", "\\t")


def listed(faults: list[str]) -> str:
    """The first faults, a line each, and how many more there are."""
    more = [f"... and {len(faults) - SHOWN} more"] if len(faults) > SHOWN else []
    return "\n".join(f"  {fault}" for fault in [*faults[:SHOWN], *more])


def refuse(name: str, faults: list[str], help: str | None = None) -> None:
    """Raises RunError with the faults, where there are any."""
    if len(faults) == 1:
        raise RunError(faults[0], help)
    if faults:
        raise RunError(f"{len(faults)} faults in the data {shown(name)}\n{listed(faults)}", help)
