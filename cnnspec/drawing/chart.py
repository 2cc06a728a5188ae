"""Memory over time as inline SVG: a bar for everything that runs, the highest marked and named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from cnnspec.commands.common import bytes_text
from cnnspec.diagnostics import printable

WIDTH, HEIGHT = 1000, 200


def chart(title: str, marks: Sequence[tuple[str, int]], places: Mapping[str, int]) -> str:
    """A figure whose bars tell what runs and what is held; the peak leads to its row in the table where it has one."""
    most = max((held for _, held in marks), default=0) or 1
    peak = next(place for place, (_, held) in enumerate(marks) if held == most) if marks else 0
    step = WIDTH / max(len(marks), 1)
    bars = "".join(
        f'<rect x="{place * step:.2f}" y="{HEIGHT * (1 - held / most):.1f}" width="{step:.2f}" '
        f'height="{HEIGHT * held / most:.1f}"{_peak(place == peak)}><title>{_told(name, held)}</title></rect>'
        for place, (name, held) in enumerate(marks)
    )
    at = marks[peak][0] if marks else ""
    node = at.removeprefix("backward of ")
    where = f'<a href="#n{places[node]}">{escape(printable(at))}</a>' if node in places else escape(printable(at))
    middle = f"{100 * (peak + 0.5) * step / WIDTH:.2f}%"
    return (
        f'<figure class="chart"><figcaption>{title}: at most <b>{bytes_text(most)}</b>, at {where}</figcaption>'
        f'<div class="plot"><span class="mark" style="left:{middle}"></span>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="{title}, {len(marks)} steps, at most {bytes_text(most)}">{bars}</svg></div></figure>'
    )


def _peak(there: bool) -> str:
    return ' class="peak"' if there else ""


def _told(name: str, held: int) -> str:
    return escape(f"{printable(name)}: {bytes_text(held)}")
