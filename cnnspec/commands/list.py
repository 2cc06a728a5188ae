"""`cnnspec list`: the shipped specs; `cnnspec list ops`: the operators."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cnnspec import zoo
from cnnspec.commands.common import DebugFlag, JsonFlag, answer
from cnnspec.commands.table import Column, plain
from cnnspec.diagnostics import SpecError, printable
from cnnspec.wording import written

if TYPE_CHECKING:
    from cnnspec.ops.base import AbstractOp


class What(StrEnum):
    specs = "specs"
    ops = "ops"


def list(  # noqa: A001  the verb's name
    what: Annotated[What, typer.Argument(metavar="[specs|ops]", help="What to list.")] = What.specs,
    json: JsonFlag = False,
    debug: DebugFlag = False,
) -> int:
    if what is What.ops:
        from cnnspec.ops import OPS

        rows = [operator(op) for op in OPS]
        columns = (Column("operator"), Column("of"), Column("fields"))
        cells = [(row["op"], ", ".join(row["operands"]), ", ".join(map(_field_text, row["fields"]))) for row in rows]
        return answer("list", json=json, data={"ops": rows}, text=plain(columns, cells))
    specs = [spec(zoo.folder() / f"{name}.yaml") for name in zoo.names()]
    cells = [(one["name"], f"{one['params']:,}" if one["params"] else "-", printable(one["about"])) for one in specs]
    columns = (Column("spec"), Column("params", right=True), Column("about"))
    return answer("list", json=json, data={"specs": specs}, text=plain(columns, cells))


def spec(path: Path) -> dict[str, Any]:
    """Name, published parameter count and the first line of `about`, read without compiling."""
    from cnnspec.reader import read, read_file, to_python

    entry: dict[str, Any] = {"name": path.stem, "params": None, "about": ""}
    try:
        root, _ = read(read_file(path))
        values = {key: to_python(root.entries[key]) for key in ("about", "expect") if key in root.entries}
    except (SpecError, OSError):
        return entry | {"about": "(cannot be read: cnnspec check says why)"}
    params = values["expect"].get("params") if isinstance(values.get("expect"), dict) else None
    about = str(values.get("about", "")).strip().split("\n")[0]
    return entry | {"params": params if isinstance(params, int) else None, "about": about}


def operator(op: type[AbstractOp]) -> dict[str, Any]:
    """An operator's tensors and fields; positional fields first, each with its default in the language's words."""
    names = [*op.positional, *(name for name in op.model_fields if name not in op.positional)]
    fields = []
    for name in names:
        field = op.model_fields[name]
        default = None if field.is_required() else written(field.default)
        fields.append({"name": name, "positional": name in op.positional, "default": default})
    operands = ["two or more"] if op.operands is None else [*op.operands]
    about = (op.__doc__ or "").strip().split("\n")[0]
    return {"op": op.op, "operands": operands, "fields": fields, "about": about}


def _field_text(field: dict[str, Any]) -> str:
    name = field["name"] if field["positional"] else f"{field['name']}="
    return name if field["default"] is None else f"{field['name']}={field['default']}"
