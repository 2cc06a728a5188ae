"""What a recipe freezes: parameters by globs over their paths."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from math import prod
from typing import TYPE_CHECKING

from cnnspec.diagnostics import UsageError, did_you_mean

if TYPE_CHECKING:
    from cnnspec.graph import Graph


def matches(path: str, globs: Iterable[str]) -> bool:
    """Whether a path, or one that it lies below, fits a glob: `body`, `body.*`, `*.batchnorm`."""
    parts = path.split(".")
    starts = [".".join(parts[:end]) for end in range(1, len(parts) + 1)]
    return any(fnmatchcase(start, glob) for glob in globs for start in starts)


def check_globs(names: Iterable[str], globs: Iterable[str], key: str) -> None:
    """Raises UsageError for a glob that no name lies below."""
    names = [*names]
    for glob in globs:
        if not any(matches(name, [glob]) for name in names):
            tops = {name.split(".")[0] for name in names}
            help = did_you_mean(glob, names) or did_you_mean(glob, tops) or f"it has {', '.join(sorted(tops)[:10])}"
            raise UsageError(f"{key}: no parameter lies below '{glob}'", help)


def frozen(graph: Graph, globs: Iterable[str]) -> tuple[int, int]:
    """How many trained numbers of the whole graph go on being trained, and how many the globs freeze.

    Raises UsageError for a glob that fits nothing.
    """
    named = ((path, name, shape) for path, shapes in graph.params.items() for name, shape in shapes.items())
    sizes = {f"{path}.{name}": prod(shape) for path, name, shape in named}
    globs = [*globs]
    check_globs(sizes, globs, "freeze")
    kept = sum(size for name, size in sizes.items() if matches(name, globs))
    return sum(sizes.values()) - kept, kept
