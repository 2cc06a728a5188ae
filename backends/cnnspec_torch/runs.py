"""Run folders and the weights file."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

import safetensors
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from cnnspec import limits
from cnnspec.diagnostics import CnnspecError, MissingError, RunError, UsageError
from cnnspec.durable import no_room, sync
from cnnspec.durable import write as write
from cnnspec.ranks import rank
from cnnspec_torch import board, signed
from cnnspec_torch.tensors import safetensors_fault

try:
    import fcntl
except ModuleNotFoundError:  # Windows has no such locks
    fcntl = None  # type: ignore[assignment]

BEST = "best.safetensors"
LOCK = "run.lock"
FILES = (
    "spec.yaml",
    "recipe.yaml",
    "metrics.csv",
    "events.jsonl",
    "environment.json",
    "samples.png",
    "report.html",
    BEST,
)
PACKAGES = (
    "cnnspec",
    "torch",
    "torchvision",
    "torchmetrics",
    "pytorch-lightning",
    "faster-coco-eval",
    "onnxruntime",
    "numpy",
    "pillow",
    "scikit-learn",
    "safetensors",
)
"""What a run stands on, as far as it is installed."""
SHARED = "CNNSPEC_RUN"
"""The environment variable by which the process that was started tells those that it starts of the run folder."""

Numbers = Annotated[list[float], Field(min_length=1, max_length=4)]


class Header(BaseModel):
    """What a weights file says of itself: enough to predict with this file alone."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    schema_: Literal["cnnspec/weights@1"] = Field("cnnspec/weights@1", alias="schema")
    spec: Annotated[str, Field(max_length=limits.FILE_BYTES)]
    hash: str
    head: str
    labels: list[str]
    sizes: dict[str, int]
    fit: Literal["stretch", "crop", "letterbox"]
    mean: Numbers
    std: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=1, max_length=4)]
    epoch: int
    metrics: dict[str, float]
    sha256: str | None = None


def new_folder(name: str, out: Path | None = None, force: bool = False) -> Path:
    """A fresh run folder: `out`, or runs/NAME-N with the next free number. Of several processes the first makes it.

    Raises UsageError where `out` is taken, or a process is at work in it.
    """
    if rank():
        if out is None and SHARED not in os.environ:
            raise UsageError("processes that are started together need a run folder: --out DIR")
        return out or Path(os.environ[SHARED])
    try:
        if out is None:
            out = _numbered(Path("runs"), name)
        out.mkdir(parents=True, exist_ok=True)
        sync(out.parent)
        taken = next(out.iterdir(), None)
        if taken is not None and not force:
            raise UsageError(f"{out} is not empty", "--force overwrites the run in it")
        if taken is not None:
            with locked(out):
                _empty(out)
    except OSError as error:
        raise UsageError(f"cannot make the run folder {out or 'runs'}: {error.strerror}") from None
    return out


def _empty(folder: Path) -> None:
    for file in FILES:
        (folder / file).unlink(missing_ok=True)
    for old in (*(folder / "checkpoints").glob("step-*.safetensors"), *folder.glob(board.EVENTS)):
        old.unlink(missing_ok=True)


