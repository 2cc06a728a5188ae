"""What the passes that optimize share: graphs of inference and their tensors, by state-dict name, change together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from cnnspec.graph import Graph, Node
from cnnspec.ops.norm import BatchNorm, Normalize

Tensors = Mapping[str, Any]
"""Arrays of numpy or tensors of torch; none at all where the graph alone is wanted."""


def rewritten(
    graph: Graph, nodes: Mapping[str, Node], moved: Mapping[str, str], tensors: Tensors
) -> tuple[Graph, Tensors]:
    """The graph of these nodes, where what read a moved path reads the other; tensors of no node are left out."""
    kept = {
        path: replace(node, inputs=tuple(moved.get(source, source) for source in node.inputs))
        for path, node in nodes.items()
    }
    outputs = tuple(replace(output, node=moved.get(output.node, output.node)) for output in graph.outputs)
    fresh = replace(graph, nodes=MappingProxyType(kept), outputs=outputs)
    return fresh, {name: tensor for name, tensor in tensors.items() if name.rpartition(".")[0] in kept}


def read_once(graph: Graph, path: str) -> bool:
    """Whether one node reads the value and it is no output."""
    return len(graph.users[path]) == 1 and all(output.node != path for output in graph.outputs)


AFFINE = ("batchnorm", "channel_affine", "normalize")


def affine(node: Node, tensors: Tensors) -> tuple[Any, Any]:
    """(scale, shift) per channel of a node with an operator of AFFINE, batch norm in evaluation."""
    op, path = node.op, node.path
    if isinstance(op, Normalize):
        std = tensors[f"{path}.std"]
        return 1 / std, -tensors[f"{path}.mean"] / std
    weight = tensors[f"{path}.weight"]
    if isinstance(op, BatchNorm):
        scale = weight / (tensors[f"{path}.running_var"] + op.eps) ** 0.5
        return scale, tensors[f"{path}.bias"] - tensors[f"{path}.running_mean"] * scale
    return weight, tensors.get(f"{path}.bias", 0 * weight)


def wide(values: Any, axes: int) -> Any:
    """One value per filter, shaped to spread over a weight of as many further axes."""
    return values.reshape(-1, *(1,) * axes)
