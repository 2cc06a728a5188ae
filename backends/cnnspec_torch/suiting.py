"""Whether a recipe suits a graph: asked before any data is read or a file is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from cnnspec.diagnostics import UsageError
from cnnspec_torch import data, optimizing, scales, tasks
from cnnspec_torch.prediction import input_size

if TYPE_CHECKING:
    from cnnspec.graph import Graph
    from cnnspec.recipe import Recipe


def needed(graph: Graph, recipe: Recipe) -> data.Need:
    """What the heads of a graph need of data. Raises UsageError where they cannot be trained as the recipe says."""
    found = tasks.of(graph, recipe)
    classes = {task.head: getattr(task, "classes", 0) for task, _ in found}
    if len({number for number in classes.values() if number}) > 1:
        said = ", ".join(f"'{head}' {number}" for head, number in classes.items() if number)
        raise UsageError(f"the heads of {graph.name} tell apart different numbers of classes: {said}")
    kinds = frozenset[str]().union(*(task.needs for task, _ in found))
    if kinds != {"classes"}:
        image_alone = {"augment.randaugment": recipe.augment.randaugment, "mixup": recipe.mixup}
        if wrong := [name for name, value in image_alone.items() if value]:
            learns = " and ".join(sorted(kinds))
            raise UsageError(f"recipe.{wrong[0]} is for classes alone; {graph.name} learns {learns}")
    scales.legal(graph, recipe.sizes)
    _check_paths(graph, recipe)
    return data.Need(*input_size(graph.at()), max(classes.values()), kinds)


def _check_paths(graph: Graph, recipe: Recipe) -> None:
    """Raises UsageError for a path of `freeze` or `rates` that no parameter lies below."""
    stages = recipe.stages
    if not any(stage.freeze or stage.rates for stage in stages):
        return
    with torch.device("meta"):
        net = graph.lower("torch")
    for stage in stages:
        optimizing.freeze(net, stage.freeze)
        optimizing.check_rates(net, stage.rates)
