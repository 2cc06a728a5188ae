"""Rows of repeated blocks folded: what `show --diff` says of `unit_2`, `unit_3` and so on, where it is the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from cnnspec.tree import numbered

Row = tuple[str, ...]
"""A sign, a path, what stands there, and whatever else."""


@dataclass(frozen=True)
class _Block:
    """The rows in a row that lie under one prefix."""

    prefix: str
    rows: tuple[Row, ...]

    @property
    def step(self) -> tuple[str, str, int]:
        """The path above, and the last step's name and number."""
        above, _, last = self.prefix.rpartition(".")
        return above, *numbered(last)

    @property
    def inside(self) -> tuple[Row, ...]:
        """The rows as seen from the block."""
        return tuple(
            (sign, path[len(self.prefix) :], *(cell.replace(f"{self.prefix}.", ".") for cell in cells))
            for sign, path, *cells in self.rows
        )

    def follows(self, other: _Block) -> bool:
        """Whether it is the next repeat, and its rows say the same."""
        above, name, number = other.step
        return self.step == (above, name, number + 1) and self.inside == other.inside


def folded(rows: Sequence[Row]) -> list[Row]:
    """The rows in their order; repeats one after the other that say the same are one, `a.unit_2 .. unit_6.conv`."""
    repeated = {step[:2] for path in (row[1] for row in rows) for step in _steps(path) if step[2] > 1}
    grouped = groupby(rows, key=lambda row: (row[0], _prefix(row[1], repeated)))
    runs: list[list[_Block]] = []
    for (_, prefix), group in grouped:
        block = _Block(prefix, tuple(group))
        if runs and block.follows(runs[-1][-1]):
            runs[-1].append(block)
        else:
            runs.append([block])
    return [row for run in runs for row in _told(run)]


def _told(run: Sequence[_Block]) -> Iterable[Row]:
    first, last = run[0], run[-1]
    if first is last:
        return first.rows
    name = f"{first.prefix} .. {last.prefix.rpartition('.')[2]}"
    return [
        (
            sign,
            path.replace(first.prefix, name, 1),
            f"{len(run)} x {what}",
            *(cell.replace(f"{first.prefix}.", f"{name}.") for cell in cells),
        )
        for sign, path, what, *cells in first.rows
    ]


def _steps(path: str) -> list[tuple[str, str, int]]:
    """Every step of a path: the path above, its name and its number."""
    levels = path.split(".")
    return [(".".join(levels[:place]), *numbered(level)) for place, level in enumerate(levels)]


def _prefix(path: str, repeated: set[tuple[str, str]]) -> str:
    """The path down to the first step that is repeated; all of it where none is."""
    levels = path.split(".")
    found = (place for place, step in enumerate(_steps(path)) if step[:2] in repeated)
    return ".".join(levels[: next(found, len(levels)) + 1])
