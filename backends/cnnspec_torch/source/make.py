"""A node as source: the call that makes its module, read off the module that it lowers to, or a function of tensors."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, replace
from functools import lru_cache, singledispatch
from typing import Any

import torch
from torch import nn

from cnnspec.ops.base import AbstractOp
from cnnspec.tensor import TensorType
from cnnspec_torch.lower import conv, dense, lower, norm, pool, shape
from cnnspec_torch.lower.activation import ScaledTanhOf

ANY = type("Any", (), {"__repr__": lambda self: "ANY"})()
"""The value of an argument where nothing depends on it."""


@dataclass(frozen=True)
class Arg:
    """One argument of a call; `default` is what may be left out, `...` where there is none."""

    role: str
    value: Any
    default: Any = ...

    @property
    def keyword(self) -> bool:
        return self.default is not ...


@dataclass(frozen=True)
class Make:
    """A call that makes a module: `wrap` is a function around it, with what follows its first argument."""

    callee: str
    args: tuple[Arg, ...] = ()
    wrap: tuple[str, str] = ("", "")

    @property
    def structure(self) -> tuple[Any, ...]:
        return self.callee, tuple((arg.role, arg.default) for arg in self.args), self.wrap


@dataclass(frozen=True)
class Table:
    """Given numbers: they stand in a constant of the file, and `shape` follows in the call."""

    numbers: tuple[Any, ...]
    after: str = ""


@dataclass(frozen=True)
class Layer:
    """A class of torch as a value: which activation a step held by an argument of the spec is."""

    text: str


@dataclass(frozen=True)
class Free:
    """A number that stays an argument up to the whole network, under a name: how many classes there are."""

    value: int
    name: str


class Each(tuple[float, ...]):
    """A number for every turn of a repeat."""


_ACTIVATIONS = frozenset(
    {"relu", "relu6", "selu", "silu", "mish", "hard_swish", "hard_sigmoid", "tanh", "sigmoid", "identity"}
)
_UNUSED = frozenset({"padding_mode", "inplace", "device", "dtype", "affine", "elementwise_affine", "return_indices"})
_RENAMED = {"p": "rate", "num_features": "channels", "normalized_shape": "channels", "num_channels": "channels"}


@lru_cache(maxsize=10_000)
def make(op: AbstractOp, types: tuple[TensorType, ...], name: str, free: Free | None = None) -> Make:
    """The call for an operator on operands of these types, as a step of this name; merges have none.

    `free` is the number of results where it is one that stays an argument.
    """
    with torch.device("meta"):
        module = lower(op, *types)
    found = made(module, op, types)
    if op.op in _ACTIVATIONS and name != op.op:
        return Make("", (Arg(name, Layer(found.callee)),))
    if free is not None:
        args = (replace(arg, value=free) if arg.role.startswith("out_") else arg for arg in found.args)
        return replace(found, args=tuple(args))
    return found


@singledispatch
def made(module: nn.Module, op: Any, types: tuple[TensorType, ...]) -> Make:
    """Torch's own layers keep their constructors' arguments as attributes of the same names."""
    kind = type(module)
    assert kind.__module__.startswith("torch."), kind
    return Make(f"nn.{kind.__name__}", arguments(module, kind), _wrap(op))


def arguments(module: nn.Module, kind: type[nn.Module]) -> tuple[Arg, ...]:
    """What the constructor of torch's `kind` was given."""
    found = []
    for name, parameter in inspect.signature(kind).parameters.items():
        if name in _UNUSED or not hasattr(module, name):
            continue
        value, default = getattr(module, name), parameter.default
        if name == "bias":
            value = value is not None
        if name == "stride" and default is None and value == module.kernel_size:
            value = None
        value = collapsed(value)
        if default is None and value is None:
            value = default = None
        given = ... if default is inspect.Parameter.empty or (name == "rate" or name == "p") else default
        if name == "dim":
            given = None
        found.append(Arg(_RENAMED.get(name, name), value, given))
    return tuple(found)


