"""What `train` says while a run goes on."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from json import dumps
from typing import TYPE_CHECKING, Any

from cnnspec.commands.common import out, say
from cnnspec.diagnostics import printable

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

WIDTH = 120
"""Columns of a line on an epoch."""
LOSS = "loss"


class Telling:
    """Tells of a run: JSON Lines on stdout, else on stderr a line an epoch, and a bar below where it is a terminal."""

    def __init__(self, json: bool) -> None:
        self.json = json
        self.epochs = 0
        self.bar: Progress | None = None
        self.task: TaskID | None = None

    def __enter__(self) -> Telling:
        if not self.json and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
            self.bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self.bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.bar:
            self.bar.stop()

    def __call__(self, event: dict[str, Any]) -> None:
        if event["event"] == "step":
            self._step(event)
        elif self.json:
            out(dumps(event))
        elif event["event"] == "begin":
            self._begin(event)
        elif event["event"] == "warning":
            self._say(printable(f"warning: {event['message']}"))
        elif event["event"] == "epoch":
            self._say(epoch_line(event, self.epochs))

    def _begin(self, event: dict[str, Any]) -> None:
        self.epochs = event["epochs"]
        parts = f"{event['training']} training, {event['validation']} validation, {event['test']} held out"
        self._say(printable(f"{event['spec']} on {event['data']}: {parts}; into {event['folder']}"))
        if self.bar:
            self.task = self.bar.add_task("epoch 1", total=event["steps"])

    def _step(self, event: dict[str, Any]) -> None:
        if self.bar and self.task is not None:
            text = f"epoch {event['epoch']}/{self.epochs}  loss {event['loss']:.4f}  {_speed(event)}"
            self.bar.update(self.task, completed=event["step"], description=text)

    def _say(self, text: str) -> None:
        """A line that stays, above the bar."""
        if self.bar:
            self.bar.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            say(text)


def epoch_line(event: Mapping[str, Any], epochs: int) -> str:
    """What an epoch came to, in at most `WIDTH` columns: of too many metrics the last are left out."""
    found = {k.removeprefix("validation_"): v for k, v in event.items() if k.startswith("validation_")}
    done = event["epoch"]
    left = (
        _time(event["seconds"] / done * (epochs - done)) + " left"
        if done < epochs
        else f"{_time(event['seconds'])} in all"
    )
    head = f"epoch {done:>{len(str(epochs))}}/{epochs}  loss {event['loss']:.4f}  val {found.pop(LOSS):.4f}"
    tail = [_speed(event), left, *(["best"] if event["best"] else [])]
    shown = [f"{name} {value:.2%}" for name, value in found.items()]
    while len(line := "  ".join([head, *shown, *tail])) > WIDTH and shown:
        shown.pop()
    return line


def metrics(found: Mapping[str, float]) -> str:
    """The numbers of a result; parts of 1 as percent, the loss only where there is nothing else."""
    shown = {name: value for name, value in found.items() if name != LOSS} or found
    return ", ".join(f"{name} {value:.4f}" if name == LOSS else f"{name} {value:.2%}" for name, value in shown.items())


def _speed(event: Mapping[str, Any]) -> str:
    return f"{event['images_per_second']:.0f} img/s, {event['waiting']:.0%} wait"


def _time(seconds: float) -> str:
    """1:23, or 2:01:23."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
