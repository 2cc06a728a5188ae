"""Tables: aligned plain text, or rich's on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    name: str
    right: bool = False


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
    """The same to a terminal; rich folds what its width does not hold."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column.name, justify="right" if column.right else "left", overflow="fold")
    for cells in rows:
        table.add_row(*(Text(cell) for cell in cells))  # Text: nothing in a spec is markup
    Console(highlight=False).print(table)
