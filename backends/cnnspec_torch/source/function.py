"""Operators without weights as expressions of tensors. What has no function here stays a module."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cnnspec.ops.base import AbstractOp
from cnnspec.ops.window import per_axis
from cnnspec.tensor import TensorType
from cnnspec_torch.source.layout import Bracket, Text

Types = tuple[TensorType, ...]
Written = tuple[Text, int]
SUM, PRODUCT, ATOM = 1, 2, 3
"""How strongly an expression binds."""

_CALLS = {
    "relu": "F.relu({})",
    "relu6": "F.relu6({})",
    "selu": "F.selu({})",
    "silu": "F.silu({})",
    "mish": "F.mish({})",
    "hard_swish": "F.hardswish({})",
    "hard_sigmoid": "F.hardsigmoid({})",
    "tanh": "torch.tanh({})",
    "sigmoid": "torch.sigmoid({})",
    "softmax": "torch.softmax({}, dim=1)",
    "identity": "{}",
    "flatten": "torch.flatten({}, 1)",
}
MERGES = frozenset({"add", "maximum", "multiply", "concat", "scale", "resize", "crop"})
NAMED = frozenset({"resize", "crop"})
"""Operators whose operands must be names."""


def function(op: AbstractOp, types: Types) -> Callable[..., Written] | None:
    """The expression for given operands, each a text and how strongly it binds; None for what is a module."""
    if op.op in _CALLS:
        template = _CALLS[op.op]
        return lambda x: (template.format(x[0]), ATOM if template != "{}" else x[1])
    maker = _MAKERS.get(op.op)
    return None if maker is None else maker(op, types)


def _tied(x: Written, least: int) -> str:
    return str(x[0]) if x[1] >= least else f"({x[0]})"


def _add(op: Any, types: Types) -> Callable[..., Written]:
    return lambda *xs: (" + ".join([_tied(xs[0], SUM), *(_tied(x, PRODUCT) for x in xs[1:])]), SUM)


def _multiply(op: Any, types: Types) -> Callable[..., Written]:
    return lambda *xs: (" * ".join([_tied(xs[0], PRODUCT), *(_tied(x, ATOM) for x in xs[1:])]), PRODUCT)


def _maximum(op: Any, types: Types) -> Callable[..., Written]:
    def merged(first: Written, *rest: Written) -> Written:
        text = str(first[0])
        for x in rest:
            text = f"torch.maximum({text}, {x[0]})"
        return text, ATOM

    return merged


def _concat(op: Any, types: Types) -> Callable[..., Written]:
    return lambda *xs: (Bracket("torch.cat(", (Bracket("(", tuple(x[0] for x in xs)), "dim=1")), ATOM)


def _scale(op: Any, types: Types) -> Callable[..., Written]:
    x_type, gate = types
    spread = f"[:, :{', None' * (x_type.rank - gate.rank)}]" if gate.rank < x_type.rank else ""
    return lambda x, gate: (f"{_tied(x, PRODUCT)} * {_tied(gate, ATOM)}{spread}", PRODUCT)


def _resize(op: Any, types: Types) -> Callable[..., Written]:
    mode = op.mode if op.mode == "nearest" else ("linear", "bilinear", "trilinear")[types[0].rank - 3]
    return lambda x, like: (f'F.interpolate({x[0]}, size={like[0]}.shape[2:], mode="{mode}")', ATOM)


def _crop(op: Any, types: Types) -> Callable[..., Written]:
    offsets = per_axis(op.offset, types[0].rank - 2, "offset")

    def cropped(x: Written, like: Written) -> Written:
        cuts = [
            f"{offset} : {offset} + {like[0]}.shape[{axis}]" if offset else f": {like[0]}.shape[{axis}]"
            for axis, offset in enumerate(offsets, 2)
        ]
        return f"{x[0]}[:, :, {', '.join(cuts)}]", ATOM

    return cropped


def _channels(op: Any, types: Types) -> Callable[..., Written]:
    start = op.start or ""
    stop = op.stop if op.stop < types[0].channels else ""
    return lambda x: (f"{_tied(x, ATOM)}[:, {start}:{stop}]", ATOM)


def _permute(op: Any, types: Types) -> Callable[..., Written]:
    return lambda x: (f"{_tied(x, ATOM)}.permute({', '.join(map(str, op.order))})", ATOM)


def _global(method: str) -> Callable[[Any, Types], Callable[..., Written]]:
    def maker(op: Any, types: Types) -> Callable[..., Written]:
        axes = tuple(range(2, types[0].rank))
        keep = ", keepdim=True" if op.keepdims else ""
        return lambda x: (f"{_tied(x, ATOM)}.{method}({axes}{keep})", ATOM)

    return maker


_MAKERS: dict[str, Callable[[Any, Types], Callable[..., Written]]] = {
    "add": _add,
    "multiply": _multiply,
    "maximum": _maximum,
    "concat": _concat,
    "scale": _scale,
    "resize": _resize,
    "crop": _crop,
    "channels": _channels,
    "permute": _permute,
    "global_avgpool": _global("mean"),
    "global_maxpool": _global("amax"),
}
