"""Files written so that a crash, a full disk or a power cut leaves the old one or the new one, never a part."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from cnnspec.diagnostics import RunError


def write(path: Path, data: bytes | Iterable[bytes], size: int | None = None) -> None:
    """Write a file so that it is whole or not there: beside, fsync, rename, fsync of the folder.

    `data` may come in parts, `size` being their sum. Raises RunError, naming the path and the bytes needed and free;
    what was there before stays.
    """
    parts = [data] if isinstance(data, bytes) else data
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with beside.open("wb") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise no_room(path, len(data) if isinstance(data, bytes) else size or 0, error) from None
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)


def no_room(path: Path, need: int, error: OSError) -> RunError:
    """What to say where a write fails."""
    try:
        free = f"{shutil.disk_usage(path.parent).free} bytes are free"
    except OSError:
        free = "the folder is gone"
    return RunError(f"cannot write {path}: {error.strerror}; {need} bytes are needed, {free}")


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