def _numbered(parent: Path, name: str) -> Path:
    stem = re.sub(r"[^A-Za-z0-9_-]", "_", name)[: limits.NAME_CHARS] or "run"
    parent.mkdir(parents=True, exist_ok=True)
    taken = [re.fullmatch(rf"{re.escape(stem)}-([0-9]{{1,9}})", path.name) for path in parent.iterdir()]
    number = max((int(found[1]) for found in taken if found), default=0) + 1
    while True:
        folder = parent / f"{stem}-{number}"
        with contextlib.suppress(FileExistsError):  # another run took it in between
            folder.mkdir()
            return folder
        number += 1


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One process alone in a run folder. Raises UsageError, naming the other, where there is one, RunError where the
    folder cannot be written to."""
    if fcntl is None or rank():
        yield
        return
    try:
        file = (folder / LOCK).open("a+", encoding="utf-8")
    except OSError as error:
        raise no_room(folder / LOCK, 64, error) from None
    with file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # unlike flock, none that data workers hold on to
        except OSError:
            file.seek(0)
            raise UsageError(f"{folder} is in use by {file.read(200).strip() or 'another process'}") from None
        file.truncate(0)
        file.write(f"process {os.getpid()} on {platform.node()}\n")
        file.flush()
        yield


@contextlib.contextmanager
def unless_begun(folder: Path, made: bool) -> Iterator[None]:
    """Where an error comes before anything was written into a folder that was `made` for it, the folder goes."""
    try:
        yield
    except CnnspecError:
        with contextlib.suppress(OSError):
            if made and [path.name for path in folder.iterdir()] == [LOCK]:
                (folder / LOCK).unlink()
                folder.rmdir()
        raise


def environment(device: str) -> dict[str, Any]:
    """Versions and settings that a run's numbers depend on."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": device,
        "threads": torch.get_num_threads(),
        "packages": {name: found for name in PACKAGES if (found := _version(name)) is not None},
    }


def changes(folder: Path) -> list[str]:
    """What numbers depend on and is no longer as it was when a run began."""
    before = _recorded(folder)
    now = environment(str(before.get("device", "")))
    pairs = {"python": (before.get("python"), now["python"]), "platform": (before.get("platform"), now["platform"])}
    recorded = before.get("packages", {})  # an older cnnspec recorded fewer of them
    pairs |= {name: (recorded[name], now["packages"].get(name)) for name in PACKAGES if name in recorded}
    return [
        f"the run began with {name} {one}, it goes on with {other}: its numbers may differ"
        for name, (one, other) in pairs.items()
        if one != other
    ]


def threads(folder: Path) -> int:
    """How many threads a run began with: with others the last digits differ."""
    found = _recorded(folder).get("threads")
    return found if type(found) is int and 0 < found <= 4096 else torch.get_num_threads()


def _recorded(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / "environment.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) and isinstance(found.get("packages"), dict) else {}


def _version(package: str) -> str | None:
    with contextlib.suppress(ModuleNotFoundError):
        return version(package)
    return None


def as_json(document: Mapping[str, Any]) -> bytes:
    return (json.dumps(document, indent=2, allow_nan=False) + "\n").encode()


def write_weights(path: Path, tensors: Mapping[str, Tensor], header: Header) -> None:
    """Write tensors with their header as safetensors, durably. Raises RunError."""
    document = header.model_dump(mode="json", by_alias=True, exclude={"sha256"})
    write(path, signed.encoded(document, tensors))


def weights_file(path: Path) -> Path:
    """The weights of a run folder, or the file itself."""
    return path / BEST if path.is_dir() else path


def read_header(path: Path) -> Header:
    """The header of a weights file that training wrote.

    Raises MissingError where there is no file, RunError where it is damaged or was not written by training.
    """
    header = find_header(path)
    if header is None:
        help = f"cnnspec predict SPEC IMAGE --weights {path}"
        raise RunError(f"{path} does not say which network it belongs to", help)
    return header


def find_header(path: Path) -> Header | None:
    """The same, or None for a safetensors file of other origin."""
    try:
        if fault := safetensors_fault(path):
            raise RunError(f"{path} ({path.stat().st_size} bytes) is no whole safetensors file: {fault}")
        with safetensors.safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(signed.KEY)
    except FileNotFoundError:
        raise MissingError(f"there is no file {path}") from None
    except OSError as error:
        raise MissingError(f"cannot read {path}: {error.strerror or error}") from None
    except safetensors.SafetensorError as error:
        size = path.stat().st_size
        raise RunError(f"{path} ({size} bytes) is no whole safetensors file: {error}") from None
    if text is None:
        return None
    try:
        return Header.model_validate_json(text)
    except ValidationError as error:
        found = error.errors()[0]
        where = ".".join(map(str, found["loc"]))
        raise RunError(
            f"{path}: the header is damaged, or newer than this cnnspec: '{where}': {found['msg']}"
        ) from None
