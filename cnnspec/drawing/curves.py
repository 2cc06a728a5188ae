"""Precision over recall as a picture, one line for each class: SVG, drawn by hand, so that nothing is needed for it."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnspec.datasets.colours import colours
from cnnspec.diagnostics import printable
from cnnspec.precision import average_precision

if TYPE_CHECKING:
    from cnnspec.precision import Curve

SIDE, LEFT, TOP, LINE = 320, 56, 40, 18
"""Pixels of the square, beside and above it, and of a line of the legend."""
POINTS = 101


def points(one: Curve) -> list[dict[str, float]]:
    """The highest precision at each of 101 recalls or above, and the score from which that is reached; as JSON has it.

    Recalls that are not reached are left out.
    """
    found: list[dict[str, float]] = []
    if not one.boxes or not len(one.recall):
        return found
    highest = np.maximum.accumulate(one.precision[::-1])[::-1]
    for recall in np.linspace(0, 1, POINTS):
        at = int(np.searchsorted(one.recall, recall - 1e-12))
        if at < len(one.recall):
            precision, score = float(highest[at]), float(one.scores[at])
            found.append({"recall": round(float(recall), 2), "precision": precision, "score": score})
    return found


def svg(curves: Mapping[str, Curve], title: str) -> str:
    """Curves by the names of classes; the legend gives each its average precision (VOC 2010's)."""
    there = {name: one for name, one in curves.items() if one.boxes}
    shades = colours(max(1, len(curves)))
    marks: list[str] = []
    legend: list[str] = []
    for number, (name, one) in enumerate(curves.items()):
        if name not in there:
            continue
        shade = "#" + bytes(shades[number].tolist()).hex()
        line = " ".join(f"{_x(p['recall']):.1f},{_y(p['precision']):.1f}" for p in points(one))
        marks.append(f'<polyline points="{line}" fill="none" stroke="{shade}" stroke-width="2"/>')
        y = TOP + LINE * len(legend) + 12
        text = f"{_text(name)} {average_precision(one, 'voc2010'):.3f}"
        legend.append(
            f'<rect x="{LEFT + SIDE + 20}" y="{y - 10}" width="12" height="12" fill="{shade}"/>'
            f'<text x="{LEFT + SIDE + 38}" y="{y}">{text}</text>'
        )
    height = max(TOP + SIDE + 48, TOP + LINE * len(legend) + 24)
    width = LEFT + SIDE + 240
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    style = ' font-family="sans-serif" font-size="12">'
    ground = f'<rect width="{width}" height="{height}" fill="white"/>'
    heading = f'<text x="{LEFT}" y="22" font-size="14">{_text(title)}</text>'
    return "\n".join([head + style, ground, heading, *_axes(), *marks, *legend, "</svg>"]) + "\n"


def _axes() -> list[str]:
    parts = [f'<rect x="{LEFT}" y="{TOP}" width="{SIDE}" height="{SIDE}" fill="none" stroke="#888"/>']
    for tenth in range(0, 11, 2):
        part = tenth / 10
        parts.append(f'<text x="{_x(part):.0f}" y="{TOP + SIDE + 16}" text-anchor="middle">{part:g}</text>')
        parts.append(f'<text x="{LEFT - 8}" y="{_y(part) + 4:.0f}" text-anchor="end">{part:g}</text>')
    middle = TOP + SIDE / 2
    parts.append(f'<text x="{LEFT + SIDE / 2:.0f}" y="{TOP + SIDE + 34}" text-anchor="middle">recall</text>')
    turn = f'transform="rotate(-90 16 {middle:.0f})"'
    parts.append(f'<text x="16" y="{middle:.0f}" text-anchor="middle" {turn}>precision</text>')
    return parts


def _x(recall: float) -> float:
    return LEFT + SIDE * recall


def _y(precision: float) -> float:
    return TOP + SIDE * (1 - precision)


def _text(value: Any) -> str:
    return escape(printable(str(value)))
