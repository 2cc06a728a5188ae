"""Counts the steps of writing files, and does something at the k-th: dies, or fails as a full disk does."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pytest

Step = Callable[[str, Path], None]
"""Hears of each step before it is done: open, write, fsync, rename, unlink, mkdir, and the path."""


class _Slow:
    """A file that writes in small pieces, each one a step."""

    def __init__(self, file: BinaryIO, path: Path, step: Step, piece: int) -> None:
        self.file, self.path, self.step, self.piece = file, path, step, piece

    def __enter__(self) -> _Slow:
        return self

    def __exit__(self, *error: object) -> None:
        self.file.close()

    def write(self, data: bytes) -> None:
        for start in range(0, len(data), self.piece):
            self.step("write", self.path)
            self.file.write(data[start : start + self.piece])

    def writelines(self, parts: Iterable[bytes]) -> None:
        for part in parts:
            self.write(part)

    def flush(self) -> None:
        pass

    def fileno(self) -> int:
        return self.file.fileno()


@contextmanager
def heard(step: Step, piece: int = 4096) -> Iterator[None]:
    """Let `step` hear of every step of writing a file in this process."""
    opened, renamed, removed, made, synced = Path.open, Path.replace, Path.unlink, Path.mkdir, os.fsync

    def open_(path: Path, mode: str = "r", *args: Any, **options: Any) -> Any:
        if mode not in ("wb", "ab"):
            return opened(path, mode, *args, **options)
        step("open", path)
        return _Slow(opened(path, mode, buffering=0), path, step, piece)  # type: ignore[arg-type]

    def replace(path: Path, target: Path) -> Path:
        step("rename", path)
        return renamed(path, target)

    def unlink(path: Path, missing_ok: bool = False) -> None:
        if path.exists() or not missing_ok:
            step("unlink", path)
        removed(path, missing_ok)

    def mkdir(path: Path, *args: Any, **options: Any) -> None:
        if not path.exists():
            step("mkdir", path)
        made(path, *args, **options)

    def fsync(descriptor: int) -> None:
        step("fsync", Path(f"/proc/self/fd/{descriptor}").resolve())
        synced(descriptor)

    with pytest.MonkeyPatch.context() as patch:
        for name, function in (("open", open_), ("replace", replace), ("unlink", unlink), ("mkdir", mkdir)):
            patch.setattr(Path, name, function)
        patch.setattr(os, "fsync", fsync)
        yield


def at(number: int, does: Callable[[], object], again: bool = False) -> Step:
    """Do something before step `number` of those to come, and before all later ones where `again`."""
    left = number

    def step(name: str, path: Path) -> None:
        nonlocal left
        left -= 1
        if left == -1 or (left < 0 and again):
            does()

    return step
