"""Which of the processes that train together this one is, as torchrun and Lightning say it."""

from __future__ import annotations

import os


def rank() -> int:
    """The number of this process; 0 talks and writes."""
    return int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0")))


def processes(devices: int = 1) -> int:
    """How many there are; `devices` where they are not started yet."""
    return int(os.environ.get("WORLD_SIZE", devices))
