"""The other processes of a run: those that read data, and those that train together with this one."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from cnnspec_torch.runs import SHARED
from cnnspec_torch.signals import Left

if TYPE_CHECKING:
    import pytorch_lightning as pl
    from torch.utils.data import DataLoader

PATIENCE = 10
"""Seconds that others have to end by themselves."""
LIGHTNINGS = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "LOCAL_RANK", "WORLD_SIZE")
"""What Lightning puts into the environment when it starts the others, and leaves there."""


class Crew:
    """`loaders` may have workers, `trainers` may have started processes."""

    def __init__(self) -> None:
        self.loaders: list[DataLoader[Any]] = []
        self.trainers: list[pl.Trainer] = []

    def dismiss_readers(self, before: set[Any]) -> None:
        """End the workers, also one that hangs or is stopped, for which Python would wait for ever when it exits."""
        for loader in self.loaders:
            iterator: Any = getattr(loader, "_iterator", None)
            if iterator is not None and hasattr(iterator, "_shutdown_workers"):
                with contextlib.suppress(RuntimeError):  # of a worker that is dead already
                    iterator._shutdown_workers()
                loader._iterator = None
        for child in set(multiprocessing.active_children()) - before:
            child.kill()
            child.join()

    def dismiss_peers(self, at_once: bool) -> None:
        for trainer in self.trainers:
            for peer in getattr(trainer.strategy.launcher, "procs", ()):
                with contextlib.suppress(subprocess.TimeoutExpired):
                    peer.wait(0 if at_once else PATIENCE)
                peer.kill()
                peer.wait()
                peer.returncode = 0  # else Lightning's observer, which looks at it, kills this process too


@contextmanager
def crew(folder: Path) -> Iterator[Crew]:
    """No process that is started within outlives it; those that train too are told of the run folder."""
    before = set(multiprocessing.active_children())
    environment = {name: os.environ.get(name) for name in (*LIGHTNINGS, SHARED)}
    os.environ[SHARED] = str(folder)
    grouped = _grouped()
    found, at_once = Crew(), True
    try:
        yield found
        at_once = False
    except Left:
        at_once = False  # the others leave after the same step
        raise
    finally:
        found.dismiss_readers(before)
        found.dismiss_peers(at_once)
        if _grouped() and not grouped:
            torch.distributed.destroy_process_group()
        for name, value in environment.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _grouped() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()
