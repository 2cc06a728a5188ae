"""Checkpoints of a run: everything that going on needs, in one safetensors file that is whole or not there.

A file `step-00001234.safetensors` holds tensors by name and, in its header, `Position`, the spec, the recipe and the
SHA-256 of all. Two are kept. The newest that verifies is the one to go on from; others are skipped with a reason.
"""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import safetensors.torch
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from cnnspec.canonical import resolved_yaml
from cnnspec.diagnostics import CnnspecError, MissingError, RunError, UsageError
from cnnspec.durable import make_folder, write
from cnnspec_torch import signed
from cnnspec_torch.tensors import safetensors_fault

if TYPE_CHECKING:
    from cnnspec.graph import Graph
    from cnnspec.recipe import Recipe

FOLDER = "checkpoints"
KEPT = 2
_NAME = re.compile(r"step-([0-9]{8,18})\.safetensors")

Natural = Annotated[int, Field(ge=0)]


class Position(BaseModel):
    """Where a run stands: `epoch` epochs of phase `phase` are done and `batch` batches of the next.

    `loss` and `images` are sums over the batches of the unfinished epoch; `rows` are the lines of metrics.csv so far,
    `samples` those that are trained on.
    """

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    schema_: Literal["cnnspec/checkpoint@1"] = Field("cnnspec/checkpoint@1", alias="schema")
    hash: str
    samples: Natural = 0
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
    rows: list[dict[str, int | float]] = []


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    position: Position
    spec: str
    recipe: dict[str, Any]
    sha256: str


def save(folder: Path, graph: Graph, recipe: Recipe, position: Position, tensors: Mapping[str, Tensor]) -> Path:
    """Write a checkpoint durably, then let go of all but the newest `KEPT`.

    Raises RunError as `durable.write` does, and where a number is not finite: then nothing is written.
    """
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            said = name.partition("/")[2]
            raise RunError(f"a number of {said} is not finite after step {position.step}; no checkpoint was written")
    path = folder / FOLDER / f"step-{position.step:08d}.safetensors"
    make_folder(path.parent)
    document = {
        "position": position.model_dump(mode="json", by_alias=True),
        "spec": resolved_yaml(graph),
        "recipe": recipe.model_dump(mode="json"),
    }
    write(path, signed.encoded(document, tensors))
    past = [old for old in _found(folder) if _step(old) <= position.step]  # a newer one may be another version's
    for old in past[KEPT:]:
        with contextlib.suppress(OSError):
            old.unlink()
    return path


def load(folder: Path, graph: Graph, recipe: Recipe) -> tuple[Position, dict[str, Tensor], list[str]]:
    """The newest checkpoint of a run that verifies, and why newer ones were skipped.

    Raises MissingError where there is none, RunError where none can be used, UsageError where the recipe is another.
    """
    paths = _found(folder)
    if not paths:
        looked = folder / FOLDER / "step-*.safetensors"
        raise MissingError(
            f"there is no checkpoint in {folder}: looked for {looked}",
            f"cnnspec train SPEC -o {folder} --force begins it anew",
        )
    skipped: list[str] = []
    for path in paths:
        try:
            document, tensors = _read(path, graph)
        except RunError as error:
            skipped.append(error.message)
            continue
        _check_recipe(path, document.recipe, recipe)
        return document.position, tensors, skipped
    raise RunError(f"no checkpoint in {folder} can be used\n" + "\n".join(f"  {reason}" for reason in skipped))


def check_room(folder: Path, net: torch.nn.Module, recipe: Recipe) -> None:
    """Raises RunError where the disk has less room than three checkpoints, one of them unfinished, and the best weights
    take."""
    weights = sum(tensor.nbytes for tensor in net.state_dict().values())
    trained = sum(parameter.nbytes for parameter in net.parameters())
    moments = max(
        2 if one.optimizer.startswith("adam") else bool(one.momentum) + (one.optimizer == "rmsprop")
        for one in recipe.stages
    )
    need = (KEPT + 1) * (weights * (2 if recipe.ema else 1) + trained * moments) + weights
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise RunError(f"cannot use {folder}: {error.strerror}") from None
    if need > free:
        raise RunError(f"the checkpoints and weights of this run take {need} bytes; in {folder} {free} are free")


def _found(folder: Path) -> list[Path]:
    """The checkpoints of a run, newest first."""
    there = [path for path in (folder / FOLDER).glob("step-*.safetensors") if _NAME.fullmatch(path.name)]
    return sorted(there, key=_step, reverse=True)


def _step(path: Path) -> int:
    return int(path.stem.removeprefix("step-"))


def _read(path: Path, graph: Graph) -> tuple[_Document, dict[str, Tensor]]:
    """Raises RunError for a file that is damaged, of another version or of another spec."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from None
    if fault := safetensors_fault(path, data):
        raise RunError(f"{path} ({len(data)} bytes): is no whole checkpoint: {fault}")
    raw = signed.document_of(data) or {}
    try:
        document = _Document.model_validate(raw)
    except ValidationError as error:
        raise RunError(f"{path}: {_unknown(raw, error)}") from None
    tensors = safetensors.torch.load(data)
    signed.verify(path, raw, tensors)
    if document.position.hash != graph.hash:
        ours, theirs = graph.hash[:12], document.position.hash[:12]
        first = _first_difference(document.spec, graph)
        raise RunError(
            f"{path}: belongs to a spec of the hash {theirs}, the run's is {ours}; they first differ at {first}"
        )
    return document, tensors


def _unknown(raw: dict[str, Any], error: ValidationError) -> str:
    """What to say of a document that this version does not understand."""
    due, position = Position.model_fields["schema_"].default, raw.get("position")
    schema = position.get("schema") if isinstance(position, dict) else None
    if schema != due:
        return f"is of the schema {str(schema or 'none')[:40]}, this cnnspec reads {due}"
    one = error.errors()[0]
    return f"its header is damaged: '{'.'.join(map(str, one['loc']))}': {one['msg']}"


def _first_difference(spec: str, graph: Graph) -> str:
    from cnnspec.diff import diff
    from cnnspec.front import compile_text

    try:
        return diff(compile_text(spec, shown="checkpoint"), graph).first
    except CnnspecError:
        return "a spec that does not compile"


def _check_recipe(path: Path, began: dict[str, Any], recipe: Recipe) -> None:
    """Raises UsageError, naming the key, where a run would go on by another recipe than it began with."""
    now = recipe.model_dump(mode="json")
    before = {**type(recipe)().model_dump(mode="json"), **began}  # a key that came later had its default
    for key in {**before, **now}:
        if before.get(key) != now.get(key):
            raise UsageError(
                f"recipe.{key} is {now.get(key)}, the run began with {before.get(key)}",
                f"a run goes on as it began; {path} holds its recipe",
            )
