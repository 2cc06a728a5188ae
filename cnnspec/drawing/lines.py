"""Numbers over epochs as a small chart: SVG to stand inside a page, whose colours and letters it takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, isfinite, log10

from cnnspec.diagnostics import printable

WIDTH, HEIGHT = 460, 250
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 40, 34
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""M. Okabe and K. Ito: Color Universal Design, 2002: those seen on white and on near black."""
DASHES = ("", "6 3", "2 3", "8 3 2 3", "1 4", "10 4")
LEAST = 0.01
"""The smallest range of percent that is worth an axis."""
POINTED = 120
"""Epochs of which each point tells its number; of more, lines alone."""


@dataclass(frozen=True)
class Line:
    """A name, and a value for each epoch; epochs count from 1."""

    name: str
    values: Sequence[float]


def svg(title: str, lines: Sequence[Line], *, part: bool = False, best: int | None = None) -> str:
    """A chart of lines; `part` for values of 0 to 1, told in percent. `best` is an epoch to mark."""
    epochs = max(len(line.values) for line in lines)
    steps = ticks([value for line in lines for value in line.values if isfinite(value)], part)
    low, high = steps[0], steps[-1]

    def x(epoch: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * ((epoch - 1) / (epochs - 1) if epochs > 1 else 0.5)

    def y(value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (high - value) / (high - low)

    told = "; ".join(
        f"{line.name} from {number(line.values[0], part)} to {number(line.values[-1], part)}" for line in lines
    )
    label = escape(printable(f"{title} over {epochs} epoch{'s' * (epochs != 1)}: {told}"), quote=True)
    parts = [f'<svg class="plotted" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">']
    parts.append(f'<text class="title" x="{LEFT}" y="15">{escape(printable(title))}</text>')
    for step in steps:
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(step):.1f}" y2="{y(step):.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y(step) + 4:.1f}" text-anchor="end">{number(step, part)}</text>')
    for epoch in _epochs(epochs):
        parts.append(f'<text x="{x(epoch):.1f}" y="{HEIGHT - BOTTOM + 15}" text-anchor="middle">{epoch}</text>')
    parts.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 4}" text-anchor="middle">epoch</text>')
    if best is not None:
        where = f'x1="{x(best):.1f}" x2="{x(best):.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"'
        parts.append(f'<line class="best" {where}><title>best epoch: {best}</title></line>')
    left = float(LEFT)
    for place, line in enumerate(lines):
        style = f'stroke="{COLOURS[place % 6]}" stroke-dasharray="{DASHES[place % 6]}"'
        parts.append(_line(line, style, x, y))
        parts.append(f'<line class="line" x1="{left:.0f}" x2="{left + 18:.0f}" y1="27" y2="27" {style}/>')
        parts.append(f'<text x="{left + 23:.0f}" y="31">{escape(printable(line.name))}</text>')
        left += 36 + 6.6 * len(line.name)
        if epochs <= POINTED:
            parts += [
                f'<circle cx="{x(epoch):.1f}" cy="{y(value):.1f}" r="{2.5 if epochs < 40 else 1.5}" '
                f'fill="{COLOURS[place % 6]}">'
                f"<title>epoch {epoch}, {escape(printable(line.name))}: {number(value, part)}</title></circle>"
                for epoch, value in enumerate(line.values, 1)
                if isfinite(value)
            ]
    return "\n".join([*parts, "</svg>"])


def _line(line: Line, style: str, x: Callable[[float], float], y: Callable[[float], float]) -> str:
    points = " ".join(f"{x(e):.1f},{y(value):.1f}" for e, value in enumerate(line.values, 1) if isfinite(value))
    return f'<polyline class="line" points="{points}" {style}/>'


def ticks(values: Sequence[float], part: bool) -> list[float]:
    """Round numbers from below the least value to above the largest: steps of 1, 2 or 5 times a power of ten."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    if high - low < 1e-12 + 1e-9 * abs(high):
        low, high = low - (abs(low) / 10 or 0.5), high + (abs(high) / 10 or 0.5)
    low, high = (max(0.0, low), min(1.0, max(high, low + LEAST))) if part else (low, high)
    if 0 < low < 0.6 * high:
        low = 0.0
    rough = (high - low) / 5
    size = 10.0 ** floor(log10(rough))
    step = next(factor * size for factor in (1, 2, 5, 10) if factor * size >= rough * 0.999)
    first, last = floor(low / step + 1e-9), ceil(high / step - 1e-9)
    return [round(place * step, 12) for place in range(first, last + 1)]


def _epochs(number: int) -> list[int]:
    """Epochs that are named below."""
    if number <= 10:
        return list(range(1, number + 1))
    step = next(size for size in (5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10**9) if number / size <= 8)
    return [1, *range(step, number + 1, step)]


def number(value: float, part: bool) -> str:
    """Four digits at most, or percent."""
    return f"{100 * value:.4g}%" if part else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
