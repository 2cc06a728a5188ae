"""Every row of the table as an ONNX model: onnxruntime and onnx's own evaluator against torch, first and last opset."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx.reference import ReferenceEvaluator

from cnnspec.diagnostics import SpecError
from cnnspec.front import compile_text
from cnnspec.graph import Graph
from cnnspec.ops import BY_NAME, OPS
from cnnspec.ops.base import AbstractOp
from cnnspec.ops.source import Input
from cnnspec.tensor import Dim, Size, TensorType
from cnnspec_onnx.lower import Place, lower
from cnnspec_onnx.model import NEWEST, OLDEST, build
from samples import IDS, SAMPLES, Sample

EXACT = 1e-5
REFERENCE_FAULTS = {
    "lrn": "it sums over as many maps as there are images",
    "lrn-1d": "as lrn",
    "lrn-3d": "as lrn",
    "transposed_conv-groups": "it cannot reshape the weight of groups",
    "global_maxpool": "it takes the maximum over the channels of three axes",
}
"""Rows on which onnx's evaluator is wrong (1.23), onnxruntime and torch agreeing."""
FIXED = {"flatten", "reshape", "reshape-open", "adaptive_avgpool", "adaptive_avgpool-1d", "adaptive_avgpool-3d"}
FIXED |= {"permute", "permute-1d"}
"""Rows whose operator refuses sizes that hold symbols."""

every_row = pytest.mark.parametrize("sample", SAMPLES, ids=IDS)
every_opset = pytest.mark.parametrize("opset", [OLDEST, NEWEST])


def _marked(sample: Sample) -> Any:
    fault = REFERENCE_FAULTS.get(sample.id)
    return pytest.param(sample, id=sample.id, marks=[pytest.mark.xfail(reason=fault)] if fault else [])


reference_rows = [_marked(sample) for sample in SAMPLES]


def graph_of(sample: Sample, types: Sequence[TensorType] | None = None) -> Graph:
    names = [f"x{i}" for i in range(len(sample.inputs))]
    sizes = {n: ["N", *map(_text, x.shape[1:])] for n, x in zip(names, types or sample.inputs, strict=True)}
    node = {"op": sample.op.op, "in": names, **sample.op.model_dump(mode="json", exclude_defaults=True)}
    document = {"cnnspec": 1, "name": "one", "input": sizes, "net": {"y": node}, "outputs": ["y"]}
    return compile_text(json.dumps(document))


def _text(size: Size) -> int | str:
    return size if isinstance(size, int) else str(size)


def unsettled(graph: Graph) -> torch.nn.Module:
    """The module with every weight and statistic drawn anew, so that no one or zero hides a mistake."""
    module: torch.nn.Module = graph.lower("torch").eval()
    generator = torch.Generator().manual_seed(1)
    trained = {name for name, _ in module.named_parameters()}
    for name, value in module.state_dict().items():
        if name in trained or "running" in name:
            value.copy_(torch.rand(value.shape, generator=generator) + 0.5)
    return module


def feeds_of(graph: Graph, **sizes: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(2)
    concrete = graph.at(**sizes)
    return {name: torch.randn(concrete.nodes[name].type.concrete) for name in graph.inputs}


def assert_equal(found: Any, module: torch.nn.Module, feeds: Mapping[str, torch.Tensor]) -> None:
    expected = module(*feeds.values()).detach().numpy()
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= EXACT * max(1, np.abs(expected).max())


def arrays(feeds: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    return {name: x.numpy() for name, x in feeds.items()}


@every_opset
@every_row
def test_onnxruntime_equals_torch(sample: Sample, opset: int) -> None:
    graph = graph_of(sample)
    module, feeds = unsettled(graph), feeds_of(graph, N=2)
    model = build(graph, module.state_dict(), opset=opset)
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    assert_equal(session.run(None, arrays(feeds))[0], module, feeds)


@every_opset
@pytest.mark.parametrize("sample", reference_rows)
def test_the_reference_equals_torch(sample: Sample, opset: int) -> None:
    graph = graph_of(sample)
    module, feeds = unsettled(graph), feeds_of(graph, N=2)
    model = build(graph, module.state_dict(), opset=opset)
    found: Any = ReferenceEvaluator(model).run(None, arrays(feeds))
    assert_equal(found[0], module, feeds)


@every_row
def test_symbolic_sizes_are_dynamic(sample: Sample) -> None:
    """The row's own sizes at 1, more at 2, every axis by a symbol of its own."""
    graph = _symbolic(sample)
    assert (graph is None) == (sample.id in FIXED)
    if graph is None:
        return
    module = unsettled(graph)
    session = onnxruntime.InferenceSession(build(graph, module.state_dict()).SerializeToString())
    for batch, value in ((2, 1), (1, 2)):
        feeds = feeds_of(graph, N=batch, **{name: value for name in graph.symbols if name != "N"})
        assert_equal(session.run(None, arrays(feeds))[0], module, feeds)


def _symbolic(sample: Sample) -> Graph | None:
    try:
        return graph_of(sample, [_grown(x) for x in sample.inputs])
    except SpecError:
        return None


def _grown(x: TensorType) -> TensorType:
    """Sizes 12 * symbol + rest, since 12 is a multiple of every stride in the table; 1 stays 1."""
    sizes = zip(x.concrete[2:], "dhw"[5 - x.rank :], strict=True)
    return x.with_spatial(x.channels, [Dim(12, symbol, n - 12) if n > 1 else 1 for n, symbol in sizes])


@every_row
def test_shapes_are_what_onnx_infers(sample: Sample) -> None:
    model = build(graph_of(sample).at(N=2), None)
    model.graph.output[0].type.Clear()
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    found = tuple(size.dim_value for size in inferred.graph.output[0].type.tensor_type.shape.dim)
    assert found == sample.output.concrete


@every_row
def test_initializers_are_the_state_dict(sample: Sample) -> None:
    """By name and shape, besides what the lowering needs itself, which has a slash in its name."""
    module = unsettled(graph_of(sample))
    model = build(graph_of(sample), module.state_dict())
    found = {t.name: tuple(t.dims) for t in model.graph.initializer if "/" not in t.name}
    expected = {k: tuple(v.shape) for k, v in module.state_dict().items() if not k.endswith("num_batches_tracked")}
    assert found == expected


@pytest.mark.parametrize("op", OPS, ids=BY_NAME)
def test_every_operator_has_a_lowering(op: type[AbstractOp]) -> None:
    assert lower.dispatch(op) is not lower.dispatch(object), f"cnnspec_onnx has no lowering for {op.op}"


def test_an_unknown_operator_is_refused_by_name() -> None:
    x = TensorType((1, 1))
    with pytest.raises(NotImplementedError, match="the ONNX backend has no lowering for the operator 'input'"):
        lower(Input(), Place("x", (), (), x, OLDEST, str))
