"""Trained networks run by torch, for judges."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from cnnspec.dense import classes_of
from cnnspec.diagnostics import RunError, UsageError
from cnnspec.judges.base import CLASSED, Network
from cnnspec_torch.prediction import read, threads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from cnnspec.graph import Graph
    from cnnspec.predicting import Preparation
    from cnnspec.vision import Floats, Pixels


def from_file(path: Path) -> Network:
    """The network of a weights file that training wrote, or of the run folder that holds one.

    Raises MissingError, and RunError where the file is damaged or holds another network than it says.
    """
    file = read(path)
    graph, labels = file.graph.inference(), file.header.labels
    for name, head in graph.heads.items():
        if head.kind not in CLASSED:
            continue
        try:
            classes = classes_of(graph, name)
        except UsageError as error:
            raise RunError(f"{file.path}: {error.message}") from None
        if classes != len(labels):
            raise RunError(f"{file.path}: the head '{name}' has {classes} classes, the file names {len(labels)}")
    return of(file.graph, file.module(), file.preparation, labels)


def of(graph: Graph, module: nn.Module, how: Preparation, labels: Sequence[str]) -> Network:
    """A module in evaluation mode, on any device, for judges."""
    device = next((one.device for one in (*module.parameters(), *module.buffers())), torch.device("cpu"))

    @torch.inference_mode()
    def run(pixels: Pixels) -> dict[str, Floats]:
        batch = torch.from_numpy(how.normalize(pixels)).to(device)
        with threads(graph, len(pixels)):
            outputs = module(batch)
        found = outputs if isinstance(outputs, dict) else {graph.outputs[0].name: outputs}
        return {name: value.float().cpu().numpy() for name, value in found.items()}

    return Network(graph.inference(), tuple(labels), how, run)
