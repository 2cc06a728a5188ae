"""The classes of data against those of a network."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from cnnspec.datasets.parts import VOID, Found, Raw, shown
from cnnspec.diagnostics import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def named(found: Found, classes: int) -> tuple[str, ...]:
    """What the classes of data to train on are called, numbers where it has no names.

    Raises UsageError where they are not as many as the head's. A single label out of range is `load`'s to tell.
    """
    names = found.labels or tuple(map(str, range(classes)))
    number = found.classes
    if number not in (0, classes) and not found.faults and not _stray(found, classes):
        what = f"the data '{shown(found.name)}' has {number} classes, the network's head has {classes}"
        raise UsageError(
            what + _above(found, classes),
            f"where the spec has a param for it: --set classes={number}",
        )
    return names


def _above(found: Found, classes: int) -> str:
    """Where a label above the head's stands, of data that has numbers alone: it may be the one that is wrong."""
    for part in found.parts.values() if found.labels is None else ():
        labels = part.classes if part.classes is not None else [max(one.classes, default=0) for one in part.boxes or ()]
        if len(high := np.flatnonzero(np.asarray(labels) >= classes)):
            return f"; the first label above {classes - 1} is {part.label_place(int(high[0]))}"
    return ""


def _stray(found: Found, classes: int) -> bool:
    """Whether labels leave the range here and there, and not because the head has too few classes."""
    if found.labels is not None:
        return False
    seen = np.unique(np.concatenate([part.numbers for part in found.parts.values()]))
    return bool(seen[0] < 0 or (seen[-1] >= classes and len(seen) <= seen[-1]))


def matched(found: Found, labels: tuple[str, ...]) -> Found:
    """Data to evaluate on, its classes numbered as the network's: by name, or in order where no name is known.

    Raises UsageError where neither will do.
    """
    if found.labels is None or found.labels == labels or found.faults:
        return found
    known = [name for name in found.labels if name in labels]
    if not known and len(found.labels) == len(labels):
        both = zip(found.labels[:5], labels[:5], strict=True)
        pairs = ", ".join(f"{shown(ours)} is {shown(theirs)}" for ours, theirs in both)
        note = "the network knows no class by these names; they are taken in their order"
        return replace(found, notes=[*found.notes, f"{note}: {pairs}" + (", ..." if len(labels) > 5 else "")])
    if unknown := [name for name in found.labels if name not in labels]:
        some = ", ".join(labels[:10]) + (f" and {len(labels) - 10} more" if len(labels) > 10 else "")
        message = f"{shown(found.name)}: the class '{shown(unknown[0])}' is none of the network's"
        raise UsageError(message, f"it knows {some}")
    numbers = np.asarray([labels.index(name) for name in found.labels], np.int64)
    parts = {name: _renumbered(part, numbers, len(labels)) for name, part in found.parts.items()}
    return replace(found, parts=parts, labels=labels)


def _renumbered(part: Raw, numbers: NDArray[np.int64], classes: int) -> Raw:
    """The part with class i called `numbers[i]`, one of `classes`; what is out of range stays so."""
    table = np.arange(256)
    table[len(numbers) : VOID][table[len(numbers) : VOID] < classes] = VOID - 1
    table[: len(numbers)] = numbers
    table[part.void] = VOID
    lookup, masks = table.astype(np.uint8), part.masks

    def number(one: NDArray[np.int64]) -> NDArray[np.int64]:
        known = (one >= 0) & (one < len(numbers))
        return np.where(known, numbers[np.where(known, one, 0)], -1)

    return replace(
        part,
        classes=None if part.classes is None else number(part.classes),
        boxes=None if part.boxes is None else [replace(one, classes=number(one.classes)) for one in part.boxes],
        masks=None if masks is None else lambda position: lookup[masks(position)],
        void=VOID,
    )
