"""A graph as an ONNX model.

Nodes and values bear our paths, weights their state-dict names, graph inputs and outputs the names of the spec; sizes
that hold a symbol are dimensions of that name (`32*h`). What a node needs besides is named `PATH/part`.

Opset 18 is written unless told otherwise: the first in which Resize takes axes and every reduction its axes as an
input, so that every operator is written one way up to the newest; runtimes from 2023 on read it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from json import dumps
from typing import Any

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, defs, helper

import cnnspec
from cnnspec.canonical import resolved_yaml
from cnnspec.diagnostics import RunError, UsageError, printable
from cnnspec.graph import Graph, Output
from cnnspec.predicting import Preparation
from cnnspec.published import Preprocess
from cnnspec.tensor import TensorType
from cnnspec_onnx.lower import Place, lower

OLDEST = 18
NEWEST = min(26, defs.onnx_opset_version())
"""The newest of onnxruntime 1.32 and of the onnx at hand."""

Weights = Mapping[str, Any]
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Images:
    """What images need before the network.

    With `inside` the model does all but the resizing itself and takes pixels: uint8 [N, H, W, C]. `sizes` are the
    symbols' values where a size is free, the typical ones unless told otherwise; `labels` those of heads without.
    """

    how: Preprocess
    inside: bool = False
    sizes: Mapping[str, int] = field(default_factory=dict)
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)


def build(graph: Graph, weights: Weights | None, *, opset: int = OLDEST, images: Images | None = None) -> ModelProto:
    """The inference graph, with `weights` (arrays or tensors by state-dict name) as initializers.

    Without weights every trained tensor and statistic is an input of the model. Raises UsageError for an opset out of
    range and for `images` that do not fit the input, RunError where a weight is missing or has another shape.
    """
    check_opset(opset)
    graph = graph.inference()
    if images is not None:
        check(images, graph)
    made = _Model(graph, opset)
    if images is not None and images.inside:
        made.prepare(images)
    made.write()
    tensors = {name: made.shapes[name] for name in made.tensors}
    inputs = [_value(name, graph.nodes[name].type, images) for name in graph.inputs]
    if weights is None:
        inputs += [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in tensors.items()]
    outputs = [_value(output.name, graph.nodes[output.node].type) for output in graph.outputs]
    whole = helper.make_graph(made.nodes, printable(graph.name) or "network", inputs, outputs)
    whole.value_info.extend(_value(name, type) for name, type in made.types.items())
    model = _model(whole, opset, printable(graph.about), described(graph, images))
    for name, array in made.given.items():
        _fill(model.graph.initializer.add(), name, array)
    if weights is not None:
        for name, shape in tensors.items():
            _fill(model.graph.initializer.add(), name, _array(weights, name, shape))
    return model


def check_opset(opset: int) -> None:
    """Raises UsageError for one that is not written."""
    if not OLDEST <= opset <= NEWEST:
        raise UsageError(f"opset {opset} is not written: {OLDEST} to {NEWEST} are")


def check(images: Images, graph: Graph) -> None:
    """Raises UsageError where the graph does not take one image of as many channels."""
    type = graph.nodes[graph.inputs[0]].type
    if len(graph.inputs) != 1 or type.rank != 4:
        raise UsageError(f"{graph.name} does not take one image, so it has no mean, std and pixels")
    if images.inside and any(output.node == graph.inputs[0] for output in graph.outputs):
        raise UsageError(f"{graph.name} gives its own input, which would be pixels")
    Preparation.of(images.how, type.channels, 1, 1)


def described(graph: Graph, images: Images | None) -> dict[str, str]:
    """What the model says of itself, for cnnspec_onnx.session and for anyone."""
    known = images.labels if images else {}
    heads = {name: asdict(head) | {"labels": head.labels or known.get(name)} for name, head in graph.heads.items()}
    of_images = {"cnnspec.preprocess": images.how.model_dump_json(exclude_defaults=True)} if images else {}
    sizes = graph.sizes(**images.sizes if images else {})
    return {
        "cnnspec.spec": resolved_yaml(graph),
        "cnnspec.hash": graph.hash,
        "cnnspec.heads": dumps(heads),
        "cnnspec.bounds": dumps({name: graph.bounds.get(name, 1) for name in graph.symbols}),
        "cnnspec.typical": dumps({name: size for name, size in sizes.items() if name != graph.batch}),
        **of_images,
    }


class _Model:
    """Nodes, values and the names of tensors, collected along the graph's order."""

    def __init__(self, graph: Graph, opset: int) -> None:
        self.graph, self.opset = graph, opset
        self.nodes: list[NodeProto] = []
        self.types: dict[str, TensorType] = {}
        self.given: dict[str, Array] = {}
        self.tensors: dict[str, None] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.names: dict[str, str] = {name: name for name in graph.inputs}
        """The value of each path; what acts in training alone has its operand's."""

    def prepare(self, images: Images) -> None:
        """From uint8 [N, H, W, C] to what the network takes, in the order of cnnspec.vision.normalize."""
        (name,) = self.graph.inputs
        type = self.graph.nodes[name].type
        place = Place(name, (name,), (type,), type, self.opset, str)
        how = Preparation.of(images.how, type.channels, 1, 1)
        maps = place.add("Transpose", place.add("Cast", name, to=TensorProto.FLOAT), perm=[0, 3, 1, 2])
        if how.order == "bgr":
            maps = place.add("Gather", maps, place.whole("order", *reversed(range(how.channels))), axis=1)
        if how.range == 1:
            maps = place.add("Div", maps, place.constant("most", 255))
        mean, std = (place.constant(word, np.reshape(getattr(how, word), (-1, 1, 1))) for word in ("mean", "std"))
        self.names[name] = place.add("Div", place.add("Sub", maps, mean), std)
        self.nodes += place.nodes
        self.given |= place.given

    def write(self) -> None:
        for path, node in self.graph.nodes.items():
            if path not in self.graph.inputs:
                self._node(path, node.type)
        self._name_outputs()

    def _name_outputs(self) -> None:
        """Outputs bear the spec's names; what has two of them, or is an input, goes through an Identity."""
        renamed: dict[str, str] = {}
        again: list[Output] = []
        for output in self.graph.outputs:
            source = self.names[output.node]
            if source in self.types and source not in renamed:
                renamed[source] = output.name
            elif source != output.name:
                again.append(output)
        for node in self.nodes:
            for names in (node.input, node.output):
                if not renamed.keys().isdisjoint(names):
                    names[:] = [renamed.get(name, name) for name in names]
        for source in renamed:
            del self.types[source]
        for output in again:
            source = self.names[output.node]
            name = f"{output.node}/{output.name}"
            self.nodes.append(helper.make_node("Identity", [renamed.get(source, source)], [output.name], name))

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
        self.names[path] = place.nodes[-1].output[0] = place.nodes[-1].name = path
        self.nodes += place.nodes
        self.types[path] = type

    def _tensor(self, name: str) -> str:
        self.tensors[name] = None
        return name


def _value(name: str, type: TensorType, images: Images | None = None) -> ValueInfoProto:
    sizes = [size if isinstance(size, int) else str(size) for size in type.shape]
    if images is not None and images.inside:
        return helper.make_tensor_value_info(name, TensorProto.UINT8, [sizes[0], *sizes[2:], sizes[1]])
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes)


def _array(weights: Weights, name: str, shape: tuple[int, ...]) -> Array:
    if name not in weights:
        raise RunError(f"the weights lack '{name}' {list(shape)}")
    value = weights[name]
    array = np.asarray(value.detach().cpu() if hasattr(value, "detach") else value, np.float32)
    if array.shape != shape:
        raise RunError(f"'{name}' is {list(array.shape)} among the weights, the network wants {list(shape)}")
    return array


def _fill(tensor: TensorProto, name: str, array: Array) -> None:
    """In place: what protobuf copies it serializes, at most 2 GB and slowly."""
    tensor.name = name
    tensor.dims.extend(array.shape)
    tensor.data_type = TensorProto.INT64 if array.dtype == np.int64 else TensorProto.FLOAT
    tensor.raw_data = array.tobytes()


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
