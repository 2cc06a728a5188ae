"""Tensors from files: .safetensors, whose header is checked first, and .pth or .pt of tensors alone."""

from __future__ import annotations

import io
import json
import pickle
import re
import struct
import zipfile
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import IO, Any

import safetensors.torch
import torch
from safetensors import safe_open
from torch import Tensor

from cnnspec.diagnostics import MissingError, RunError, UsageError, printable
from cnnspec_torch import signed

HEADER = 2**24
"""Bytes of a header of safetensors, the most that is read."""
BITS = {"BOOL": 8, "F8_E4M3": 8, "F8_E5M2": 8, **{f"{kind}{bits}": bits for kind in "IU" for bits in (8, 16, 32, 64)}}
BITS |= {"BF16": 16, "F16": 16, "F32": 32, "F64": 64}


def read(path: Path, data: bytes | None = None) -> dict[str, Tensor]:
    """The tensors of a file by name; `data` are its bytes where they are at hand, else they are mapped into memory.

    Raises MissingError where there is no file, UsageError for a suffix of none, RunError where it is damaged or holds
    anything but tensors.
    """
    if data is None and not path.is_file():
        raise MissingError(f"there is no file {path}")
    if path.suffix not in (".safetensors", ".pth", ".pt"):
        raise UsageError(f"{path.name} is no file of weights", "weights are .safetensors, .pth or .pt files")
    try:
        if path.suffix == ".safetensors":
            return _safe(path, data)
        content = _unpickled(path if data is None else io.BytesIO(data))
    except pickle.UnpicklingError as error:
        blocked = re.search(r"GLOBAL (\S+)", str(error))
        odd = f"{path} ({_size(path, data)} bytes) is no file of tensors alone"
        reason = f"{path} holds {printable(blocked[1])}, which is no tensor" if blocked else odd
        raise RunError(f"{reason}; it was not loaded", "save the state dict, best as .safetensors") from None
    except Exception as error:  # what a hostile file makes the unpickler raise has no class of its own
        reason = printable((str(error) or "it ends too early").splitlines()[0][:200])
        raise RunError(f"{path} ({_size(path, data)} bytes) cannot be read: {reason}") from None
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise RunError(f"{path} holds no state dict: names and their tensors")
    return {str(name): value for name, value in content.items()}


def _safe(path: Path, data: bytes | None) -> dict[str, Tensor]:
    if fault := safetensors_fault(path, data):
        raise ValueError(fault)
    if data is None:
        with safe_open(path, framework="pt") as file:
            if signed.KEY not in (file.metadata() or {}):
                return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return _safe(path, path.read_bytes())
    found = safetensors.torch.load(data)
    signed.verify(path, signed.document_of(data) or {}, found)
    return found


def _unpickled(source: Path | IO[bytes]) -> Any:
    """Files from before PyTorch 1.6 are no archives and cannot be mapped."""
    mapped = isinstance(source, Path) and zipfile.is_zipfile(source)
    return torch.load(source, map_location="cpu", weights_only=True, mmap=mapped)


def _size(path: Path, data: bytes | None) -> int:
    return path.stat().st_size if data is None else len(data)


def safetensors_fault(path: Path, data: bytes | None = None) -> str | None:
    """The rule of the format that a file breaks, with the tensor; None where it is whole.

    The format: https://github.com/huggingface/safetensors#format. Eight bytes hold the header's length; the header is
    JSON, a tensor's dtype, shape and offsets by name; the tensors' bytes follow one another without gap or overlap.
    """
    with path.open("rb") if data is None else io.BytesIO(data) as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        start = file.read(8)
        if len(start) < 8:
            return f"it ends after {size} bytes, the length of its header takes 8"
        (length,) = struct.unpack("<Q", start)
        if length > min(HEADER, size - 8):
            return f"its header is said to have {length} bytes; {size - 8} follow, the limit is {HEADER}"
        try:
            header = json.loads(file.read(length), object_pairs_hook=_distinct)
        except _Twice as twice:
            return f"'{twice.args[0]}' stands twice in its header"
        except (ValueError, RecursionError):
            return "its header is no JSON"
    if not isinstance(header, dict):
        return "its header is no mapping"
    header.pop("__metadata__", None)
    return _layout_fault(header, size - 8 - length)


class _Twice(Exception):
    pass


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _Twice(key)
        found[key] = value
    return found


def _layout_fault(header: dict[str, Any], room: int) -> str | None:
    places = []
    for name, entry in header.items():
        match entry:
            case {"dtype": str(dtype), "shape": list(shape), "data_offsets": [int(begin), int(end)]}:
                pass
            case _:
                return f"'{name}' has not exactly a dtype, a shape and two offsets"
        if dtype not in BITS:
            return f"'{name}' is of the unknown dtype {dtype[:40]}"
        if not all(type(axis) is int and 0 <= axis <= 2**40 for axis in shape) or prod(shape) > 2**40:
            return f"'{name}' has the shape {str(shape)[:80]}; the limit is 2^40 numbers"
        need = prod(shape) * BITS[dtype] // 8
        if end - begin != need:
            return f"'{name}' is {shape} {dtype}, {need} bytes; its offsets {begin} to {end} leave {end - begin}"
        places.append((begin, end, name))
    at, last = 0, "the header"
    for begin, end, name in sorted(places):
        if begin != at:
            return f"'{name}' begins at byte {begin}, {last} ends at byte {at}"
        at, last = end, f"'{name}'"
    return None if at == room else f"its tensors take {at} bytes, {room} are there"
