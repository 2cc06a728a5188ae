"""The values of nodes inside a network, for images: the network cut off there, with the weights that it has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

import torch

from cnnspec.diagnostics import UsageError, did_you_mean
from cnnspec.graph import Graph, Output
from cnnspec.passes.prune import prune

if TYPE_CHECKING:
    from torch import Tensor, nn

    from cnnspec.vision import Floats


def cut(graph: Graph, nodes: Sequence[str]) -> Graph:
    """The inference graph up to those nodes, which are its outputs. Raises UsageError for one that it does not have."""
    graph = graph.inference()
    for path in nodes:
        if path not in graph.nodes:
            inside = [node for node in graph.nodes if node.startswith(f"{path}.")]
            near = f"in '{path}' are {', '.join(inside[:6])}" if inside else did_you_mean(path, graph.nodes)
            raise UsageError(f"{graph.name} has no node '{path}'", near or "cnnspec show lists the nodes")
    outputs = tuple(Output(path, path) for path in dict.fromkeys(nodes))
    nothing: Mapping[str, object] = MappingProxyType({})
    return prune(replace(graph, outputs=outputs, heads=MappingProxyType({}), expected=nothing))


def network(graph: Graph, module: nn.Module, nodes: Sequence[str]) -> nn.Module:
    """A module that gives the values of nodes, with the weights of a graph's module. Raises as `cut`."""
    inner: nn.Module = cut(graph, nodes).lower("torch")
    state = module.state_dict()
    inner.load_state_dict({name: state[name] for name in inner.state_dict()})
    return inner.eval()


@torch.inference_mode()
def values(inner: nn.Module, images: Floats, nodes: Sequence[str]) -> dict[str, Floats]:
    """The nodes' values, [n, ...] each, for images [n, c, h, w] as the network takes them."""
    found: Tensor | Mapping[str, Tensor] = inner(torch.from_numpy(images))
    named = {nodes[0]: found} if not isinstance(found, Mapping) else found
    return {path: value.numpy() for path, value in named.items()}


def filters(graph: Graph, module: nn.Module, node: str) -> Floats | None:
    """The kernels [filters, maps, kh, kw] of a convolution over images, given ones too; None of other nodes."""
    if graph.nodes[node].op.op not in ("conv", "depthwise", "transposed_conv"):
        return None
    weight: Tensor | None = getattr(module.get_submodule(node), "weight", None)
    return weight.detach().numpy() if weight is not None and weight.ndim == 4 else None
