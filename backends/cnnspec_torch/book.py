"""What a run folder keeps while a run goes on: a row an epoch, the events, the best weights so far."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors.torch
from torch import Tensor, nn

from cnnspec.durable import no_room
from cnnspec_torch import runs

if TYPE_CHECKING:
    from cnnspec_torch.board import Board
    from cnnspec_torch.checkpoints import Position

Row = dict[str, float]
Event = dict[str, Any]
Report = Callable[[Event], None]


class Book:
    """`column` chooses the best epoch, the most of it if `more`. Only one of several processes writes. A `board` hears
    of every epoch too."""

    def __init__(
        self,
        folder: Path,
        report: Report,
        header: Callable[[int, Row], runs.Header],
        best: tuple[str, bool],
        writes: bool = True,
        board: Board | None = None,
    ) -> None:
        self.folder, self.header, self.writes = folder, header, writes
        self.report = report if writes else lambda event: None
        self.column, self.more = best
        self.board = board if writes else None

    def epoch(self, row: Row, position: Position, net: nn.Module) -> Row:
        """Log an epoch, its weights kept where they are the best so far; gives the row as logged."""
        before = self.worth(self.best(position.rows)) if position.rows else -math.inf
        better = self.worth(row) > before
        if better and self.writes:
            metrics = {name: value for name, value in row.items() if name.startswith("validation_")}
            runs.write_weights(self.folder / runs.BEST, net.state_dict(), self.header(int(row["epoch"]), metrics))
        whole = {**row, "best": int(better), "seconds": position.seconds}
        if row["epoch"] == 1:
            self._append("metrics.csv", ",".join(whole))
        self._append("metrics.csv", ",".join(map(str, whole.values())))
        if self.board:
            self.board.row(whole)
        self.event({"event": "epoch", **whole})
        return whole

    def rewrite(self, rows: list[Row]) -> None:
        """Let metrics.csv hold these rows and no later ones."""
        if self.writes and rows:
            lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
            runs.write(self.folder / "metrics.csv", "".join(f"{line}\n" for line in lines).encode())
        elif self.writes:
            (self.folder / "metrics.csv").unlink(missing_ok=True)

    def best(self, rows: list[Row]) -> Row:
        """The first of the best rows."""
        return max(rows, key=lambda row: (self.worth(row), -row["epoch"]))

    def worth(self, row: Row) -> float:
        return row[self.column] if self.more else -row[self.column]

    def stale(self, rows: list[Row]) -> int:
        """Epochs since the best one."""
        return int(rows[-1]["epoch"] - self.best(rows)["epoch"]) if rows else 0

    def best_weights(self) -> dict[str, Tensor]:
        return safetensors.torch.load_file(self.folder / runs.BEST)

    def close(self) -> None:
        if self.board:
            self.board.close()

    def event(self, event: Event) -> None:
        self._append("events.jsonl", json.dumps(event, allow_nan=False))
        self.report(event)

    def _append(self, file: str, line: str) -> None:
        if not self.writes:
            return
        path = self.folder / file
        try:
            with path.open("a", encoding="utf-8") as log:
                log.write(f"{line}\n")
        except OSError as error:
            raise no_room(path, len(line) + 1, error) from None