def collapsed(value: Any) -> Any:
    """One number for equal ones on all axes."""
    if isinstance(value, list | tuple):
        items = tuple(value)
        return items[0] if items and all(item == items[0] for item in items) else items
    return value


def _wrap(op: Any) -> tuple[str, str]:
    init = getattr(op, "init", None)
    if init is None:
        return "", ""
    return (init, "") if isinstance(init, str) else ("filled", f", {init!r}")


def _axes(module: Any) -> str:
    return f"{len(module.kernel_size)}d"


@made.register(conv.PadFirst)
def _padded_conv(module: Any, op: Any, types: tuple[TensorType, ...]) -> Make:
    if getattr(op, "weights", None) is not None:
        return _given(module, op, types)
    kind = type(module).__mro__[2]
    found = tuple(arg for arg in arguments(module, kind) if arg.role != "padding")
    return Make(f"PaddedConv{_axes(module)}", (*found, Arg("pads", module.pads, None)), _wrap(op))


@made.register(conv.CutAfter)
def _cut_conv(module: Any, op: Any, types: tuple[TensorType, ...]) -> Make:
    kind = type(module).__mro__[2]
    return Make(
        f"CutTransposedConv{_axes(module)}", (*arguments(module, kind), Arg("cuts", module.cuts, None)), _wrap(op)
    )


@made.register(nn.Conv1d)
@made.register(nn.Conv2d)
@made.register(nn.Conv3d)
def _conv(module: Any, op: Any, types: tuple[TensorType, ...]) -> Make:
    if getattr(op, "weights", None) is not None:
        return _given(module, op, types)
    return Make(f"nn.{type(module).__name__}", arguments(module, type(module)), _wrap(op))


def _given(module: Any, op: Any, types: tuple[TensorType, ...]) -> Make:
    maps, rank = types[0].channels // op.groups, types[0].rank
    shared = len(_sizes(op.weights)) < rank
    repeat = f".unsqueeze(1).repeat(1, {maps}{', 1' * (rank - 2)})" if shared else ""
    pads = tuple(getattr(module, "pads", ()))
    return Make(
        f"GivenConv{_axes(module)}",
        (
            Arg("weight", Table(op.weights, repeat)),
            *_options(module, stride=1, padding=0, dilation=1, groups=1),
            Arg("pads", pads, ()),
        ),
    )


@made.register(conv.TableConv)
def _table_conv(module: Any, op: Any, types: tuple[TensorType, ...]) -> Make:
    kernel = tuple(module.weight.shape[1:])
    given = [Arg(name, collapsed(value), 0 if name == "padding" else 1) for name, value in module.arguments.items()]
    return Make(
        f"TableConv{len(kernel)}d",
        (
            Arg("maps", types[0].channels),
            Arg("table", Table(op.table)),
            Arg("kernel", kernel),
            *given,
            Arg("bias", op.bias, True),
            Arg("pads", tuple(module.pads), ()),
        ),
        _wrap(op),
    )


def _options(module: Any, **defaults: int) -> list[Arg]:
    return [Arg(name, collapsed(getattr(module, name)), default) for name, default in defaults.items()]


def _sizes(numbers: Any) -> tuple[int, ...]:
    return (len(numbers), *_sizes(numbers[0])) if isinstance(numbers, tuple) else ()


@made.register(pool.PaddedMaxPool)
def _padded_max_pool(module: Any, op: Any, types: tuple[TensorType, ...]) -> Make:
    args = (Arg("kernel", collapsed(module.kernel)), Arg("stride", collapsed(module.stride)), Arg("pads", module.reach))
    return Make(f"PaddedMaxPool{len(module.kernel)}d", args)


@made.register(pool.PaddedAvgPool)
def _padded_avg_pool(module: Any, op: Any, types: tuple[TensorType, ...]) -> Make:
    args = (
        Arg("kernel", collapsed(module.kernel)),
        Arg("stride", collapsed(module.stride)),
        Arg("counted", module.counted),
        Arg("pads", module.reach),
    )
    return Make(f"PaddedAvgPool{len(module.kernel)}d", args)


