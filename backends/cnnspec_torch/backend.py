"""What the entry point `cnnspec.backends` names `torch`."""

from __future__ import annotations

from torch import nn

from cnnspec.graph import Graph
from cnnspec_torch.module import build


class Backend:
    """Graphs become torch modules."""

    def lower(self, graph: Graph, seed: int = 0) -> nn.Module:
        """The network as a torch.nn.Module; see cnnspec_torch.module.build."""
        return build(graph, seed)
