"""Tables: aligned plain text, or rich's on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """`spare` columns give way on a narrow terminal, the highest first."""

    name: str
    right: bool = False
    spare: int = 0


def plain(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> str:
    """Columns two blanks apart, no lines, nothing cut."""
    header = [column.name for column in columns]
    widths = [max(map(len, cells)) for cells in zip(header, *rows, strict=True)]
    return "\n".join(_row(columns, widths, cells) for cells in [header, *rows])


def _row(columns: Sequence[Column], widths: Sequence[int], cells: Sequence[str]) -> str:
    padded = (
        cell.rjust(width) if column.right else cell.ljust(width)
        for column, width, cell in zip(columns, widths, cells, strict=True)
    )
    return "  ".join(padded).rstrip()


def print_rich(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """The same to a terminal; what its width does not hold gives way, then folds."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    kept = fitting(columns, rows, console.width)
    for place in kept:
        column = columns[place]
        name = place == 0
        table.add_column(column.name, justify="right" if column.right else "left", no_wrap=not name, overflow="fold")
    for cells in rows:
        table.add_row(*(Text(cells[place]) for place in kept))  # Text: nothing in a spec is markup
    console.print(table)


def fitting(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """Places of the columns that fit side by side, two blanks apart."""
    sizes = [max(map(len, cells)) + 2 for cells in zip([column.name for column in columns], *rows, strict=True)]
    kept = list(range(len(columns)))
    for place in sorted(kept, key=lambda place: -columns[place].spare):
        if sum(sizes[one] for one in kept) <= width or not columns[place].spare:
            break
        kept.remove(place)
    return kept
