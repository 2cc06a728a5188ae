"""`cnnspec show`: the graph as text, one node a line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cnnspec.commands.common import (
    AllowUnusedFlag,
    DebugFlag,
    IgnoreOption,
    InputOption,
    JsonFlag,
    SetOption,
    SpecArg,
    StrictFlag,
    answer,
    compile_spec,
    warnings_of,
)
from cnnspec.commands.table import Column, plain
from cnnspec.diagnostics import UsageError, printable
from cnnspec.wording import call

if TYPE_CHECKING:
    from cnnspec.graph import Graph


DiffOption = Annotated[
    str | None,
    typer.Option("--diff", metavar="OTHER", help="What changes from SPEC to OTHER, in structure and in cost."),
]


def show(
    spec: SpecArg,
    resolved: Annotated[bool, typer.Option("--resolved", help="As a spec in canonical form, a node a line.")] = False,
    source: Annotated[bool, typer.Option("--source", help="The file as it is written, with its blocks.")] = False,
    other: DiffOption = None,
    params: SetOption = None,
    inputs: InputOption = None,
    allow_unused: AllowUnusedFlag = False,
    ignore: IgnoreOption = None,
    strict: StrictFlag = False,
    json: JsonFlag = False,
    debug: DebugFlag = False,
) -> int:
    if other is not None and (resolved or source):
        raise UsageError("--diff compares graphs", "leave out --resolved and --source")
    graph = compile_spec(
        spec, params=params, inputs=inputs, allow_unused=allow_unused, ignore=ignore, strict=strict, quiet=json
    )
    found = warnings_of(graph.warnings, ignore, strict)
    if other is not None:
        from cnnspec.commands.review import review_json, review_text

        after = compile_spec(other, allow_unused=allow_unused, ignore=ignore, strict=strict, quiet=json)
        found += warnings_of(after.warnings, ignore, strict)
        data, text = (review_json(graph, after), "") if json else ({}, review_text(graph, after))
        return answer("show", json=json, data=data, text=text, diagnostics=found)
    if source and graph.source is not None:
        text = graph.source.text
        return answer("show", json=json, data={"yaml": text}, text=text.rstrip("\n"), diagnostics=found)
    if resolved:
        from cnnspec.canonical import resolved_yaml

        text = resolved_yaml(graph)
        return answer("show", json=json, data={"yaml": text}, text=text.rstrip("\n"), diagnostics=found)
    if json:
        from cnnspec.canonical import graph_json

        return answer("show", json=True, data=graph_json(graph), diagnostics=found)
    return answer("show", json=False, data={}, text=graph_text(graph))


def graph_text(graph: Graph) -> str:
    """Path, operator with its arguments, the symbolic shape, and inputs; then the outputs."""
    rows = [
        (printable(path), call(node.op), str(node.type), printable(", ".join(node.inputs)))
        for path, node in graph.nodes.items()
    ]
    table = plain((Column("node"), Column("operator"), Column("shape"), Column("of")), rows)
    outputs = [f"output {o.name} = {o.node}{' (training only)' if o.train_only else ''}" for o in graph.outputs]
    bounds = [f"{name} >= {least}" for name, least in graph.bounds.items() if least > 1]
    return "\n".join([table, *map(printable, outputs), *([f"holds for {', '.join(bounds)}"] if bounds else [])])
