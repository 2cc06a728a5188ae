"""IDX files, the format of MNIST: `train-images-idx3-ubyte` and `train-labels-idx1-ubyte`, plain or .gz.

Four bytes (0, 0, 8 for unsigned bytes, the number of dimensions), a big-endian 32-bit size for each, the bytes.
Y. LeCun, C. Cortes, C. Burges: The MNIST database of handwritten digits.
"""

from __future__ import annotations

import gzip
import math
import re
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnspec.datasets.parts import Found, shown
from cnnspec.datasets.rows import SPLITS, mismatch, part
from cnnspec.diagnostics import RunError

if TYPE_CHECKING:
    from cnnspec.vision import Pixels

BYTES = 2**34
"""The largest file that is read, unpacked."""

_NAME = re.compile(r"(?P<split>[a-z0-9]+)-(?P<what>images|labels)[-.]idx[0-9]-ubyte(?P<packed>\.gz)?")


def find(folder: Path) -> Found | None:
    """The IDX files of a folder, or of `raw` or `*/raw` in it as torchvision has them; None where there are none."""
    for pattern in ("*", "raw/*", "*/raw/*"):
        files = {
            (SPLITS[name["split"]], name["what"], bool(name["packed"])): path
            for path in sorted(folder.glob(pattern))
            if (name := _NAME.fullmatch(path.name)) and name["split"] in SPLITS and path.is_file()
        }
        if files:
            return _read({key[:2]: files[key] for key in sorted(files, reverse=True)}, folder)
    return None


def _read(files: dict[tuple[str, str], Path], folder: Path) -> Found:
    """Plain files before packed ones: `files` has the better of two."""
    found = Found(str(folder), {})
    for split in ("train", "validation", "test"):
        images, labels = files.get((split, "images")), files.get((split, "labels"))
        if images is None or labels is None:
            if (there := images or labels) is not None:
                missing = "labels" if labels is None else "images"
                found.faults.append(f"{shown(there)}: the file of its {missing} is missing beside it")
            continue
        try:
            pixels, numbers = read(images), read(labels).astype(np.int64)
        except RunError as error:
            found.faults.append(error.message)
            continue
        wrong = mismatch(pixels, numbers, images, labels)
        found.faults.extend(wrong)
        if not wrong:
            found.parts[split] = part(pixels, numbers, images, labels)
    return found


def read(path: Path) -> Pixels:
    """The array of an IDX file of unsigned bytes. Raises RunError, naming the file, for any other."""
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            return _array(file, path)
    except (OSError, EOFError, zlib.error) as error:
        raise RunError(f"{shown(path)}: cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _array(file: Any, path: Path) -> Pixels:
    magic = file.read(4)
    if len(magic) < 4 or magic[:3] != b"\0\0\x08" or not 1 <= magic[3] <= 4:
        raise RunError(
            f"{shown(path)}: begins with {magic.hex(' ') or 'nothing'}, an IDX file of bytes with 00 00 08 01 to 04"
        )
    header = file.read(4 * magic[3])
    if len(header) < 4 * magic[3]:
        raise RunError(f"{shown(path)}: ends within its header, {4 + len(header)} bytes long")
    shape = [int(size) for size in np.frombuffer(header, ">u4")]
    due = math.prod(shape)
    if due > BYTES:
        raise RunError(f"{shown(path)}: {due} bytes of {shape}, the limit is {BYTES}")
    content = file.read(due + 1)
    if len(content) != due:
        than = "more than" if len(content) > due else f"{len(content)} of"
        raise RunError(f"{shown(path)}: {than} the {due} bytes that its sizes {shape} say")
    return np.frombuffer(content, np.uint8).reshape(shape)
