"""One part of the data, decoded and checked sample by sample."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

from cnnspec import vision
from cnnspec.datasets import labels
from cnnspec.datasets.parts import Boxes, Raw, shown
from cnnspec.datasets.samples import Images, Part, Room, Wanted
from cnnspec.diagnostics import MissingError, RunError

if TYPE_CHECKING:
    from cnnspec.vision import Pixels


@dataclass(frozen=True)
class Sifted:
    """A part's good samples, the faults of those that cannot be used, labels that are `wrong` in those that can be,
    each image's hash with its position among the good, and how many masks hold the value `raw.void`."""

    part: Part
    faults: list[str]
    wrong: list[str]
    hashes: dict[bytes, int]
    voided: int


@dataclass
class _Kept:
    """What is gathered of the good samples, one after another."""

    good: list[int] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(default_factory=list)
    images: list[Pixels | None] = field(default_factory=list)
    boxes: list[Boxes] = field(default_factory=list)
    masks: list[Pixels | None] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    voided: int = 0


def sift(part: str, raw: Raw, wanted: Wanted, room: Room, tick: Callable[[], None]) -> Sifted:
    """Decode every image of a part; `room` says what may be kept of it, `tick` hears of each.

    An image that cannot be read is named with its position in the part, which is its `Part.index`.
    """
    kept = _Kept()
    faults: list[str] = []
    hashes: dict[bytes, int] = {}
    whole = None
    if wanted.fit is not None and room.holds(len(raw) * int(np.prod(wanted.shape))):
        whole = np.empty((len(raw), *wanted.shape), np.uint8)
    for position in range(len(raw)):
        tick()
        try:
            image = _checked(part, raw, position, wanted, room, kept)
        except (RunError, MissingError) as error:
            faults.append(shown(error.message))
            continue
        sign = blake2b(f"{image.shape}".encode() + image.tobytes(), digest_size=16).digest()
        hashes.setdefault(sign, len(kept.good))
        if whole is not None:
            whole[len(kept.good)] = _fitted(image, wanted)
        elif wanted.fit is None:
            kept.images.append(image if room.holds(image.nbytes) else None)
        kept.good.append(position)
        kept.sizes.append(image.shape[:2])
    held: Pixels | Sequence[Pixels | None] | None = None if whole is None else whole[: len(kept.good)]
    if wanted.fit is None:
        held = kept.images
    return Sifted(_part(raw, wanted, kept, held), faults, kept.wrong, hashes, kept.voided)


def _checked(part: str, raw: Raw, position: int, wanted: Wanted, room: Room, kept: _Kept) -> Pixels:
    """The image of a sample; its boxes and mask are kept. Raises RunError or MissingError where it cannot be used."""
    if raw.classes is not None and "classes" in wanted.kinds:
        label = int(raw.classes[position])
        if not 0 <= label < wanted.classes:
            raise RunError(f"{raw.label_place(position)}: the label {label}, allowed are 0 to {wanted.classes - 1}")
    try:
        image = raw.load(position, wanted.channels)
    except (RunError, MissingError) as error:
        raise RunError(f"{error.message} (sample {position} of {part})") from None
    height, width = image.shape[:2]
    mask = None
    if "masks" in wanted.kinds:
        mask, fault, voided = labels.mask(raw, position, height, width, wanted.classes)
        kept.wrong.extend([fault] if fault else [])
        kept.voided += voided
    if wanted.kinds & {"box", "boxes"}:
        boxes, wrong = labels.boxes(raw, position, height, width, wanted.classes)
        kept.wrong.extend(wrong)
        if "box" in wanted.kinds and len(boxes) != 1:
            raise RunError(f"{raw.label_place(position)}: {len(boxes)} boxes; the network finds exactly one an image")
        kept.boxes.append(boxes)
    if mask is not None:
        kept.masks.append(mask if room.holds(mask.nbytes) else None)
    return image


def _part(raw: Raw, wanted: Wanted, kept: _Kept, held: Pixels | Sequence[Pixels | None] | None) -> Part:
    index = np.asarray(kept.good, np.int64)
    chosen = raw.take(index)
    classes = chosen.classes if "classes" in wanted.kinds else None
    if classes is None and "box" in wanted.kinds:
        classes = np.asarray([int(boxes.classes[0]) for boxes in kept.boxes], np.int64)

    def mask(position: int) -> Pixels:
        if (one := kept.masks[position]) is not None:
            return one
        return labels.mask(chosen, position, *kept.sizes[position], wanted.classes)[0]

    return Part(
        Images(len(index), lambda i: _fitted(chosen.load(i, wanted.channels), wanted), held),
        classes,
        chosen.place,
        index,
        len(raw),
        np.asarray(kept.sizes, np.int64).reshape(-1, 2),
        kept.boxes if wanted.kinds & {"box", "boxes"} else None,
        mask if "masks" in wanted.kinds else None,
    )


def _fitted(image: Pixels, wanted: Wanted) -> Pixels:
    if wanted.fit is None or (wanted.fit == "stretch" and image.shape == wanted.shape):
        return image
    return vision.resize(image, wanted.height, wanted.width, wanted.fit)
