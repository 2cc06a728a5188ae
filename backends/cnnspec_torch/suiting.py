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
    _check_heads(graph, recipe)
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


def _check_heads(graph: Graph, recipe: Recipe) -> None:
    """Raises UsageError for a key of the recipe that is for heads of a kind that the graph does not have."""
    kinds = {head.kind for head in graph.heads.values()}
    there = {
        "detect": ("heads of boxes", "detect" in kinds),
        "segment": ("heads of masks", "segment" in kinds),
        "label_smoothing": ("heads of classes", "classify" in kinds),
        "margin": ("heads whose lowest number wins", any(head.lowest for head in graph.heads.values())),
    }
    usual = type(recipe)()
    for key, (what, has) in there.items():
        if not has and getattr(recipe, key) != getattr(usual, key):
            said = ", ".join(f"'{name}' is {head.kind}" for name, head in graph.heads.items())
            raise UsageError(f"recipe.{key} is for {what}, of which {graph.name} has none: {said}")


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
