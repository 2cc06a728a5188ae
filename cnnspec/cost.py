"""What a graph costs at concrete sizes: parameters, multiply-accumulates, bytes and receptive fields.

A MAC is one multiplication with its addition, in convolutions and dense layers, bias excluded (as torchvision counts
its published `_ops`); all other arithmetic is counted apart. Everything here is linear in the number of nodes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, prod
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from cnnspec.diagnostics import UsageError, did_you_mean
from cnnspec.ops.base import AbstractOp, Windows, number_of
from cnnspec.tensor import ShapeError, TensorType

if TYPE_CHECKING:
    from cnnspec.graph import Graph, Node

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "float64": 8}


@dataclass(frozen=True, slots=True)
class ParamCount:
    """Trainable numbers: of the inference graph, and with what training-only outputs add."""

    total: int
    trainable: int
    training_total: int


@dataclass(frozen=True, slots=True)
class Chain:
    """The node whose inputs and output together take the most bytes."""

    bytes: int
    node: str


@dataclass(frozen=True, slots=True)
class Row:
    """One node. Per spatial axis, in positions of the input, () without such axes: how many one output value sees
    (`receptive_field`), how far two neighbours stand apart (`stride`), and the middle of what the first one sees
    (`centre`; 0 is the first position, and padding can bring it below). Araujo, Norris and Sim 2019."""

    path: str
    op: str
    inputs: tuple[str, ...]
    shape: tuple[int, ...]
    params: int
    buffers: int
    macs: int
    other: int
    activation_bytes: int
    receptive_field: tuple[int, ...]
    stride: tuple[float, ...]
    centre: tuple[float, ...]
    line: int | None
    seconds: float | None = None
    """The least it takes on a device, where one was named (cnnspec.roofline)."""


@dataclass(frozen=True, slots=True)
class Cost:
    """The inference graph's cost for a whole batch; sizes in bytes of `dtype`.

    `weights_bytes` holds parameters and buffers; `activations_bytes` the results of all nodes together, as training
    keeps them (inputs excluded); `activations_chain` the most that one layer's inputs and output take, the two
    consecutive layers that inference needs at least.
    """

    batch: int
    dtype: str
    symbols: Mapping[str, int]
    """A value for every symbol, the batch's too."""
    params: ParamCount
    buffers: int
    macs: int
    other: int
    weights_bytes: int
    activations_bytes: int
    activations_chain: Chain
    rows: tuple[Row, ...]


def cost_of(graph: Graph, *, batch: int = 1, dtype: str = "float32", symbols: Mapping[str, int] | None = None) -> Cost:
    """The cost at given sizes, typical ones where none is given.

    Raises UsageError for an unknown dtype or symbol, a size below its bound, and one beyond the limits.
    """
    width = width_of(dtype)
    values = sizes_of(graph, batch, symbols or {})
    rows = _rows(graph.inference(), values, width)
    params, buffers = sum(row.params for row in rows), sum(row.buffers for row in rows)
    return Cost(
        batch=rows[0].shape[0],
        dtype=dtype,
        symbols=MappingProxyType(values),
        params=ParamCount(params, params, trainable(graph)),
        buffers=buffers,
        macs=sum(row.macs for row in rows),
        other=sum(row.other for row in rows),
        weights_bytes=(params + buffers) * width,
        activations_bytes=sum(row.activation_bytes for row in rows if row.inputs),
        activations_chain=_chain(rows),
        rows=rows,
    )


def width_of(dtype: str) -> int:
    """Bytes of one number; raises UsageError for an unknown dtype."""
    if dtype not in BYTES:
        raise UsageError(f"unknown dtype '{dtype}'", did_you_mean(dtype, BYTES) or f"one of {', '.join(BYTES)}")
    return BYTES[dtype]


def trainable(graph: Graph) -> int:
    """Trainable numbers of all nodes; no sizes are needed, since channels are numbers."""
    return sum(prod(shape) for shapes in graph.params.values() for shape in shapes.values())


def sizes_of(graph: Graph, batch: int, symbols: Mapping[str, int]) -> dict[str, int]:
    """A value for every symbol; raises UsageError for what is unknown, too small, or fixed otherwise."""
    if graph.batch in graph.symbols:
        return graph.sizes(**{graph.batch: batch, **symbols})
    fixed = graph.nodes[graph.inputs[0]].type.shape[0]  # as Graph.at makes it
    if batch not in (1, fixed):
        raise UsageError(f"the batch is fixed at {fixed}, got {batch}")
    return graph.sizes(**symbols)


