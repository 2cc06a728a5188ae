"""What the benchmarks share: paired rounds, intervals that assume no distribution, and one way to print."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import comb


@dataclass(frozen=True)
class Ratio:
    """Ours over theirs: medians in seconds, the median of the rounds' ratios and its interval of at least 95 %."""

    ours: float
    theirs: float
    ratio: float
    low: float
    high: float


Clock = Callable[[], float]
CLOCKS: dict[str, Clock] = {"wall": time.perf_counter, "cpu": time.process_time}


def paired(
    ours: Callable[[], object],
    theirs: Callable[[], object],
    rounds: int,
    warm: int = 1,
    clock: Clock = time.perf_counter,
) -> Ratio:
    """Both once a round, in alternating order, so that what the machine does meanwhile meets both alike."""
    times = together({"ours": ours, "theirs": theirs}, rounds, warm, clock)
    return compared(times["ours"], times["theirs"])


def together(
    works: Mapping[str, Callable[[], object]], rounds: int, warm: int = 1, clock: Clock = time.perf_counter
) -> dict[str, list[float]]:
    """Each work's seconds, one a round: all of them once a round, every second round in the order turned round."""
    for _ in range(warm):
        for work in works.values():
            work()
    times: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(rounds):
        for name in reversed([*works]) if turn % 2 else works:
            times[name].append(seconds(works[name], clock))
    return times


def compared(ours: Sequence[float], theirs: Sequence[float]) -> Ratio:
    """What the rounds say of two works that ran in them."""
    ratios = sorted(a / b for a, b in zip(ours, theirs, strict=True))
    low, high = median_interval(len(ratios))
    return Ratio(
        ours=statistics.median(ours),
        theirs=statistics.median(theirs),
        ratio=statistics.median(ratios),
        low=ratios[low],
        high=ratios[high],
    )


def seconds(work: Callable[[], object], clock: Clock = time.perf_counter) -> float:
    start = clock()
    work()
    return clock() - start


def median_interval(count: int, level: float = 0.95) -> tuple[int, int]:
    """Ranks (from 0) between which the median lies with at least that probability: the sign test turned round."""
    cut, tail = 0, 0.0
    while cut < count // 2 and 2 * (tail + comb(count, cut) / 2**count) <= 1 - level:
        tail += comb(count, cut) / 2**count
        cut += 1
    low = max(cut - 1, 0)
    return low, count - 1 - low


def options(about: str, rounds: int, clock: bool = False) -> argparse.Namespace:
    return parser(about, rounds, clock).parse_args()


def parser(about: str, rounds: int, clock: bool = False) -> argparse.ArgumentParser:
    """The options that the benchmarks share, to which one may add its own."""
    made = argparse.ArgumentParser(description=about)
    made.add_argument("--json", action="store_true", help="print one JSON document")
    made.add_argument("--rounds", type=int, default=rounds, help=f"paired rounds ({rounds})")
    made.add_argument("--only", default=None, help="only rows whose name holds this")
    if clock:
        what = "wall, or cpu: this process's own time, for a machine that others use too"
        made.add_argument("--clock", choices=CLOCKS, default="wall", help=what)
    return made


def show(name: str, rows: Sequence[dict[str, object]], as_json: bool) -> None:
    """A small table, or the JSON document."""
    if as_json:
        print(json.dumps({"benchmark": name, "python": sys.version.split()[0], "rows": list(rows)}, indent=2))
        return
    header = list(rows[0])
    cells = [header, *([_cell(row[key]) for key in header] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(header))]
    for line in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def show_parts(name: str, parts: Mapping[str, Sequence[dict[str, object]]], as_json: bool) -> None:
    """A table for each part, or one JSON document whose rows say their part."""
    if as_json:
        show(name, [{"part": part, **row} for part, rows in parts.items() for row in rows], as_json)
        return
    for rows in filter(None, parts.values()):
        show(name, rows, as_json)


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else "-" if value is None else str(value)
