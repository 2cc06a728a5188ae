"""Detections inside the ONNX graph: the maps under a `detect` head decoded, and non-max suppression.

A model then gives, instead of the maps, what cnnspec.grids.detections finds in every image of the batch:

    boxes    float [found, 4]: x1, y1, x2, y2 in pixels of the input
    scores   float [found]
    classes  int64 [found]
    images   int64 [found]: which image of the batch; images in turn, best first within each
"""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from cnnspec.diagnostics import UsageError
from cnnspec.grids import CANDIDATES, GROWTH, MOST, Grid, Grids
from cnnspec.spec import BOX

OUTPUTS = {"boxes": TensorProto.FLOAT, "scores": TensorProto.FLOAT, "classes": TensorProto.INT64}
OUTPUTS |= {"images": TensorProto.INT64}


def suppress(model: ModelProto, head: Grids, confidence: float, overlap: float) -> None:
    """Put the head's detections in the place of its outputs; the metadata say at which confidence and overlap.

    Raises UsageError where a value has one of their names.
    """
    names = {value.name for value in (*model.graph.input, *model.graph.output)}
    names |= {name for node in model.graph.node for name in node.output}
    if taken := [name for name in OUTPUTS if name in names]:
        raise UsageError(f"the network has a node named '{taken[0]}', which --nms gives", "name the entry otherwise")
    pen = _Pen(model, head)
    boxes, scores = pen.decoded()
    pen.kept(boxes, pen.candidates(scores), confidence, overlap)
    model.graph.node.extend(pen.nodes)
    model.graph.initializer.extend(pen.constants)
    of = {grid.output for grid in head.grids}
    others = [output for output in model.graph.output if output.name not in of]
    del model.graph.output[:]
    model.graph.output.extend(others)
    for name, kind in OUTPUTS.items():
        shape: list[str | int | None] = ["found", 4] if name == "boxes" else ["found"]
        model.graph.output.append(helper.make_tensor_value_info(name, kind, shape))
    model.metadata_props.add(key="cnnspec.suppressed", value=head.head)
    model.metadata_props.add(key="cnnspec.confidence", value=str(confidence))
    model.metadata_props.add(key="cnnspec.overlap", value=str(overlap))