def _rows(graph: Graph, values: Mapping[str, int], width: int) -> tuple[Row, ...]:
    types = concrete_types(graph, values)
    fields: dict[str, _Field] = {}
    told: dict[_Field, tuple[tuple[int, ...], tuple[float, ...], tuple[float, ...]]] = {}
    met: dict[int, _Met] = {}
    rows = []
    for path, node in graph.nodes.items():
        y, alike = types[path], graph.alike[path]
        xs = tuple([types[name] for name in node.inputs])
        if alike not in met:
            met[alike] = _met(node.op, y, xs)
        params, buffers, macs, other, window, shift = met[alike]
        fields[path] = field = _field(y, xs, [fields[name] for name in node.inputs], window, shift)
        if field not in told:
            told[field] = _told(field)
        sees, stride, centre = told[field]
        rows.append(
            Row(
                path=path,
                op=node.op.op,
                inputs=node.inputs,
                shape=y.concrete,
                params=params,
                buffers=buffers,
                macs=macs,
                other=other,
                activation_bytes=y.elements * width,
                receptive_field=sees,
                stride=stride,
                centre=centre,
                line=node.span.line if node.span else None,
            )
        )
    return tuple(rows)


class _Met(NamedTuple):
    """What is the same of all alike nodes."""

    params: int = 0
    buffers: int = 0
    macs: int = 0
    other: int = 0
    window: Windows | None = None
    shift: tuple[_Number, ...] | None = None


def _met(op: AbstractOp, y: TensorType, xs: Sequence[TensorType]) -> _Met:
    if not xs:
        return _Met()
    params, buffers = number_of(op.params(*xs)), number_of(op.buffers(*xs))
    return _Met(params, buffers, op.macs(y, *xs), op.other(y, *xs), op.field(*xs), op.shift(*xs))


def concrete_types(graph: Graph, values: Mapping[str, int]) -> dict[str, TensorType]:
    """Every node's type at these sizes, equal ones the same object; raises UsageError beyond the limits."""
    known: dict[TensorType, TensorType] = {}
    types = {}
    for path, node in graph.nodes.items():
        if node.type not in known:
            known[node.type] = concrete(node, values)
        types[path] = known[node.type]
    return types


def concrete(node: Node, values: Mapping[str, int]) -> TensorType:
    """The node's type at these sizes; raises UsageError beyond the limits."""
    type = node.type.at(values)
    try:
        type.check_limits()
    except ShapeError as error:
        sizes = ", ".join(f"{name}={value}" for name, value in values.items())
        raise UsageError(f"{node.path} at {sizes}: {error.message}") from None
    return type


def _chain(rows: Sequence[Row]) -> Chain:
    bytes_of = {row.path: row.activation_bytes for row in rows}
    sums = ((sum(bytes_of[name] for name in {*row.inputs, row.path}), row.path) for row in rows)
    bytes, node = max(sums, key=lambda pair: pair[0])
    return Chain(bytes, node)


_Number = int | Fraction
_Field = tuple[tuple[_Number, _Number, _Number], ...]
"""Per spatial axis: how many positions of the input one position sees, how far apart two neighbours stand (less than 1
where a map is larger than the input), and the middle of what the first sees, in halves of a position."""


def _told(field: _Field) -> tuple[tuple[int, ...], tuple[float, ...], tuple[float, ...]]:
    """Size, stride and centre per axis."""
    sizes = tuple(ceil(size) for size, _, _ in field)
    return sizes, tuple(_plain(step) for _, step, _ in field), tuple(_plain(middle, 2) for _, _, middle in field)


def _plain(number: _Number, parts: int = 1) -> float:
    """A number of such parts: a whole one as such, else the nearest float."""
    return int(number) // parts if number % parts == 0 else float(number / parts)


def _field(
    y: TensorType,
    xs: Sequence[TensorType],
    inputs: Sequence[_Field],
    window: Windows | None,
    shift: tuple[_Number, ...] | None,
) -> _Field:
    """Araujo, Norris and Sim 2019, Distill, "Computing receptive fields": the size r + (k - 1) * j, the largest over
    the inputs, the stride j * s and the centre c + j * ((k - 1) / 2 - padding), those of the first input.

    What loses its spatial axes (flatten, a global pool) sees the whole map.
    """
    if not xs:
        return ((1, 1, 0),) * (y.rank - 2)
    known = _widest(inputs)
    if shift is not None:
        known = tuple((r, j, c + j * moved) for (r, j, c), moved in zip(known, shift, strict=True))
    if window is not None:
        return tuple((r + (k - 1) * j, j * s, c) for (r, j, c), (k, s) in zip(known, window, strict=True))
    if y.rank > 2 and len(known) != y.rank - 2:  # reshaped to other axes: each may see all
        whole = max((r + (n - 1) * j for (r, j, _), n in zip(known, xs[0].concrete[2:], strict=False)), default=1)
        return ((whole, 1, whole - 1),) * (y.rank - 2)
    if y.rank == 2 and (maps := [x.concrete[2:] for x in xs if x.rank > 2]):
        met = zip(known, maps[0], strict=True)
        return tuple((r + (n - 1) * j, j * n, c + (n - 1) * j) for (r, j, c), n in met)
    return known


def _widest(inputs: Sequence[_Field]) -> _Field:
    """The largest size per axis, at the first input's place: a gate sees more, but its map is not the result's."""
    if len(inputs) == 1:
        return inputs[0]
    first = next((f for f in inputs if f), ())
    return tuple((max(f[axis][0] for f in inputs if axis < len(f)), j, c) for axis, (_, j, c) in enumerate(first))
