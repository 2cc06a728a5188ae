"""A run's rows for TensorBoard, beside metrics.csv."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from cnnspec.diagnostics import MissingError

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

EVENTS = "events.out.tfevents.*"


def wanted() -> None:
    """Raises MissingError where TensorBoard is not installed."""
    if find_spec("tensorboard") is None:
        raise MissingError("recipe.tensorboard needs tensorboard", "pip install 'cnnspec[tensorboard]'")


class Board:
    """Writes a run folder's epochs as scalars by the names of their columns."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.writer: SummaryWriter | None = None

    def row(self, row: Mapping[str, float]) -> None:
        """An epoch; of later ones that another process wrote before, none are shown."""
        epoch = int(row["epoch"])
        if self.writer is None:
            from torch.utils.tensorboard import SummaryWriter

            self.writer = SummaryWriter(str(self.folder), purge_step=epoch)
        for name, value in row.items():
            if name != "epoch":
                self.writer.add_scalar(name, value, epoch)
        self.writer.flush()

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()
