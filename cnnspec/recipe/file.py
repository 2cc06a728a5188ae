"""Recipe files: read, and changed by `--set recipe.KEY=V`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from cnnspec import reader, zoo
from cnnspec.diagnostics import Diagnostic, MissingError, Source, SpecError, UsageError, did_you_mean
from cnnspec.recipe.model import Recipe


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
    if not zoo.is_path(target) and not (re.fullmatch(r"[A-Za-z0-9_-]{1,64}", target) and path.is_file()):
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
        span = reader.key_span(root, error["loc"])
    return Diagnostic("recipe", message, span, help=help)


def _words(error: Any) -> tuple[str, str | None]:
    """Message and help for one finding of pydantic's."""
    key, value = ".".join(map(str, error["loc"])), error["input"]
    if error["type"] == "extra_forbidden":
        known = list(_model(error["loc"]).model_fields)
        return f"unknown key '{key}'", did_you_mean(str(error["loc"][-1]), known) or f"the keys are {', '.join(known)}"
    if error["type"] == "value_error":
        return str(error["ctx"]["error"]), None
    said = str(error["msg"]).removeprefix("Input ")
    return f"'{key}' {said}, got {str(value)[:60]}", None


def _model(loc: tuple[int | str, ...]) -> type[BaseModel]:
    """The model whose keys the last step of a location is one of."""
    found: type[BaseModel] = Recipe
    for step in loc[:-1]:
        if isinstance(step, str):
            found = next(_models(found.model_fields[step].annotation), found)
    return found


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models in an annotation such as list[Phase] | None."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)
