"""The network as a file of torch.export, which torch runs without the spec and without cnnspec."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim as Symbol

from cnnspec import durable
from cnnspec.diagnostics import RefutedError, RunError, printable
from cnnspec.graph import Graph
from cnnspec.tensor import Dim, TensorType
from cnnspec_torch.compare import CLOSE, part


@dataclass(frozen=True)
class Exported:
    """`sizes` are the symbol values tried, `difference` the largest of any output over its largest value."""

    sizes: list[dict[str, int]]
    difference: float


def export(graph: Graph, module: nn.Module, path: Path) -> Exported:
    """Write the inference graph, whose module this is, with its symbols as dynamic sizes.

    torch.export takes a size of 1 for a fixed one, so symbols begin where no size that holds them is below 2.
    The program gives what the module gives: a tensor where one output is left, else a dict by output name.
    The file's bytes are loaded again and run at two sizes before they are written. Raises RefutedError, with nothing
    written, where they give other numbers, and RunError where the file cannot be written.
    """
    module.eval()
    least = {name: _least(graph, name) for name in graph.symbols}
    symbols = {name: Symbol(name, min=value) for name, value in least.items()}
    shapes = tuple(_dynamic(graph.nodes[name].type, symbols) for name in graph.inputs)
    tried = [{name: value + i % 2 for i, (name, value) in enumerate(least.items())}]
    tried.append({name: value + 2 + (i + 1) % 2 for i, (name, value) in enumerate(least.items())})
    with warnings.catch_warnings(), torch.no_grad():  # inference, in the layout that it takes
        warnings.simplefilter("ignore")  # torch's exporter warns about itself
        try:
            program = torch.export.export(module, _images(graph, tried[0]), dynamic_shapes=shapes)
        except Exception as error:  # its classes share no base
            reason = printable(str(error).strip().partition("\n")[0])
            raise RunError(f"torch.export does not take {graph.name}: {reason}") from None
        data = io.BytesIO()
        torch.export.save(program, data)
        again = torch.export.load(io.BytesIO(data.getvalue())).module()
    difference = max(_difference(module, again, _images(graph, sizes)) for sizes in tried)
    if not difference <= CLOSE:
        raise RefutedError(f"the exported program differs from the module by {difference:.1e} of its largest value")
    durable.write(path, data.getvalue())
    return Exported(tried, difference)


def _least(graph: Graph, symbol: str) -> int:
    sizes = {size for node in graph.nodes.values() for size in node.type.shape if isinstance(size, Dim)}
    needed = (-((size.offset - 2) // size.factor) for size in sizes if size.symbol == symbol)
    return max(graph.bounds.get(symbol, 1), *needed)


def _dynamic(type: TensorType, symbols: Mapping[str, Any]) -> dict[int, Any]:
    """Axis -> 32*h + 4 in torch's symbols; axes of fixed size are left out."""
    sizes = {}
    for axis, size in enumerate(type.shape):
        if isinstance(size, Dim):
            grown = size.factor * symbols[size.symbol] if size.factor != 1 else symbols[size.symbol]
            sizes[axis] = grown + size.offset if size.offset else grown
    return sizes


def _images(graph: Graph, sizes: Mapping[str, int]) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randn(graph.nodes[name].type.at(sizes).concrete, generator=generator) for name in graph.inputs)


@torch.inference_mode()
def _difference(module: nn.Module, other: nn.Module, images: tuple[Tensor, ...]) -> float:
    due, found = module(*images), other(*images)
    pairs = [(due, found)] if isinstance(due, Tensor) else [(due[name], found[name]) for name in due]
    return max(part(y, other) for y, other in pairs)
