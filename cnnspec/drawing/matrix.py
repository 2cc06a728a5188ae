"""A confusion matrix as a picture: SVG, drawn by hand, so that nothing is needed for it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from cnnspec.diagnostics import printable

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST = 40
"""Classes that are drawn; of more, those that are taken for others most often."""
LETTERS = 24
"""Characters of a label that are shown."""
LARGE = 10_000
"""The count from which on cells show their part of the row instead."""
PALE, DEEP = np.array([247, 251, 255]), np.array([8, 48, 107])
"""From none to all of a row: one hue, ever darker, which everybody tells apart."""


def svg(counts: NDArray[np.int64], labels: Sequence[str], title: str) -> str:
    """Counts [true, found]: a cell is the darker, the more of its row it holds, and tells its numbers to who points."""
    chosen = _chosen(counts)
    part = counts[chosen] / np.maximum(1, counts[chosen].sum(1, keepdims=True))
    names = [printable(labels[number]) for number in chosen]
    cell = 44 if len(names) <= 12 else 28 if len(names) <= 20 else 16
    longest = max((len(name) for name in names), default=1)
    left, top = 40 + 7 * min(LETTERS, longest), 58 + 6 * min(LETTERS, longest)
    side = cell * len(names)
    width, height = max(left + side + 20, 20 + 8 * len(title)), top + side + 20
    large = counts.max(initial=0) >= LARGE
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
        f' role="img" aria-label="{escape(title)}" font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="12" y="20" font-size="14">{escape(title)}</text>',
        *_names(names, cell, left, top),
    ]
    for row, true in enumerate(chosen):
        for column, found in enumerate(chosen):
            count, share = int(counts[true, found]), float(part[row, found])
            if count:
                told = f"{names[row]} taken for {names[column]}: {count:,}, {share:.1%}"
                text = f"{share:.0%}" if large else str(count)
                parts.append(_cell(left + cell * column, top + cell * row, cell, text, share, told))
    parts.append(f'<rect x="{left}" y="{top}" width="{side}" height="{side}" fill="none" stroke="#888"/>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _chosen(counts: NDArray[np.int64]) -> list[int]:
    """The classes that are drawn, in their order."""
    wrong = counts.sum(1) + counts.sum(0) - 2 * np.diagonal(counts)
    return sorted(np.argsort(-wrong, kind="stable")[:MOST].tolist())


def _names(names: Sequence[str], cell: int, left: int, top: int) -> list[str]:
    found = []
    for number, name in enumerate(names):
        text = escape(name if len(name) <= LETTERS else f"{name[: LETTERS - 1]}…")
        middle = cell * number + cell / 2
        found.append(f'<text x="{left - 6}" y="{top + middle + 4:.0f}" text-anchor="end">{text}</text>')
        x, y = f"{left + middle + 4:.0f}", top - 6
        turned = f'transform="rotate(-45 {x} {y})"' if len(name) > 3 or cell < 24 else 'text-anchor="middle"'
        found.append(f'<text x="{x}" y="{y}" {turned}>{text}</text>')
    return found


def _cell(x: int, y: int, cell: int, text: str, share: float, told: str) -> str:
    shade = "#" + bytes(np.rint(PALE + share**0.6 * (DEEP - PALE)).astype(np.uint8).tolist()).hex()
    drawn = f'<rect x="{x}" y="{y}" width="{cell}" height="{cell}" fill="{shade}"><title>{escape(told)}</title></rect>'
    if cell < 24 or 7 * len(text) > cell - 2:
        return drawn
    ink = "white" if share > 0.35 else "#222"
    place = f'x="{x + cell / 2:.0f}" y="{y + cell / 2 + 4:.0f}" text-anchor="middle"'
    return f'{drawn}<text {place} fill="{ink}" pointer-events="none">{text}</text>'
