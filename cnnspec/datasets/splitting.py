"""Which samples train, validate and test where the data does not say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from cnnspec.datasets.parts import WHOLE, Found, Raw, shown
from cnnspec.diagnostics import MissingError, RunError

if TYPE_CHECKING:
    from numpy.typing import NDArray

PARTS = ("train", "validation", "test")


def split(classes: NDArray[np.int64], parts: tuple[float, ...], seed: int) -> list[NDArray[np.int64]]:
    """Positions for each part in turn and for the rest, with every class in proportion; sorted within each part."""
    chosen: list[list[int]] = [[] for _ in range(len(parts) + 1)]
    for label in np.unique(classes):
        members = np.flatnonzero(classes == label)
        np.random.default_rng((seed, int(label) % 2**32)).shuffle(members)
        ends = np.rint(np.cumsum([0.0, *parts]) * len(members)).astype(int).tolist()
        for part, (start, end) in zip(chosen, zip(ends, [*ends[1:], len(members)], strict=True), strict=True):
            part.extend(members[start:end].tolist())
    return [np.sort(np.asarray(part, dtype=np.int64)) for part in chosen]


def divided(found: Found, shares: Mapping[str, float], seed: int) -> dict[str, Raw]:
    """The parts `train`, `validation` and `test`; one that the data lacks is cut from its training samples.

    Raises RunError where a part is empty.
    """
    parts = {name: part for name, part in found.parts.items() if name != WHOLE}
    rest = found.parts.get(WHOLE, parts.get("train"))
    if rest is not None:
        lacking = [name for name in ("test", "validation") if name not in parts]
        strata = np.zeros(len(rest), np.int64) if rest.classes is None else rest.classes
        cuts = split(strata, tuple(shares[name] for name in lacking), seed)
        parts |= {name: rest.take(cut) for name, cut in zip([*lacking, "train"], cuts, strict=True)}
        for name in lacking:
            if len(parts[name]) == 0:
                raise RunError(f"the {name} part of the split is empty", f"--set recipe.split.{name}=0.2")
    return {name: parts[name] for name in PARTS if name in parts}


def chosen(found: Found, part: str, shares: Mapping[str, float], seed: int) -> dict[str, Raw]:
    """One part, or every one there is for `all`. Raises MissingError where the data has none of that name."""
    if part == WHOLE:
        return found.parts
    parts = divided(found, shares, seed) if found.parts else {}
    if part not in parts and not found.faults:
        there = ", ".join(parts) or "none"
        raise MissingError(f"{shown(found.name)} has no {part} part, it has {there}", "--split all takes what there is")
    return {part: parts[part]} if part in parts else {}
