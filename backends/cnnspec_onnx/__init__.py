"""The ONNX backend: graphs become ONNX models, written node by node, never traced."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cnnspec.graph import Graph


class Backend:
    """What the entry point `cnnspec.backends` names `onnx`."""

    def lower(self, graph: Graph, seed: int = 0) -> Any:
        """The inference graph as an onnx.ModelProto with the start weights that torch's module has for that seed.

        Raises MissingError where torch, which draws them, is not installed; cnnspec_onnx.model.build takes weights.
        """
        from cnnspec.backend import find
        from cnnspec_onnx.model import build

        return build(graph, find("torch").lower(graph.inference(), seed=seed).state_dict())