@made.register(pool.GlobalPool)
def _global_pool(module: Any, op: Any, types: tuple[TensorType, ...]) -> Make:
    name = "GlobalAvgPool" if module.kind == "mean" else "GlobalMaxPool"
    return Make(f"{name}{types[0].rank - 2}d", (Arg("keepdim", module.keepdims, False),))


@made.register(pool.ChannelPool)
def _channel_pool(module: Any, op: Any, types: tuple[TensorType, ...]) -> Make:
    name = "ChannelAvgPool" if module.kind == "mean" else "ChannelMaxPool"
    return Make(name, (Arg("kernel", module.kernel), Arg("stride", module.stride)))


@made.register(norm.ChannelLayerNorm)
def _layer_norm(module: Any, op: Any, types: tuple[TensorType, ...]) -> Make:
    return Make("ChannelLayerNorm", (Arg("channels", types[0].channels), Arg("eps", module.eps, 1e-5)))


@made.register(norm.VolumeLrn)
def _volume_lrn(module: Any, op: Any, types: tuple[TensorType, ...]) -> Make:
    return Make("VolumeLrn", arguments(module, nn.LocalResponseNorm))


@made.register(nn.LayerNorm)
def _vector_norm(module: Any, op: Any, types: tuple[TensorType, ...]) -> Make:
    return Make("nn.LayerNorm", (Arg("channels", types[0].channels), Arg("eps", module.eps, 1e-5)))


@made.register(norm.Affine)
def _affine(module: Any, op: Any, types: tuple[TensorType, ...]) -> Make:
    args = (Arg("channels", types[0].channels), Arg("bias", op.bias, True), Arg("start", op.start, 1.0))
    return Make("ChannelAffine", args)


@made.register(norm.Standardize)
def _standardize(module: Any, op: Any, types: tuple[TensorType, ...]) -> Make:
    given = [value if isinstance(value, tuple) else (value,) * types[0].channels for value in (op.mean, op.std)]
    mean, std = (tuple(map(float, values)) for values in given)
    return Make("Standardize", (Arg("mean", mean), Arg("std", std)))


@made.register(dense.SquaredDistance)
def _distance(module: Any, op: Any, types: tuple[TensorType, ...]) -> Make:
    return Make("SquaredDistance", (Arg("codes", Table(op.codes)),))


@made.register(dense.DropImages)
def _drop_images(module: Any, op: Any, types: tuple[TensorType, ...]) -> Make:
    return Make("StochasticDepth", (Arg("rate", module.rate),))


@made.register(ScaledTanhOf)
def _scaled_tanh(module: Any, op: Any, types: tuple[TensorType, ...]) -> Make:
    return Make("ScaledTanh")


@made.register(shape.Padded)
def _padded(module: Any, op: Any, types: tuple[TensorType, ...]) -> Make:
    axes = types[0].rank - 2
    if op.value == 0:
        return Make(f"nn.ZeroPad{axes}d", (Arg("pads", collapsed(module.pads)),))
    return Make(f"nn.ConstantPad{axes}d", (Arg("pads", collapsed(module.pads)), Arg("value", module.value)))


@made.register(shape.Slice)
def _slice(module: Any, op: Any, types: tuple[TensorType, ...]) -> Make:
    return Make("Channels", (Arg("start", op.start), Arg("stop", op.stop)))


@made.register(shape.Shuffle)
def _shuffle(module: Any, op: Any, types: tuple[TensorType, ...]) -> Make:
    return Make("ChannelShuffle", (Arg("groups", op.groups),))


@made.register(shape.View)
def _view(module: Any, op: Any, types: tuple[TensorType, ...]) -> Make:
    return Make("Reshape", tuple(Arg(f"size_{at}", size) for at, size in enumerate(op.size, 1)))


@made.register(shape.Transpose)
def _transpose(module: Any, op: Any, types: tuple[TensorType, ...]) -> Make:
    return Make("Permute", tuple(Arg(f"axis_{at}", axis) for at, axis in enumerate(op.order)))
