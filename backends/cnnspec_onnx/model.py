"""A graph as an ONNX model.

Nodes and values bear our paths, weights their state-dict names, graph inputs and outputs the names of the spec; sizes
that hold a symbol are dimensions of that name (`32*h`). What a node needs besides is named `PATH/part`.

Opset 18 is written unless told otherwise: the first in which Resize takes axes and every reduction its axes as an
input, so that every operator is written one way up to the newest; runtimes from 2023 on read it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, defs, helper

import cnnspec
from cnnspec.diagnostics import RunError, UsageError, printable
from cnnspec.graph import Graph
from cnnspec.tensor import TensorType
from cnnspec_onnx.lower import Place, lower

OLDEST = 18
NEWEST = min(26, defs.onnx_opset_version())
"""The newest of onnxruntime 1.32 and of the onnx at hand."""

Weights = Mapping[str, Any]
Array = np.ndarray[Any, Any]


def build(
    graph: Graph, weights: Weights | None, *, opset: int = OLDEST, metadata: Mapping[str, str] | None = None
) -> ModelProto:
    """The inference graph, with `weights` (arrays or tensors by state-dict name) as initializers.

    Without weights every trained tensor and statistic is an input of the model. Raises UsageError for an opset out of
    range, RunError where a weight is missing or has another shape.
    """
    if not OLDEST <= opset <= NEWEST:
        raise UsageError(f"opset {opset} is not written: {OLDEST} to {NEWEST} are")
    graph = graph.inference()
    made = _Model(graph, opset)
    made.write()
    tensors = {name: made.shapes[name] for name in made.tensors}
    inputs = [_value(name, graph.nodes[name].type) for name in graph.inputs]
    constants = [_initializer(name, array) for name, array in made.given.items()]
    if weights is None:
        inputs += [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in tensors.items()]
    else:
        constants += [_initializer(name, _array(weights, name, shape)) for name, shape in tensors.items()]
    outputs = [_value(output.name, graph.nodes[output.node].type) for output in graph.outputs]
    whole = helper.make_graph(made.nodes, printable(graph.name) or "network", inputs, outputs, constants)
    whole.value_info.extend(made.values)
    return _model(whole, opset, printable(graph.about), {**described(graph), **(metadata or {})})


def described(graph: Graph) -> dict[str, str]:
    """What the model says of itself, for cnnspec_onnx.session and for anyone."""
    from json import dumps

    from cnnspec.canonical import resolved_yaml

    heads = {
        name: {"kind": head.kind, "of": head.of, "labels": head.labels, "lowest": head.lowest}
        for name, head in graph.heads.items()
    }
    return {
        "cnnspec.spec": resolved_yaml(graph),
        "cnnspec.hash": graph.hash,
        "cnnspec.heads": dumps(heads),
        "cnnspec.bounds": dumps({name: graph.bounds.get(name, 1) for name in graph.symbols}),
        "cnnspec.typical": dumps({name: size for name, size in graph.sizes().items() if name != graph.batch}),
    }


class _Model:
    """Nodes, values and the names of tensors, collected along the graph's order."""

    def __init__(self, graph: Graph, opset: int) -> None:
        self.graph, self.opset = graph, opset
        self.nodes: list[NodeProto] = []
        self.values: list[ValueInfoProto] = []
        self.given: dict[str, Array] = {}
        self.tensors: dict[str, None] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.names: dict[str, str] = {name: name for name in graph.inputs}
        self.outputs: dict[str, str] = {}
        for output in reversed(graph.outputs):
            self.outputs[output.node] = output.name

    def write(self) -> None:
        for path, node in self.graph.nodes.items():
            if path not in self.names:
                self._node(path, node.type)
        written = {name for node in self.nodes for name in node.output}
        for output in self.graph.outputs:
            if output.name not in written:  # an input, a value of another name, or one with two names
                source = self.names[output.node]
                self.nodes.append(helper.make_node("Identity", [source], [output.name], f"{output.node}/{output.name}"))

    def _node(self, path: str, type: TensorType) -> None:
        node = self.graph.nodes[path]
        types = self.graph.input_types(node)
        self.shapes |= {f"{path}.{k}": s for k, s in (node.op.params(*types) | node.op.buffers(*types)).items()}
        operands = tuple(self.names[source] for source in node.inputs)
        place = Place(path, operands, types, type, self.opset, self._tensor)
        result = lower(node.op, place)
        self.given |= place.given
        self.names[path] = result
        if not place.nodes:
            return
        assert [result] == place.nodes[-1].output
        name = self.names[path] = place.nodes[-1].output[0] = self.outputs.get(path, path)
        place.nodes[-1].name = path
        self.nodes += place.nodes
        if name not in self.outputs.values():
            self.values.append(_value(name, type))

    def _tensor(self, name: str) -> str:
        self.tensors[name] = None
        return name


def _value(name: str, type: TensorType) -> ValueInfoProto:
    sizes = [size if isinstance(size, int) else str(size) for size in type.shape]
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes)


def _array(weights: Weights, name: str, shape: tuple[int, ...]) -> Array:
    if name not in weights:
        raise RunError(f"the weights lack '{name}' {list(shape)}")
    value = weights[name]
    array = np.asarray(value.detach().cpu() if hasattr(value, "detach") else value, np.float32)
    if array.shape != shape:
        raise RunError(f"'{name}' is {list(array.shape)} among the weights, the network wants {list(shape)}")
    return array


def _initializer(name: str, array: Array) -> TensorProto:
    kind = TensorProto.INT64 if array.dtype == np.int64 else TensorProto.FLOAT
    return TensorProto(name=name, dims=array.shape, data_type=kind, raw_data=array.tobytes())


def _model(graph: GraphProto, opset: int, about: str, metadata: Mapping[str, str]) -> ModelProto:
    opsets = [helper.make_opsetid("", opset)]
    model = helper.make_model(
        graph,
        opset_imports=opsets,
        ir_version=helper.find_min_ir_version_for(opsets),
        producer_name="cnnspec",
        producer_version=cnnspec.__version__,
        doc_string=about,
    )
    helper.set_model_props(model, dict(metadata))
    return model
