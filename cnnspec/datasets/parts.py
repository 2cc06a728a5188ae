"""What readers of data give: parts whose images are not decoded yet, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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

VOID = 255
"""The value of a mask's pixels that are of no class."""


@dataclass(frozen=True)
class Boxes:
    """The boxes of one image.

    `classes` int64 [k]; `corners` float32 [k, 4] are x1, y1, x2, y2 in pixels of the original image, the left upper
    corner of the first pixel being 0, 0; `difficult` bool [k] marks those that no one is judged by (VOC's difficult,
    COCO's iscrowd).
    """

    classes: NDArray[np.int64]
    corners: NDArray[np.float32]
    difficult: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.classes)

    def take(self, which: NDArray[np.int64] | NDArray[np.bool_]) -> Boxes:
        return Boxes(self.classes[which], self.corners[which], self.difficult[which])


def boxes_of(classes: Sequence[int], corners: Sequence[Sequence[float]], difficult: Sequence[bool] = ()) -> Boxes:
    """Boxes of plain numbers; none is difficult unless it is said."""
    hard = np.asarray(difficult, np.bool_) if len(difficult) else np.zeros(len(classes), np.bool_)
    return Boxes(np.asarray(classes, np.int64), np.asarray(corners, np.float32).reshape(-1, 4), hard)


@dataclass(frozen=True)
class Raw:
    """Samples before they are decoded, and what is known of each; None where the data has none of that kind.

    `load(position, channels)` gives an image, `masks(position)` its mask, uint8 [h, w] of the image's size with `VOID`
    where nothing is said; both raise RunError or MissingError. `place` and `label_place` say where an image and its
    label stand, `box_place(position, box)` where a box stands, and the box as it is written there. Boxes that are
    `relative` have corners in parts of the image's width and height. `void` is a value of masks besides `VOID` that
    is taken for it, and said.
    """

    number: int
    load: Callable[[int, int], Pixels]
    place: Callable[[int], str]
    label_place: Callable[[int], str]
    classes: NDArray[np.int64] | None = None
    boxes: Sequence[Boxes] | None = None
    masks: Callable[[int], Pixels] | None = None
    box_place: Callable[[int, int], str] | None = None
    relative: bool = False
    void: int = VOID

    def __len__(self) -> int:
        return self.number

    @property
    def kinds(self) -> frozenset[str]:
        """What is known of the samples, of {"classes", "box", "boxes", "masks"}; "box" is for `load` to make sure."""
        kinds = {"classes"} if self.classes is not None else set()
        kinds |= {"box", "boxes"} if self.boxes is not None else set()
        return frozenset(kinds | ({"masks"} if self.masks is not None else set()))

    @property
    def numbers(self) -> NDArray[np.int64]:
        """The class numbers of all images, or of all boxes; none of masks, which are not read yet."""
        if self.classes is not None:
            return self.classes
        return np.concatenate([np.zeros(0, np.int64), *(one.classes for one in self.boxes or ())])

    def take(self, positions: NDArray[np.int64]) -> Raw:
        """Some of the samples, in the order of `positions`."""
        at, masks, box_place = positions.tolist(), self.masks, self.box_place
        return Raw(
            len(at),
            lambda i, channels: self.load(at[i], channels),
            lambda i: self.place(at[i]),
            lambda i: self.label_place(at[i]),
            None if self.classes is None else self.classes[positions],
            None if self.boxes is None else [self.boxes[i] for i in at],
            None if masks is None else lambda i: masks(at[i]),
            None if box_place is None else lambda i, box: box_place(at[i], box),
            self.relative,
            self.void,
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
        """How many classes there are: names, or the largest number and one; 0 where only masks could say it."""
        if self.labels is not None:
            return len(self.labels)
        return max((int(part.numbers.max()) + 1 for part in self.parts.values() if len(part.numbers)), default=0)


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
