"""Signals during a run: the first asks it to stop after the step, with a checkpoint; the second ends it at once."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

TAKEN = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Left(Exception):
    """A run leaves because a signal asked it to. Lightning would turn a KeyboardInterrupt into an exit with 1."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    def raised(self) -> BaseException:
        """What the signal would have raised by itself."""
        return KeyboardInterrupt() if self.number == signal.SIGINT else SystemExit(128 + self.number)


class Signals:
    """`asked` is the signal that came first, 0 before."""

    def __init__(self) -> None:
        self.asked = 0

    def leave(self) -> None:
        raise Left(self.asked)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            self.leave()
        self.asked = number


@contextmanager
def heard() -> Iterator[Signals]:
    """Handlers for the time of a run; only a main thread can have them."""
    signals = Signals()
    before: dict[int, Any] = {}
    try:
        for number in TAKEN:
            before[number] = signal.signal(number, signals._hear)
    except ValueError:  # another thread than the main one
        pass
    try:
        yield signals
    except Left as left:
        raise left.raised() from None
    finally:
        for taken, handler in before.items():
            signal.signal(taken, handler)
