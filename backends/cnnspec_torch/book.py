"""What a run folder keeps while a run goes on: a row an epoch, the events, the best weights so far."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from cnnspec import durable
from cnnspec.diagnostics import MissingError, RunError
from cnnspec_torch import checkpoints, runs, tensors

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
        self._rewrite([*position.rows, whole])
        if self.board:
            self.board.row(whole)
        self.event({"event": "epoch", **whole})
        return whole

    def resume(self, rows: list[Row]) -> None:
        """Stand where `rows` were the lines of metrics.csv. Raises RunError where their best weights are not there."""
        if not self.writes:
            return
        if rows and (due := int(self.best(rows)["epoch"])) > (there := self._kept()):
            raise RunError(f"{self.folder / runs.BEST} has the weights of epoch {there}, the best so far is {due}")
        for folder in (self.folder, self.folder / checkpoints.FOLDER):
            durable.sweep(folder)
        durable.mend(self.folder / "events.jsonl")
        self._rewrite(rows)

    def _kept(self) -> int:
        """The epoch of the best weights on disk, once their bytes verify; it may be one that is to be done again."""
        path = self.folder / runs.BEST
        try:
            tensors.read(path)
            return runs.read_header(path).epoch
        except (MissingError, RunError) as error:
            raise RunError(f"the best weights so far are lost: {error.message}") from None

    def _rewrite(self, rows: list[Row]) -> None:
        """Let metrics.csv hold these rows and no other ones."""
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
        return tensors.read(self.folder / runs.BEST)

    def close(self) -> None:
        if self.board:
            self.board.close()

    def event(self, event: Event) -> None:
        if self.writes:
            durable.append(self.folder / "events.jsonl", json.dumps(event, allow_nan=False))
        self.report(event)
