"""Decodes, checks and resizes the images of parts, once and before anything runs; keeps them where they fit."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cnnspec.datasets.parts import Raw, refuse, shown
from cnnspec.datasets.samples import Part, Room, Wanted
from cnnspec.datasets.sifting import Sifted, sift
from cnnspec.diagnostics import UsageError

SKIPPED = 0.01
"""The largest share of samples that may be left out."""

SKIP = f"--on-bad-sample skip leaves them out, up to {SKIPPED:.0%} of the samples"
SKIP_LABELS = "--on-bad-label skip leaves these labels out and keeps their images"

NEEDED = {"classes": "classes of images", "box": "boxes", "boxes": "boxes", "masks": "masks"}
"""What a kind of label is called."""


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
    range, a box or mask that does not fit its image, more than `SKIPPED` left out; UsageError for channels that images
    do not have, and for data without the labels that are wanted.
    """
    if wanted.channels not in (1, 3):
        raise UsageError(f"images have 1 or 3 channels, the network's input has {wanted.channels}")
    must_have(name, parts, wanted.kinds)
    total = sum(map(len, parts.values()))
    room = Room(free_memory())
    if wanted.fit is not None and total * int(np.prod(wanted.shape)) > room.left:
        room = Room(0)
    sifted = {part: sift(part, raw, wanted, room, lambda: tick(total)) for part, raw in parts.items()}
    bad = [fault for one in sifted.values() for fault in one.faults]
    wrong = [fault for one in sifted.values() for fault in one.wrong]
    skips = [SKIP] if bad and not wanted.skip else []
    skips += [SKIP_LABELS] if wrong and not wanted.skip_labels else []
    if faults or skips:
        due = [*faults, *([] if wanted.skip else bad), *([] if wanted.skip_labels else wrong)]
        refuse(name, due, None if faults else "; ".join(skips))
    if len(bad) > SKIPPED * total:
        refuse(name, [f"{len(bad)} of {total} samples are bad, more than {SKIPPED:.0%}; the first: {bad[0]}"])
    refuse(name, [f"{shown(name)}: no good sample in the {part} part" for part, one in sifted.items() if not one.part])
    loaded = Loaded({part: one.part for part, one in sifted.items()})
    if bad:
        loaded.warnings.append(f"{len(bad)} of {total} samples are left out; the first: {bad[0]}")
    if wrong:
        loaded.warnings.append(f"{_number(wrong)} left out; the first: {wrong[0]}")
    if number := sum(one.voided for one in sifted.values()):
        value = next(iter(parts.values())).void
        loaded.warnings.append(
            f"{shown(name)}: the value {value} in {number} masks is no class's; it is taken for void"
        )
    loaded.warnings.extend(_twice(sifted))
    return loaded


def _number(wrong: list[str]) -> str:
    return "1 bad label is" if len(wrong) == 1 else f"{len(wrong)} bad labels are"


def must_have(name: str, parts: Mapping[str, Raw], wanted: frozenset[str]) -> None:
    """Raises UsageError where the data lacks a kind of label that the heads need, naming it."""
    for raw in parts.values():
        kinds = raw.kinds | ({"classes"} if {"box"} <= wanted & raw.kinds else frozenset())
        if lacking := [kind for kind in NEEDED if kind in wanted - kinds]:
            known = [NEEDED[kind] for kind in NEEDED if kind in raw.kinds - {"box"}]
            has = f"; it has {' and '.join(known)}" if known else ""
            raise UsageError(f"the data '{shown(name)}' has no {NEEDED[lacking[0]]}, which the network learns{has}")


def _twice(sifted: Mapping[str, Sifted]) -> list[str]:
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
