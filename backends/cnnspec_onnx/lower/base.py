"""The one dispatch from operators to ONNX nodes, and the place where an operator writes them.

A lowering adds nodes and returns the name of the value that is the result, which may be an operand's own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import singledispatch
from typing import Any

import numpy as np
from onnx import NodeProto, helper

from cnnspec.ops.base import AbstractOp, Sides
from cnnspec.tensor import TensorType


@dataclass
class Place:
    """One node of the graph on its way: its operands' values and types, and what was written for it so far.

    What an operator needs besides its result is named `PATH/Kind` (nodes) or `PATH/word` (constants); no path of ours
    holds a slash.
    """

    path: str
    xs: tuple[str, ...]
    types: tuple[TensorType, ...]
    y: TensorType
    opset: int
    tensor: Callable[[str], str]
    """Makes the value of a weight or buffer, by its state-dict name."""
    nodes: list[NodeProto] = field(default_factory=list)
    given: dict[str, np.ndarray[Any, Any]] = field(default_factory=dict)
    """Constants by name: those of the spec under their state-dict names, and ours."""

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """One ONNX node; gives the name of its result."""
        stem = f"{self.path}/{kind}"
        number = sum(node.op_type == kind for node in self.nodes)
        name = f"{stem}_{number + 1}" if number else stem
        self.nodes.append(helper.make_node(kind, inputs, [name], name, **attributes))
        return name

    def weight(self, name: str) -> str:
        return self.tensor(f"{self.path}.{name}")

    def buffer(self, name: str, values: object, dtype: type = np.float32) -> str:
        """A constant that the spec gives."""
        self.given[f"{self.path}.{name}"] = np.asarray(values, dtype)
        return f"{self.path}.{name}"

    def constant(self, name: str, values: object, dtype: type = np.float32) -> str:
        """A constant of the lowering's own."""
        self.given[f"{self.path}/{name}"] = np.asarray(values, dtype)
        return f"{self.path}/{name}"

    def whole(self, name: str, *values: int) -> str:
        return self.constant(name, values, np.int64)

    def along(self, value: str) -> str:
        """One number per channel, shaped to spread over the first operand."""
        if (rank := self.types[0].rank) == 2:
            return value
        return self.add("Reshape", value, self.whole("spread", -1, *(1,) * (rank - 2)))

    def sizes(self, like: int) -> str:
        """The spatial sizes of an operand as a vector: numbers where they are fixed."""
        spatial = self.types[like].spatial
        if not TensorType(spatial).symbols:
            return self.constant("sizes", spatial, np.int64)
        return self.add("Shape", self.xs[like], start=2)

    def shaped(self, value: str, channels: int) -> str:
        """A value brought to [N, channels, ...], with the spatial sizes of the first operand."""
        spatial = self.types[0].spatial
        if len(TensorType(spatial).symbols) < 2 and sum(not isinstance(n, int) for n in spatial) < 2:
            sizes = [n if isinstance(n, int) else -1 for n in spatial]
            return self.add("Reshape", value, self.whole("shape", 0, channels, *sizes))
        head = self.whole("shape", 0, channels)
        return self.add("Reshape", value, self.add("Concat", head, self.sizes(0), axis=0))


@singledispatch
def lower(op: AbstractOp, at: Place) -> str:
    """Write the operator's nodes; gives the name of the value that is its result.

    Raises NotImplementedError for an operator that this backend does not know.
    """
    raise NotImplementedError(f"the ONNX backend has no lowering for the operator '{op.op}'")


def onnx_pads(sides: Sides) -> list[int]:
    """(before, after) per axis in ONNX's order: all befores, then all afters."""
    return [before for before, _ in sides] + [after for _, after in sides]
