"""Checkpoints of a run: everything that going on needs, in one safetensors file that is whole or not there.

A file `step-00001234.safetensors` holds tensors by name and, in its header, `Position` and the SHA-256 of all tensors'
bytes. Two are kept. The newest that verifies is the one to go on from; what is skipped is said with its reason.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Literal

import safetensors
import safetensors.torch
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from cnnspec.diagnostics import MissingError, RunError
from cnnspec.durable import write

FOLDER = "checkpoints"
KEPT = 2
_NAME = re.compile(r"step-([0-9]{8,})\.safetensors")
_KEY = "cnnspec"

Natural = Annotated[int, Field(ge=0)]


class Position(BaseModel):
    """Where a run stands: `epoch` epochs of phase `phase` are done and `batch` batches of the next.

    `loss` and `images` are sums over the batches of the unfinished epoch; `rows` are the lines of metrics.csv so far.
    """

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    schema_: Literal["cnnspec/checkpoint@1"] = Field("cnnspec/checkpoint@1", alias="schema")
    hash: str
    phase: Natural = 0
    epoch: Natural = 0
    batch: Natural = 0
    step: Natural = 0
    steps_in_phase: Natural = 0
    loss: float = 0.0
    images: Natural = 0
    skipped: Natural = 0
    seconds: float = 0.0
    scale: float | None = None
    growth: Natural = 0
    rows: list[dict[str, float]] = []


class _Header(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    position: Position
    sha256: str


def save(folder: Path, position: Position, tensors: Mapping[str, Tensor]) -> Path:
    """Write a checkpoint durably, then let go of all but the newest `KEPT`. Raises RunError as `durable.write` does."""
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in sorted(tensors.items())}
    header = _Header(position=position, sha256=_digest(whole))
    path = folder / FOLDER / f"step-{position.step:08d}.safetensors"
    path.parent.mkdir(exist_ok=True)
    write(path, safetensors.torch.save(whole, {_KEY: header.model_dump_json(by_alias=True)}))
    for old in _found(folder)[KEPT:]:
        with contextlib.suppress(OSError):
            old.unlink()
    return path


def load(folder: Path, spec: str) -> tuple[Position, dict[str, Tensor], list[str]]:
    """The newest checkpoint of a run that verifies, for a spec of that hash, and why newer ones were skipped.

    Raises MissingError where there is none, RunError where none can be used.
    """
    paths = _found(folder)
    if not paths:
        looked = folder / FOLDER / "step-*.safetensors"
        raise MissingError(f"there is no checkpoint in {folder}: looked for {looked}")
    skipped: list[str] = []
    for path in paths:
        try:
            position, tensors = _read(path, spec)
        except RunError as error:
            skipped.append(error.message)
            continue
        return position, tensors, skipped
    raise RunError(f"no checkpoint in {folder} can be used\n" + "\n".join(f"  {reason}" for reason in skipped))


def _found(folder: Path) -> list[Path]:
    """The checkpoints of a run, newest first."""
    there = [path for path in (folder / FOLDER).glob("step-*.safetensors") if _NAME.fullmatch(path.name)]
    return sorted(there, key=lambda path: path.name, reverse=True)


def _read(path: Path, spec: str) -> tuple[Position, dict[str, Tensor]]:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(_KEY, "")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, OSError) as error:
        raise RunError(f"{path}: is no whole checkpoint ({_size(path)}): {error}") from None
    try:
        header = _Header.model_validate_json(text)
    except ValidationError:
        due = Position.model_fields["schema_"].default
        said = re.search(r'"schema" *: *"([^"]{1,40})"', text)
        raise RunError(f"{path}: is of the schema {said[1] if said else 'none'}, this cnnspec reads {due}") from None
    if header.position.hash != spec:
        raise RunError(f"{path}: belongs to a spec of the hash {header.position.hash[:12]}, the run's is {spec[:12]}")
    if (found := _digest(tensors)) != header.sha256:
        raise RunError(f"{path}: its tensors have the SHA-256 {found[:12]}, expected is {header.sha256[:12]}")
    return header.position, tensors


def _size(path: Path) -> str:
    with contextlib.suppress(OSError):
        return f"{path.stat().st_size} bytes"
    return "gone"


def _digest(tensors: Mapping[str, Tensor]) -> str:
    return digest((name, tensor) for name, tensor in sorted(tensors.items()))


def digest(tensors: Iterable[tuple[str, Tensor]]) -> str:
    """SHA-256 of names, shapes, types and bytes, as they come."""
    found = hashlib.sha256()
    for name, tensor in tensors:
        found.update(f"{name} {list(tensor.shape)} {tensor.dtype}\n".encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        found.update(flat.view(torch.uint8).numpy().tobytes())
    return found.hexdigest()
