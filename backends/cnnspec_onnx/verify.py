"""What is proved of a model before it is written.

onnx's checker alone misses wrong channels and groups of convolutions, so numbers are compared too: with weights and
statistics drawn at random (ones and zeros hide mistakes), and before any softmax (which hides differences).
"""

from __future__ import annotations

import contextlib
import copy
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch

from cnnspec.diagnostics import RefutedError, RunError
from cnnspec.graph import Graph, Output
from cnnspec.optimizing import optimize
from cnnspec.passes.prune import prune
from cnnspec_onnx.files import MESSAGE, save
from cnnspec_onnx.model import build

CLOSE = 1e-4
"""The largest difference allowed, as a part of the largest value of an output."""
MUCH = 4
"""Of an output that magnifies roundings, how many times torch's own difference from double precision is allowed."""


@dataclass(frozen=True)
class Verified:
    """`sizes` are the symbol values tried, `difference` the largest of any output over its largest value."""

    sizes: list[dict[str, int]]
    shapes: int
    difference: float


def verify(graph: Graph, opset: int, optimized: bool = False) -> Verified:
    """Check, infer and run the graph as ONNX, at two batches and sizes where they are symbols.

    If `optimized`, what is checked and run is made by the passes of cnnspec.optimize, and torch runs the graph as it
    was. Raises RefutedError, which says what differs and where.
    """
    graph = _before_softmax(graph.inference())
    tried = _sizes(graph)
    module = graph.lower("torch")
    unsettle(module, _feeds(graph, tried[-1]))
    written, tensors = optimize(graph, module.state_dict()) if optimized else (graph, module.state_dict())
    shapes = [_same_shapes(written.at(**sizes), opset) for sizes in tried]
    with tempfile.TemporaryDirectory() as folder:
        session = _session(build(written, tensors, opset=opset), Path(folder))
        difference = max(_difference(graph, module, session, sizes) for sizes in tried)
    return Verified(tried, shapes[0], difference)


def _before_softmax(graph: Graph) -> Graph:
    outputs = []
    for output in graph.outputs:
        node = graph.nodes[output.node]
        outputs.append(Output(output.name, node.inputs[0] if node.op.op == "softmax" else output.node))
    return prune(replace(graph, outputs=tuple(outputs)))


def _sizes(graph: Graph) -> list[dict[str, int]]:
    """Two values for every symbol from its bound on, no axis like its neighbour, and the batches 1 and 3."""
    free = [name for name in graph.symbols if name != graph.batch]
    least = {name: graph.bounds.get(name, 1) for name in free}
    first = {name: least[name] + i % 2 for i, name in enumerate(free)}
    second = {name: least[name] + 2 + (i + 1) % 2 for i, name in enumerate(free)}
    if graph.batch not in graph.symbols:
        return [first, second] if free else [{}]
    return [{graph.batch: 1, **first}, {graph.batch: 3, **second}]


def _same_shapes(graph: Graph, opset: int) -> int:
    """onnx's strict inference from the inputs alone gives our shapes; gives how many were compared."""
    model = build(graph, None, opset=opset)
    made = [output for output in model.graph.output if output.name not in graph.inputs]
    ours = {value.name: _shape(value) for value in [*model.graph.value_info, *made]}
    del model.graph.value_info[:]
    for output in made:
        output.type.tensor_type.ClearField("shape")
    try:
        inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    except onnx.shape_inference.InferenceError as error:
        raise RefutedError(f"onnx cannot infer the shapes: {str(error).strip()}") from None
    found = {value.name: _shape(value) for value in [*inferred.graph.value_info, *inferred.graph.output]}
    for name, shape in ours.items():
        if found.get(name) != shape:
            raise RefutedError(f"onnx infers {found.get(name)} for '{name}', the graph has {shape}")
    return len(ours)


def _shape(value: Any) -> list[int]:
    return [size.dim_value for size in value.type.tensor_type.shape.dim]


@torch.no_grad()
def unsettle(module: torch.nn.Module, feeds: Mapping[str, torch.Tensor], seed: int = 0) -> None:
    """Draw every weight and statistic anew, none of them 0 or 1; what the spec gives stays.

    Statistics are near those of the batch: with any others deep networks magnify every rounding.
    """
    generator = torch.Generator().manual_seed(seed)
    for name, value in module.named_parameters():
        if value.ndim > 1:
            value.normal_(0, (2 / prod(value.shape[1:])) ** 0.5, generator=generator)
        elif name.endswith("weight"):
            value.uniform_(0.25, 0.75, generator=generator)
        else:
            value.normal_(0, 0.1, generator=generator)
    norms = [one for one in module.modules() if isinstance(one, torch.nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.momentum = 1.0
    with contextlib.suppress(ValueError):  # a norm over one value in all
        module.train()(*feeds.values())
    for norm in norms:
        assert norm.running_mean is not None
        assert norm.running_var is not None
        norm.running_var.add_(0.1).mul_(torch.rand(norm.running_var.shape, generator=generator) + 0.5)
        norm.running_mean.add_(torch.randn(norm.running_mean.shape, generator=generator), alpha=0.1)
    module.eval()


def _feeds(graph: Graph, sizes: Mapping[str, int]) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    shapes = {name: graph.nodes[name].type.at(sizes).concrete for name in graph.inputs}
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def _session(model: onnx.ModelProto, folder: Path) -> Any:
    """A session, by way of a file where a message cannot hold the model; checked in full before."""
    size = sum(len(tensor.raw_data) for tensor in model.graph.initializer)
    source: Any = model.SerializeToString() if size <= MESSAGE else str(save(model, folder / "model.onnx")[0])
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        onnx.checker.check_model(source, full_check=True)
        return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's share no base
        raise RefutedError(f"the model does not load: {str(error).strip()}") from None


@torch.inference_mode()
def _difference(graph: Graph, module: torch.nn.Module, session: Any, sizes: Mapping[str, int]) -> float:
    feeds = _feeds(graph, sizes)
    try:
        expected = module(*feeds.values())
    except ValueError as error:  # such as a group norm over one value
        raise RunError(
            f"torch does not run {graph.name} at {dict(sizes)}: {error}", "--no-verify compares nothing"
        ) from None
    names = [output.name for output in graph.outputs]
    found = session.run(names, {name: x.numpy() for name, x in feeds.items()})
    worst = 0.0
    for name, y in zip(names, found, strict=True):
        due = (expected[name] if isinstance(expected, dict) else expected).numpy()
        if not np.isfinite(due).all():
            raise RunError(f"'{name}' is not finite with random weights: nothing can be compared")
        part = _part(y, due)
        if not part <= CLOSE and not part <= MUCH * _rounding(module, feeds, name, due):
            raise RefutedError(f"'{name}' differs from torch by {part:.1e} of its largest value at {dict(sizes)}")
        worst = max(worst, part)
    return worst


def _part(y: Any, due: Any) -> float:
    if y.shape != due.shape:
        return float("inf")
    return float(np.abs(y - due).max() / max(np.abs(due).max(), 1e-30))


def _rounding(module: torch.nn.Module, feeds: Mapping[str, torch.Tensor], name: str, due: Any) -> float:
    """How far torch's single precision is from its double."""
    exact = copy.deepcopy(module).double()(*(x.double() for x in feeds.values()))
    return _part(due, (exact[name] if isinstance(exact, dict) else exact).numpy())
