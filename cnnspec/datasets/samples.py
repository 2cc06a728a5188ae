"""Checked samples: what is asked for, and what training and evaluation get."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cnnspec.datasets.parts import Boxes
    from cnnspec.vision import Fit, Pixels


@dataclass(frozen=True)
class Wanted:
    """How images come, and what must be known of them.

    `fit` None leaves every image at its own size, and `height` and `width` are not looked at. `classes` is how many
    the network's heads tell apart. `skip` leaves out samples that cannot be used, `skip_labels` boxes, and values of
    masks, that cannot be right. `kinds` is what the heads need, of {"classes", "box", "boxes", "masks"}; "box" is
    exactly one box an image, which then says the image's class too where nothing else does.
    """

    channels: int
    height: int
    width: int
    fit: Fit | None
    classes: int
    skip: bool = False
    kinds: frozenset[str] = frozenset({"classes"})
    skip_labels: bool = False

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.height, self.width, self.channels


class Images:
    """Images, uint8 [h, w, c]: each in memory, or decoded anew whenever it is asked for."""

    def __init__(
        self, number: int, decode: Callable[[int], Pixels], kept: Pixels | Sequence[Pixels | None] | None = None
    ) -> None:
        self.number, self.decode, self.kept = number, decode, kept

    def __len__(self) -> int:
        return self.number

    def one(self, position: int) -> Pixels:
        """One image, uint8 [h, w, c]."""
        held = None if self.kept is None else self.kept[position]
        return self.decode(position) if held is None else held

    def __getitem__(self, positions: Sequence[int]) -> Pixels:
        """Images of one size, uint8 [n, h, w, c]."""
        if isinstance(self.kept, np.ndarray):
            found: Pixels = self.kept[positions]
            return found
        return np.stack([self.one(position) for position in positions])


@dataclass(frozen=True)
class Part:
    """The samples of one part that can be used.

    `classes` int64 [n], `boxes` (in pixels of the original image) and `masks`, position -> uint8 [h, w] of the
    original image's size with 255 for void, are None where they were not wanted. `index` int64 [n] is each sample's
    position among the `total` there were before any was left out: what is drawn by it is the same with and without.
    `sizes` int64 [n, 2] are height and width of the original images.
    """

    images: Images
    classes: NDArray[np.int64] | None
    place: Callable[[int], str]
    index: NDArray[np.int64]
    total: int
    sizes: NDArray[np.int64]
    boxes: Sequence[Boxes] | None = None
    masks: Callable[[int], Pixels] | None = None

    def __len__(self) -> int:
        return len(self.images)


@dataclass
class Room:
    """Bytes of memory that may still hold images."""

    left: int

    def holds(self, number: int) -> bool:
        """Whether so many bytes fit; they are taken then."""
        if number > self.left:
            return False
        self.left -= number
        return True
