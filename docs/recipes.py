"""Writes docs/recipes.md from the models of the recipe: `python docs/recipes.py`."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import Any, get_args

from generate import kind
from pydantic import BaseModel

from cnnspec import zoo
from cnnspec.recipe import Recipe
from cnnspec.recipe.written import flow

HEAD = """\
# Recipes

Written by `python docs/recipes.py` from the models in `cnnspec/recipe`.

A recipe says how to train: `cnnspec train SPEC --recipe R`, a path or a shipped name. It is a YAML file read as
strictly as a spec; what it leaves out has the default below. `--set recipe.KEY=V` changes one key, `--set
recipe.augment.flip=horizontal` one within another. Without `--recipe` the kind of the spec's heads chooses:
{kinds}. A key for heads of a kind that the spec does not have is refused by `train`.

Shipped:

{shipped}
"""


def page() -> str:
    folder = zoo.folder() / "recipes"
    kinds = [f"`{name}`" for name in ("classify", "locate", "detect", "segment")]
    shipped = [f"- `{path.stem}`: {_about(path)}" for path in sorted(folder.glob("*.yaml"))]
    head = HEAD.format(kinds=", ".join(kinds), shipped="\n".join(shipped))
    return "\n".join([head, *_section("Keys", Recipe, "")])


def _about(path: Path) -> str:
    return path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ").rstrip(".")


def _section(title: str, model: type[BaseModel], prefix: str) -> list[str]:
    lines = [f"## {title}\n", "| key | is | default | |", "|---|---|---|---|"]
    said, properties = _docs(model), model.model_json_schema()["properties"]
    inner = []
    for name, field in model.model_fields.items():
        found = next(_models(field.annotation), None)
        if found is not None:
            inner.append((name, found))
        default = field.get_default(call_default_factory=True)  # type: ignore[call-overload]
        shown = "" if found is not None or default is None else f"`{flow(default)}`"
        what = f"[keys](#{(prefix + name).replace('.', '')})" if found is not None else _kind(properties[name])
        lines.append(f"| `{name}` | {what} | {shown} | {said.get(name, '')} |")
    lines.append("")
    for name, found in inner:
        lines += _section(f"{prefix}{name}", found, f"{prefix}{name}.") if name != "phases" else _phases()
    return lines


def _phases() -> list[str]:
    from cnnspec.recipe.steps import Phase

    names = ", ".join(f"`{name}`" for name in Phase.model_fields)
    return ["## phases\n", f"A list of phases, each with any of {names}; what one leaves out is the recipe's.", ""]


def _kind(entry: dict[str, Any]) -> str:
    if "additionalProperties" in entry:
        return "numbers by name"
    if entry.get("type") == "string" and "enum" not in entry:
        return "text"
    if "anyOf" in entry:
        return ", or ".join(dict.fromkeys(_kind(part) for part in entry["anyOf"] if part.get("type") != "null"))
    if entry.get("type") == "array":
        return f"a list of {_kind(entry['items'])}"
    return kind(entry)


def _docs(model: type[BaseModel]) -> dict[str, str]:
    """The string below each field of a class."""
    body = ast.parse(inspect.getsource(model)).body[0]
    assert isinstance(body, ast.ClassDef)
    found = {}
    for one, below in zip(body.body, body.body[1:], strict=False):
        if isinstance(one, ast.AnnAssign) and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            assert isinstance(one.target, ast.Name)
            found[one.target.id] = " ".join(str(below.value.value).split())
    return found


def _models(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)


if __name__ == "__main__":
    Path(__file__).with_name("recipes.md").write_text(page(), encoding="utf-8")
