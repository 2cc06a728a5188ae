"""Signals during a run: the first asks it to stop after the step, with a checkpoint; the second ends it at once."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from cnnspec.ranks import rank

TAKEN = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Left(Exception):
    """A run leaves because a signal asked it to. Lightning would turn a KeyboardInterrupt into an exit with 1."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    def raised(self) -> BaseException:
        """What the signal would have raised by itself; of several processes the first says why they leave."""
        if rank():
            return SystemExit(0)
        return KeyboardInterrupt() if self.number == signal.SIGINT else SystemExit(128 + self.number)


class Signals:
    """`asked` is the signal that came first, 0 before; `before` holds the handlers of those that are heard."""

    def __init__(self) -> None:
        self.asked = 0
        self.at_once = False
        self.before: dict[int, Any] = {}

    def take(self) -> None:
        """Hear signals, again where another's handler has come between. Raises ValueError outside the main thread."""
        for number in [*self.before] or TAKEN:
            if signal.getsignal(number) != signal.SIG_IGN:
                before = signal.signal(number, self._hear)
                self.before.setdefault(number, before)

    def free(self) -> None:
        """From now on there is nothing to save: the first signal ends the run at once, also one that came before."""
        self.at_once = True
        if self.asked:
            self.leave()

    def leave(self, number: int = 0) -> None:
        """Raises Left, for the signal that came or one that another process has had."""
        raise Left(self.asked or number)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.asked or self.at_once:
            self.leave(number)
        self.asked = number


@contextmanager
def heard() -> Iterator[Signals]:
    """Handlers for the time of a run; only a main thread can have them. A signal that was to be ignored, as nohup asks
    it, still is."""
    signals = Signals()
    with suppress(ValueError):
        signals.take()
    try:
        yield signals
    except Left as left:
        raise left.raised() from None
    finally:
        for taken, handler in signals.before.items():
            signal.signal(taken, handler)
