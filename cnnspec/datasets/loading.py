"""Decodes, checks and resizes the images of parts, once and before anything runs; keeps them where they fit."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cnnspec import vision
from cnnspec.datasets.parts import Raw, refuse, shown
from cnnspec.diagnostics import MissingError, RunError, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cnnspec.vision import Fit, Pixels

SKIPPED = 0.01
"""The largest share of samples that may be left out."""


@dataclass(frozen=True)
class Wanted:
    """How images come: `classes` of the head, and whether samples that cannot be used are skipped."""

    channels: int
    height: int
    width: int
    fit: Fit
    classes: int
    skip: bool = False

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.height, self.width, self.channels


class Images:
    """Images of one size, uint8 [n, h, w, c]: in memory, or decoded anew each time they are asked for."""

    def __init__(self, number: int, one: Callable[[int], Pixels], kept: Pixels | None) -> None:
        self.number, self.one, self.kept = number, one, kept

    def __len__(self) -> int:
        return self.number

    def __getitem__(self, positions: Sequence[int]) -> Pixels:
        if self.kept is not None:
            return self.kept[positions]
        return np.stack([self.one(position) for position in positions])


@dataclass(frozen=True)
class Part:
    """The samples of one part that can be used."""

    images: Images
    classes: NDArray[np.int64]
    place: Callable[[int], str]

    def __len__(self) -> int:
        return len(self.classes)


@dataclass(frozen=True)
class Loaded:
    """Parts by name, with warnings."""

    parts: dict[str, Part]
    warnings: list[str] = field(default_factory=list)


def free_memory() -> int:
    """Bytes of memory that may hold images: half of what is free, 2 GiB where the system does not say."""
    try:
        said = Path("/proc/meminfo").read_text(encoding="ascii")
    except OSError:
        return 2**31
    free = re.search(r"MemAvailable: *(\d+) kB", said)
    return int(free[1]) * 1024 // 2 if free else 2**31


def load(
    name: str,
    parts: Mapping[str, Raw],
    wanted: Wanted,
    faults: Sequence[str] = (),
    tick: Callable[[int], None] = lambda number: None,
) -> Loaded:
    """Decode every image once. `tick` hears of each with the number of all.

    Raises RunError with `faults` and every fault found here together: an image that cannot be decoded, a label out of
    range, more than `SKIPPED` left out; UsageError for channels that images do not have.
    """
    if wanted.channels not in (1, 3):
        raise UsageError(f"images have 1 or 3 channels, the network's input has {wanted.channels}")
    total = sum(map(len, parts.values()))
    keep = total * int(np.prod(wanted.shape)) <= free_memory()
    sifted = {part: _sift(raw, wanted, keep, lambda: tick(total)) for part, raw in parts.items()}
    bad = [fault for one in sifted.values() for fault in one.faults]
    if faults or not wanted.skip:
        skip = f"--on-bad-sample skip leaves them out, up to {SKIPPED:.0%} of the samples"
        refuse(name, [*faults, *bad], None if faults else skip)
    elif len(bad) > SKIPPED * total:
        refuse(name, [f"{len(bad)} of {total} samples are bad, more than {SKIPPED:.0%}; the first: {bad[0]}"])
    refuse(name, [f"{shown(name)}: no good sample in the {part} part" for part, one in sifted.items() if not one.part])
    loaded = Loaded({part: one.part for part, one in sifted.items()})
    if bad:
        loaded.warnings.append(f"{len(bad)} of {total} samples are left out; the first: {bad[0]}")
    loaded.warnings.extend(_twice(sifted))
    return loaded


@dataclass(frozen=True)
class _Sifted:
    part: Part
    faults: list[str]
    hashes: dict[bytes, int]


def _sift(raw: Raw, wanted: Wanted, keep: bool, tick: Callable[[], None]) -> _Sifted:
    """The good samples of a part, the faults of the others, and each image's hash with its position among the good."""
    kept = np.empty((len(raw), *wanted.shape), np.uint8) if keep else None
    good: list[int] = []
    faults: list[str] = []
    hashes: dict[bytes, int] = {}
    for position, label in enumerate(raw.classes.tolist()):
        tick()
        if not 0 <= label < wanted.classes:
            faults.append(f"{raw.label_place(position)}: the label {label}, allowed are 0 to {wanted.classes - 1}")
            continue
        try:
            image = raw.load(position, wanted.channels)
        except (RunError, MissingError) as error:
            faults.append(shown(error.message))
            continue
        hashes.setdefault(blake2b(f"{image.shape}".encode() + image.tobytes(), digest_size=16).digest(), len(good))
        if kept is not None:
            kept[len(good)] = _resized(image, wanted)
        good.append(position)
    chosen = raw.take(np.asarray(good, np.int64))
    images = Images(
        len(good),
        lambda position: _resized(chosen.load(position, wanted.channels), wanted),
        None if kept is None else kept[: len(good)],
    )
    return _Sifted(Part(images, chosen.classes, chosen.place), faults, hashes)


def _resized(image: Pixels, wanted: Wanted) -> Pixels:
    return vision.resize(image, wanted.height, wanted.width, wanted.fit)


def _twice(sifted: Mapping[str, _Sifted]) -> list[str]:
    """Images that training shares with another part: what is learned by heart is measured there."""
    if "train" not in sifted:
        return []
    training, found = sifted["train"], []
    for name, other in sifted.items():
        shared = [one for one in other.hashes if one in training.hashes] if name != "train" else []
        if shared:
            first = other.part.place(other.hashes[shared[0]])
            twin = training.part.place(training.hashes[shared[0]])
            number = f"{len(shared)} images of {name} are" if len(shared) > 1 else f"1 image of {name} is"
            found.append(f"{number} in training too: {first} is {twin}")
    return found
