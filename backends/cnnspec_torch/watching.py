"""Data workers that hold the reader up where the loader's own time limit does not count."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import wait
from typing import Any

from torch._C import _remove_worker_pids

LATER = 2
"""Seconds that the loader's own limit goes first."""


class Watch:
    """Kills the workers once one batch takes too long: a worker that stops while it hands over what it has read would
    be waited for without end, since the limit of torch's loader ends where a batch begins to come."""

    def __init__(self, reading: Any, limit: float) -> None:
        self.reading, self.limit = reading, limit + LATER
        self.begun: float | None = None
        self.struck = False
        self.over = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """While a batch is waited for."""
        self.begun = time.monotonic()
        try:
            yield
        finally:
            self.begun = None

    def _watch(self) -> None:
        while not self.over.wait(0.5):
            begun = self.begun
            if begun is not None and time.monotonic() - begun > self.limit:
                self.struck = True
                unheard(self.reading)
                for worker in self.reading._workers:
                    worker.kill()
                return


def unheard(reading: Any) -> None:
    """Let torch no more raise, wherever the reader then is, that a worker of its has ended."""
    if reading._worker_pids_set:
        _remove_worker_pids(id(reading))
        reading._worker_pids_set = False


def killed(reading: Any, limit: float) -> list[Any]:
    """The workers that a signal ended; those that end are waited for, so many seconds for the first."""
    unheard(reading)
    ended = wait([one.sentinel for one in reading._workers], limit)
    for worker in reading._workers:
        if worker.sentinel in ended:
            worker.join()
    return [one for one in reading._workers if (one.exitcode or 0) < 0]
