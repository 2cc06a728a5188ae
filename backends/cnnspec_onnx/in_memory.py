"""Trained networks lowered to ONNX without a file, to be judged as onnxruntime runs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cnnspec.diagnostics import RunError
from cnnspec.judges.base import CLASSED
from cnnspec.published import Preprocess
from cnnspec_onnx.evaluation import network
from cnnspec_onnx.model import Images, build
from cnnspec_onnx.session import Session

if TYPE_CHECKING:
    from cnnspec.graph import Graph
    from cnnspec.judges import Network
    from cnnspec.predicting import Preparation

MOST = 2**31 - 2**20
"""Bytes of weights: what protobuf can hold, less room for the graph."""


def lowered(
    graph: Graph,
    weights: Mapping[str, Any],
    how: Preparation,
    labels: Sequence[str],
    sizes: Mapping[str, int],
    name: str,
) -> Network:
    """A graph with weights (tensors by state-dict name) by way of ONNX; messages call it `name`.

    Raises RunError where that is larger than a model in memory can be.
    """
    size = sum(one.numel() * one.element_size() for one in weights.values())
    if size > MOST:
        raise RunError(f"{name}: {size} bytes of weights are too many for an ONNX model in memory, the limit is {MOST}")
    classed = [head for head, one in graph.inference().heads.items() if one.kind in CLASSED]
    kept = Preprocess(fit=how.fit, mean=how.mean, std=how.std)
    images = Images(kept, sizes=sizes, labels=dict.fromkeys(classed, tuple(labels)))
    return network(Session(name, build(graph, weights, images=images).SerializeToString()))
