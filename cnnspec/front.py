"""From a path or a shipped name to a graph."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cnnspec import limits
from cnnspec.declare import text_expression
from cnnspec.elaborate import elaborate
from cnnspec.files import load, load_text
from cnnspec.graph import Graph


def compile_file(
    target: str | Path,
    *,
    params: Mapping[str, object] | None = None,
    inputs: Mapping[str, str] | None = None,
    allow_unused: bool = False,
    max_nodes: int = limits.NODES,
) -> Graph:
    """The graph of a path or shipped name. Texts among `params` are read as the file's expressions are;
    `inputs` are other declarations, as `N,3,225,300`.

    Raises SpecError for faults in a spec, MissingError where there is none, UsageError for unknown params.
    """
    declared = {name: text_expression(f"[{text}]", f"--input {name}") for name, text in (inputs or {}).items()}
    return elaborate(load(target), params=params, inputs=declared, allow_unused=allow_unused, max_nodes=max_nodes)


def compile_text(text: str, *, shown: str = "spec", root: Path | None = None, **params: object) -> Graph:
    """The graph of a text at hand; positions name `shown`, used files are looked for under `root`."""
    return elaborate(load_text(text, shown, root), params=params)


def compile(spec: str | Path, **params: object) -> Graph:
    """The graph of a spec: a path, or a shipped name; params by keyword.

        graph = cnnspec.compile("resnet34", classes=10)

    Raises SpecError with every diagnostic, MissingError where there is no such spec.
    """
    return compile_file(spec, params=params)
