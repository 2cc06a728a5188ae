"""What the heads of a graph mean in training."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import torch

from cnnspec.diagnostics import UsageError, did_you_mean
from cnnspec.masks import class_weights
from cnnspec_torch.tasks.base import Outputs as Outputs
from cnnspec_torch.tasks.base import Targets as Targets
from cnnspec_torch.tasks.base import Task as Task
from cnnspec_torch.tasks.classify import Classify
from cnnspec_torch.tasks.detect import Detect as Detect
from cnnspec_torch.tasks.locate import Locate
from cnnspec_torch.tasks.segment import Segment

if TYPE_CHECKING:
    from cnnspec.graph import Graph
    from cnnspec.recipe import Recipe
    from cnnspec.tensor import TensorType

Masks = Callable[[], Iterable[Any]] | None
"""The masks of the training images, uint8 [h, w] each."""
AUXILIARY = 0.3
"""Weight of the loss of a training-only output: Szegedy et al. 2014, Going Deeper with Convolutions, section 5."""


def of(
    graph: Graph, recipe: Recipe, device: torch.device | None = None, masks: Masks = None
) -> tuple[tuple[Task, float], ...]:
    """Each head's task with the weight of its loss: the recipe's, else 1, and `AUXILIARY` of training-only outputs.

    `masks` gives those of training, for heads that weigh classes by them. Raises UsageError for a head that cannot be
    trained, for none at all, and for a weight of what is no head.
    """
    kinds = {head.kind for head in graph.heads.values()}
    if unknown := [name for name in recipe.losses if name not in graph.heads and name not in _MAKE]:
        known = {**graph.heads, **dict.fromkeys(kinds)}
        help = did_you_mean(unknown[0], known) or f"its heads are {', '.join(graph.heads) or 'none'}"
        raise UsageError(f"recipe.losses: {graph.name} has no head '{unknown[0]}'", help)
    there = graph.inference().heads
    if not there:
        help = "heads: {OUTPUT: {classify: {}}} in the spec says what an output means"
        raise UsageError(f"{graph.name} has no head to learn by", help)
    return tuple(
        (_MAKE[head.kind](graph, name, recipe, device, masks), _weight(recipe, name, head.kind, name in there))
        for name, head in graph.heads.items()
    )


def _weight(recipe: Recipe, name: str, kind: str, stays: bool) -> float:
    return recipe.losses.get(name, recipe.losses.get(kind, 1.0) * (1.0 if stays else AUXILIARY))


def _type(graph: Graph, name: str) -> TensorType:
    """The type of the first output that a head reads."""
    nodes = {output.name: output.node for output in graph.outputs}
    return graph.nodes[nodes[graph.heads[name].of[0]]].type


def _classify(graph: Graph, name: str, recipe: Recipe, device: torch.device | None, masks: Masks) -> Task:
    head, type = graph.heads[name], _type(graph, name)
    if type.rank != 2:
        raise UsageError(f"the head '{name}' reads {type}; classes are [N, classes]")
    return Classify(
        name,
        head.of[0],
        type.channels,
        lowest=head.lowest,
        smoothing=recipe.label_smoothing,
        margin=recipe.margin if head.lowest else None,
        device=device,
    )


def _locate(graph: Graph, name: str, recipe: Recipe, device: torch.device | None, masks: Masks) -> Task:
    type = _type(graph, name)
    if type.rank != 2 or type.channels != 4:
        raise UsageError(f"the head '{name}' reads {type}; a box is [N, 4]")
    return Locate(name, graph.heads[name].of[0], device=device)


def _detect(graph: Graph, name: str, recipe: Recipe, device: torch.device | None, masks: Masks) -> Task:
    return Detect(graph, name, recipe.detect)


def _segment(graph: Graph, name: str, recipe: Recipe, device: torch.device | None, masks: Masks) -> Task:
    type, how = _type(graph, name), recipe.segment
    if type.rank != 4:
        raise UsageError(f"the head '{name}' reads {type}; masks are [N, classes, H, W]")
    weights = how.class_weights if isinstance(how.class_weights, list) else None
    if isinstance(how.class_weights, str) and how.class_weights != "none" and masks is not None:
        weights = class_weights(masks(), type.channels, how.class_weights)
    if weights is not None and len(weights) != type.channels:
        raise UsageError(f"segment.class_weights has {len(weights)} numbers, the head '{name}' {type.channels} classes")
    smoothing = how.label_smoothing
    return Segment(name, graph.heads[name].of[0], type.channels, weights=weights, smoothing=smoothing, device=device)


_MAKE = {"classify": _classify, "locate": _locate, "detect": _detect, "segment": _segment}
