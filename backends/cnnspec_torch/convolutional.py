"""A classifier's weights for the fully convolutional network that it becomes, after both gave the same numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from cnnspec import durable
from cnnspec.diagnostics import RefutedError
from cnnspec.graph import Graph
from cnnspec.passes.convolutionalize import convolutionalize
from cnnspec_torch import pretrained
from cnnspec_torch.compare import CLOSE, part


@dataclass(frozen=True)
class Converted:
    graph: Graph
    tensors: dict[str, Tensor]
    difference: float
    """The largest of any output over its largest value."""


def converted(graph: Graph, weights: str | Path, options: Mapping[str, Any], **symbols: int) -> Converted:
    """The network with weights, and how far it is from the classifier on a random image; `weights` and `options` are
    as `pretrained.load` takes them.

    Raises RefutedError where that is more than rounding, and as loading weights does.
    """
    whole = graph.lower("torch")
    pretrained.load(whole, graph, weights, **options)
    grid, tensors = convolutionalize(graph, whole.state_dict(), **symbols)
    net: nn.Module = grid.lower("torch")
    net.load_state_dict(dict(tensors))
    size = grid.at(**{grid.batch: 1}).nodes[grid.inputs[0]].type.concrete
    difference = _difference(whole.eval(), net.eval(), torch.randn(size, generator=torch.Generator().manual_seed(0)))
    if not difference <= CLOSE:
        raise RefutedError(f"{grid.name} differs from {graph.name} by {difference:.1e} of its largest value")
    return Converted(grid, dict(tensors), difference)


def save(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write safetensors, whole or not at all. Raises RunError."""
    durable.write(path, safetensors.torch.save({name: tensor.contiguous() for name, tensor in tensors.items()}))


@torch.inference_mode()
def _difference(whole: nn.Module, net: nn.Module, image: Tensor) -> float:
    due, found = whole(image), net(image)
    if isinstance(due, Tensor):
        due, found = {"": due}, {"": found}
    elif isinstance(found, Tensor):  # training-only outputs are gone, and one is left
        found = dict.fromkeys(due, found)
    return max(part(y, found[name].reshape(y.shape)) for name, y in due.items())
