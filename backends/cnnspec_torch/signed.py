"""The safetensors files that training writes: tensors, a JSON document in the header, and a SHA-256 over both.

A flipped bit loads silently in torch and in safetensors; here it is found, in the very bytes that are used.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from cnnspec.diagnostics import RunError

KEY = "cnnspec"
"""Where the document stands among the metadata: alone, for safetensors orders several keys anew in each run, and
equal runs write equal bytes."""


def encoded(document: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> bytes:
    """The bytes of a file; the document gets the key `sha256`."""
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in sorted(tensors.items())}
    text = json.dumps({**document, "sha256": _digest(document, whole)}, allow_nan=False)
    return safetensors.torch.save(whole, {KEY: text})


def document_of(data: bytes) -> dict[str, Any] | None:
    """The document of a file without a fault in its layout; None where another program wrote it."""
    (length,) = struct.unpack("<Q", data[:8])
    metadata = json.loads(data[8 : 8 + length]).get("__metadata__")
    try:
        found = json.loads(metadata[KEY])
    except (KeyError, TypeError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def verify(path: Path, document: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Raises RunError where the SHA-256 is not that of document and tensors; a document without one says nothing."""
    expected = document.get("sha256")
    if expected is None:
        return
    found = _digest({key: value for key, value in document.items() if key != "sha256"}, tensors)
    if found != expected:
        raise RunError(f"{path}: what is in it has the SHA-256 {found[:12]}, expected is {str(expected)[:12]}")


def _digest(document: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    text = json.dumps(document, sort_keys=True)
    return hashlib.sha256(f"{text}\n{digest(sorted(tensors.items()))}".encode()).hexdigest()


def digest(tensors: Iterable[tuple[str, Tensor]]) -> str:
    """SHA-256 of names, shapes, types and bytes, as they come."""
    found = hashlib.sha256()
    for name, tensor in tensors:
        found.update(f"{name} {list(tensor.shape)} {tensor.dtype}\n".encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        found.update(flat.view(torch.uint8).numpy().data)
    return found.hexdigest()
