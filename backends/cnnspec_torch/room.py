"""Whether a step of training fits into memory, and which would."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import torch

from cnnspec.datasets.loading import free_memory
from cnnspec.diagnostics import RunError

try:
    import resource
except ModuleNotFoundError:  # Windows has no such limits
    resource = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from cnnspec.graph import Graph
    from cnnspec.memory import Memory
    from cnnspec.recipe import Recipe


def check(graph: Graph, recipe: Recipe) -> None:
    """Raises RunError where a step would take more than the machine has."""
    live = _memory(graph, recipe, recipe.batch).live
    if live.training_peak > (has := ram()):
        largest = sorted(graph.cost(batch=recipe.batch).rows, key=lambda row: -row.activation_bytes)[:3]
        nodes = ", ".join(f"{row.path} with {row.activation_bytes}" for row in largest)
        raise RunError(
            f"a step of {recipe.batch} images would take {live.training_peak} bytes at {live.training_peak_at}, this "
            f"machine has {has}; the largest nodes are {nodes} bytes",
            fitting(graph, recipe, has),
        )


def fitting(graph: Graph, recipe: Recipe, room: int) -> str:
    """Says a batch, at most half of the recipe's, of which a step should fit into so many bytes."""
    batch = max(1, recipe.batch // 2)
    while batch > 1 and _memory(graph, recipe, batch).live.training_peak > room:
        batch //= 2
    if batch == recipe.batch or _memory(graph, recipe, batch).live.training_peak > room:
        return "a step of one image takes more already; smaller images, or another machine"
    return f"--set recipe.batch={batch} should fit"


def _memory(graph: Graph, recipe: Recipe, batch: int) -> Memory:
    kind = {"sgd": "momentum", "rmsprop": "momentum"}.get(recipe.optimizer, "adam")
    return graph.memory(batch=batch, optimizer=kind)


def allowed() -> int:
    """Bytes that a step may take: the device's memory, or what is free of the machine's and allowed to this process."""
    if torch.cuda.is_available():
        return int(torch.cuda.mem_get_info()[1])
    free = 2 * free_memory()
    if resource is not None and (limit := resource.getrlimit(resource.RLIMIT_AS)[0]) != resource.RLIM_INFINITY:
        free = min(free, limit)
    return free


def ram() -> int:
    """Bytes of the machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
