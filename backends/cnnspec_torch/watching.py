"""Data workers that hold the reader up where the loader's own time limit does not count."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
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
                self._kill()
                return

    def _kill(self) -> None:
        if self.reading._worker_pids_set:  # else torch raises, wherever the reader then is, that its worker was killed
            _remove_worker_pids(id(self.reading))
            self.reading._worker_pids_set = False
        for worker in self.reading._workers:
            worker.kill()
