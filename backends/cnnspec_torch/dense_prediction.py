"""Networks of boxes and masks run by torch; cnnspec.dense says what becomes of their outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from cnnspec.dense import Network, classes_of, dense_head, naming
from cnnspec.diagnostics import UsageError
from cnnspec_torch.prediction import threads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from cnnspec.graph import Graph
    from cnnspec.predicting import Preparation
    from cnnspec.vision import Floats, Pixels


def network(graph: Graph, module: nn.Module, how: Preparation, labels: Sequence[str] | None) -> Network:
    """A module in evaluation mode as a network with boxes or masks.

    Its classes bear the head's labels, else `labels`, else numbers. Raises UsageError where no head looks at places.
    """
    head = dense_head(graph)
    if head is None:
        raise UsageError(f"{graph.name} has no head of boxes or masks")
    classes = classes_of(graph, head)
    names = graph.heads[naming(graph, head)].labels or tuple(labels or ())
    names = names if len(names) == classes else tuple(map(str, range(classes)))

    @torch.inference_mode()
    def run(pixels: Pixels) -> dict[str, Floats]:
        batch = torch.from_numpy(how.normalize(pixels))
        with threads(graph, len(pixels)):
            outputs = module(batch)
        found = outputs if isinstance(outputs, dict) else {graph.outputs[0].name: outputs}
        return {name: value.numpy() for name, value in found.items()}

    return Network(graph.inference(), head, names, how, run)