class _Pen:
    """Writes nodes; their names are `HEAD/Kind_number`, which no path of ours is."""

    def __init__(self, model: ModelProto, head: Grids) -> None:
        self.head = head
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def add(self, kind: str, *inputs: str, outputs: int = 1, name: str = "", **attributes: Any) -> Any:
        stem = f"{self.head.head}/{kind}_{len(self.nodes)}"
        names = [name] if name else [f"{stem}_{i}" if outputs > 1 else stem for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, inputs, names, stem, **attributes))
        return names if outputs > 1 else names[0]

    def floats(self, values: Any) -> str:
        return self._constant(np.asarray(values, np.float32))

    def whole(self, *values: int) -> str:
        return self._constant(np.asarray(values, np.int64))

    def number(self, value: int) -> str:
        """A whole number without an axis."""
        return self._constant(np.asarray(value, np.int64))

    def _constant(self, array: Any) -> str:
        name = f"{self.head.head}/constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def decoded(self) -> tuple[str, str]:
        """Corners [n, p, 4] and scores [n, p, classes], as cnnspec.grids.decode has them."""
        each = [self._grid(grid) for grid in self.head.grids]
        return tuple(self.add("Concat", *names, axis=1) for names in zip(*each, strict=True))

    def _grid(self, grid: Grid) -> tuple[str, str]:
        boxes, classes = len(grid.anchors), self.head.classes
        if self.head.shared:
            numbers, scores = self.add("Split", grid.output, self.whole(boxes * BOX, classes), outputs=2, axis=1)
            numbers = self.add("Reshape", numbers, self.whole(0, boxes, BOX, -1))
            middle, size, certain = self.add("Split", numbers, self.whole(2, 2, 1), outputs=3, axis=2)
            scores = self.add("Softmax", self.add("Reshape", scores, self.whole(0, 1, classes, -1)), axis=2)
        else:
            whole = self.add("Reshape", grid.output, self.whole(0, boxes, BOX + classes, -1))
            middle, size, certain, scores = self.add("Split", whole, self.whole(2, 2, 1, classes), outputs=4, axis=2)
            scores = self.add("Sigmoid", scores)
        place = self.add("Add", self.add("Sigmoid", middle), self._places(grid))
        middle = self.add("Mul", place, self.floats(np.reshape(grid.stride, (1, 1, 2, 1))))
        grown = self.add("Exp", self.add("Min", size, self.floats(GROWTH)))
        size = self.add("Mul", grown, self.floats(np.reshape(grid.anchors, (1, boxes, 2, 1))))
        half = self.add("Mul", size, self.floats(0.5))
        corners = self.add("Concat", self.add("Sub", middle, half), self.add("Add", middle, half), axis=2)
        return self._rows(corners, 4), self._rows(self.add("Mul", self.add("Sigmoid", certain), scores), classes)

    def _places(self, grid: Grid) -> str:
        """Column and row of every cell, float [1, 1, 2, cells]."""
        sizes = self.add("Shape", grid.output, start=2)
        cells = self.add("ReduceProd", sizes, keepdims=0)
        counted = self.add("Range", self.number(0), cells, self.number(1))
        columns = self.add("Gather", sizes, self.number(1))
        places = [self.add("Mod", counted, columns), self.add("Div", counted, columns)]
        both = [self.add("Unsqueeze", place, self.whole(0, 1, 2)) for place in places]
        return self.add("Cast", self.add("Concat", *both, axis=2), to=TensorProto.FLOAT)  # type: ignore[no-any-return]

    def _rows(self, values: str, last: int) -> str:
        """[n, boxes, last, cells] as [n, boxes * cells, last]."""
        turned = self.add("Transpose", values, perm=[0, 1, 3, 2])
        return self.add("Reshape", turned, self.whole(0, -1, last))  # type: ignore[no-any-return]

    def candidates(self, scores: str) -> str:
        """The scores [n, classes, p] of the `CANDIDATES` best pairs of each image, below 0 elsewhere."""
        flat = self.add("Flatten", scores)
        pairs = self.add("Shape", flat, start=1)
        many = self.add("Min", pairs, self.whole(CANDIDATES))
        best, where = self.add("TopK", flat, many, outputs=2)
        none = self.add("Sub", self.add("Mul", flat, self.floats(0)), self.floats(1))
        chosen = self.add("ScatterElements", none, where, best, axis=1)
        shaped = self.add("Reshape", chosen, self.whole(0, -1, self.head.classes))
        return self.add("Transpose", shaped, perm=[0, 2, 1])  # type: ignore[no-any-return]

    def kept(self, boxes: str, scores: str, confidence: float, overlap: float) -> None:
        limits = self.whole(MOST), self.floats([overlap]), self.floats([confidence])
        selected = self.add("NonMaxSuppression", boxes, scores, *limits)  # [found, 3]: image, class, box
        found = self.add("GatherND", scores, selected)
        _, order = self.add("TopK", found, self.add("Shape", found), outputs=2)
        order = self._by_image(selected, order)
        selected, found = self.add("Gather", selected, order), self.add("Gather", found, order)
        inside = self._among_most(boxes, selected)
        selected = self.add("Compress", selected, inside, axis=0)
        image, kind, box = self.add("Split", selected, self.whole(1, 1, 1), outputs=3, axis=1)
        self.add("GatherND", boxes, self.add("Concat", image, box, axis=1), name="boxes")
        self.add("Compress", found, inside, axis=0, name="scores")
        self.add("Squeeze", kind, self.whole(1), name="classes")
        self.add("Squeeze", image, self.whole(1), name="images")

    def _by_image(self, selected: str, order: str) -> str:
        """An order that brings images one after another and within each leaves things as they were: TopK is stable."""
        image = self.add("Gather", self.add("Gather", selected, self.number(0), axis=1), order)
        _, again = self.add("TopK", image, self.add("Shape", image), outputs=2, largest=0)
        return self.add("Gather", order, again)  # type: ignore[no-any-return]

    def _among_most(self, boxes: str, selected: str) -> str:
        """Whether each of what was found, images in turn, is among the first `MOST` of its image."""
        images = self.add("Range", self.number(0), self.add("Squeeze", self._first(boxes)), self.number(1))
        of = self.add("Gather", selected, self.whole(0), axis=1)  # [found, 1]
        here = self.add(
            "Cast", self.add("Equal", of, self.add("Unsqueeze", images, self.whole(0))), to=TensorProto.INT32
        )
        ranks = self.add("CumSum", here, self.number(0))
        rank = self.add("ReduceSum", self.add("Mul", here, ranks), self.whole(1), keepdims=0)
        most = self.add("Cast", self.number(MOST), to=TensorProto.INT32)
        return self.add("LessOrEqual", rank, most)  # type: ignore[no-any-return]

    def _first(self, value: str) -> str:
        return self.add("Shape", value, start=0, end=1)  # type: ignore[no-any-return]
