"""Files written so that a crash, a full disk or a power cut leaves the old one or the new one, never a part."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from cnnspec.diagnostics import RunError

_LEFT = re.compile(r"\..+\.[0-9]+\.tmp")


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
        sync(path.parent)
    except OSError as error:
        raise no_room(path, len(data) if isinstance(data, bytes) else size or 0, error) from None
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)


def append(path: Path, line: str) -> None:
    """Add a line to a log. Raises RunError as `write` does; a crash may leave a part of the line, see `mend`."""
    whole = f"{line}\n".encode()
    try:
        new = not path.exists()
        with path.open("ab") as log:
            log.write(whole)
            log.flush()
            os.fsync(log.fileno())
        if new:
            sync(path.parent)
    except OSError as error:
        raise no_room(path, len(whole), error) from None


def mend(path: Path) -> None:
    """Take off the part of a line that a crash left at the end of a log. Raises RunError as `write` does."""
    try:
        data = path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror}") from None
    if not data.endswith(b"\n") and data:
        write(path, data[: data.rfind(b"\n") + 1])


def make_folder(folder: Path) -> None:
    """Make a folder that a power cut does not take away again, or find it there. Raises RunError."""
    try:
        folder.mkdir()
        sync(folder.parent)
    except FileExistsError:
        return
    except OSError as error:
        raise no_room(folder, 0, error) from None


def sweep(folder: Path) -> None:
    """Remove what processes that were killed while they wrote have left in a folder that no other process uses."""
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if _LEFT.fullmatch(path.name):
                path.unlink(missing_ok=True)


def no_room(path: Path, need: int, error: OSError) -> RunError:
    """What to say where a write fails."""
    try:
        free = f"{shutil.disk_usage(path.parent).free} bytes are free"
    except OSError:
        free = "the folder is gone"
    return RunError(f"cannot write {path}: {error.strerror}; {need} bytes are needed, {free}")


def sync(folder: Path) -> None:
    """Let the names in a folder be as durable as its files. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
