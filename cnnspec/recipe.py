"""A recipe says how to train: a YAML file read as strictly as a spec, checked by one pydantic model."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from cnnspec import reader, zoo
from cnnspec.diagnostics import Diagnostic, MissingError, Source, SpecError, UsageError, did_you_mean

FORMAT = 1

Part = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
Channels = Annotated[list[float], Field(min_length=1, max_length=3)]
Spread = Annotated[list[Positive], Field(min_length=1, max_length=3)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Split(_Strict):
    """Parts of all samples; training gets the rest."""

    validation: Part = 0.1
    test: Part = 0.2

    @model_validator(mode="after")
    def _leaves_some(self) -> Split:
        if self.validation + self.test >= 1:
            raise ValueError(f"validation {self.validation} and test {self.test} leave nothing to train on")
        return self


class Recipe(_Strict):
    """What a recipe may say; specs/recipes/classify.yaml explains each key."""

    recipe: Literal[1] = 1
    data: Annotated[str, Field(min_length=1, max_length=4096)] = "digits"
    on_bad_sample: Literal["stop", "skip"] = "stop"
    split: Split = Split()
    split_seed: Seed = 0
    fit: Literal["stretch", "crop"] = "stretch"
    shift: Annotated[int, Field(ge=0, le=1024)] = 2
    epochs: Annotated[int, Field(ge=1, le=100_000)] = 30
    batch: Annotated[int, Field(ge=1, le=2**20)] = 32
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    lr: Positive = 0.004
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    schedule: Literal["constant", "cosine", "one_cycle"] = "one_cycle"
    seed: Seed = 0
    mean: Channels | None = None
    std: Spread | None = None

    @model_validator(mode="after")
    def _both_or_none(self) -> Recipe:
        if (self.mean is None) != (self.std is None):
            raise ValueError("mean and std are given together or not at all")
        if self.mean is not None and self.std is not None and len(self.mean) != len(self.std):
            raise ValueError(f"mean has {len(self.mean)} numbers and std {len(self.std)}")
        return self

    def text(self) -> str:
        """The recipe as YAML that `load` reads back equal."""
        values = self.model_dump(exclude_none=True)
        return "".join(f"{key}: {_flow(value)}\n" for key, value in values.items())


def _flow(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items()) + "}"
    return written(value) if isinstance(value, str) else str(value)


def written(text: str) -> str:
    """A text as YAML reads it back; quoted where it could be something else."""
    plain = re.fullmatch(r"[a-z_]+", text) and text not in ("true", "false", "null")
    return text if plain else json.dumps(text, ensure_ascii=False)


def load(target: str, changes: Mapping[str, str] | None = None) -> Recipe:
    """The recipe of a path or a shipped name, with `changes` (dotted key to YAML text) laid over it.

    Raises MissingError where there is none, SpecError for what is wrong in the file, UsageError for a change.
    """
    source = _source(target)
    root, found = reader.read(source)
    if found:
        raise SpecError(found)
    values = reader.to_python(root)
    try:
        recipe = Recipe.model_validate(values)
    except ValidationError as error:
        raise SpecError([_explain(one, root) for one in error.errors()]) from None
    for key, text in (changes or {}).items():
        _change(values, key, text)
    return recipe if not changes else _validate_changes(values, changes)


def _source(target: str) -> Source:
    path = Path(target) if zoo.is_path(target) else zoo.folder() / "recipes" / f"{target}.yaml"
    if not zoo.is_path(target) and not (target.isidentifier() and path.is_file()):
        names = sorted(p.stem for p in (zoo.folder() / "recipes").glob("*.yaml"))
        help = did_you_mean(target, names) or f"the shipped recipes are {', '.join(names)}; a path has a / or a suffix"
        raise MissingError(f"there is no shipped recipe '{target}'", help)
    try:
        return reader.read_file(path, target if zoo.is_path(target) else path.name)
    except OSError as error:
        raise MissingError(f"cannot read {target}: {error.strerror}") from None


def _change(values: dict[str, Any], key: str, text: str) -> None:
    """Lay one `--set recipe.KEY=V` over the values, its text read as YAML."""
    source = Source(f"--set recipe.{key}", f"value: {text}")
    try:
        root, found = reader.read(source)
        if found:
            raise SpecError(found)
        value = reader.to_python(root.entries["value"])
    except SpecError as error:
        raise UsageError(f"--set recipe.{key}={text}: {error.diagnostics[0].message}") from None
    *sections, last = key.split(".")
    for section in sections:
        inner = values.setdefault(section, {})
        if not isinstance(inner, dict):
            raise UsageError(f"--set recipe.{key}: '{section}' holds no keys")
        values = inner
    values[last] = value


def _validate_changes(values: dict[str, Any], changes: Mapping[str, str]) -> Recipe:
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        one = error.errors()[0]
        message, help = _words(one)
        key = ".".join(map(str, one["loc"]))
        given = next((name for name in changes if name == key or key.startswith(f"{name}.")), key)
        shown = f"recipe.{given}={changes[given]}" if given in changes else "recipe"
        raise UsageError(f"--set {shown}: {message}", help) from None


def _explain(error: Any, root: reader.Mapping) -> Diagnostic:
    message, help = _words(error)
    span = reader.locate(root, error["loc"])
    if error["type"] == "extra_forbidden":
        inner: Any = root
        for step in error["loc"][:-1]:
            inner = inner.entries[step]
        span = inner.keys[error["loc"][-1]].span
    return Diagnostic("recipe", message, span, help=help)


def _words(error: Any) -> tuple[str, str | None]:
    """Message and help for one finding of pydantic's."""
    key, value = ".".join(map(str, error["loc"])), error["input"]
    if error["type"] == "extra_forbidden":
        known = list(Split.model_fields if len(error["loc"]) > 1 else Recipe.model_fields)
        return f"unknown key '{key}'", did_you_mean(str(error["loc"][-1]), known) or f"the keys are {', '.join(known)}"
    if error["type"] == "value_error":
        return str(error["ctx"]["error"]), None
    said = str(error["msg"]).removeprefix("Input ")
    return f"'{key}' {said}, got {str(value)[:60]}", None
