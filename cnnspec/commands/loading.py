"""What the verbs that load weights share: options for cnnspec_torch.pretrained, and what to say of the outcome."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cnnspec.commands.common import say
from cnnspec.commands.progress import bar
from cnnspec.diagnostics import UsageError, printable


@contextmanager
def loading(weights: str | None, names: str | None, download: bool) -> Iterator[dict[str, Any]]:
    """Options of `pretrained.load`, with a bar while it is fetched. Raises UsageError for some without weights."""
    if weights is None and (names or download):
        raise UsageError(f"{'--names' if names else '--download'} is for --weights")
    with bar("downloading") as tick:
        yield {"names": names, "download": download, "tick": tick, "warn": _warn}


def _warn(text: str) -> None:
    say(printable(f"warning: {text}"))


def say_loaded(loaded: object) -> None:
    """Say what of the weights found no place, and what of the network has none; nothing where all fits."""
    if text := str(loaded):
        say(printable(text).replace("\\x0a", "\n"))
