"""Arguments: their order, defaults and ranges."""

from __future__ import annotations

import math
from typing import Any

import pytest
from pydantic import ValidationError

from cnnspec.limits import DIMENSION
from cnnspec.ops import BY_NAME

SIGNATURES = {
    "conv": "filters, kernel, stride; padding='half', dilation=1, groups=1, bias=True, "
    "weights=None, table=None, init=None",
    "depthwise": "kernel, stride, multiplier; padding='half', dilation=1, bias=True",
    "transposed_conv": "filters, kernel, stride; padding='valid', output_padding=0, dilation=1, groups=1, bias=True, "
    "init=None",
    "maxpool": "kernel, stride; padding='valid', ceil=False",
    "avgpool": "kernel, stride; padding='valid', ceil=False",
    "global_avgpool": "; keepdims=False",
    "global_maxpool": "; keepdims=False",
    "batchnorm": "eps, momentum; ",
    "lrn": "size, alpha, beta, k; ",
    "dense": "features; bias=True, init=None",
    "dropout": "rate; ",
    "channel_maxpool": "kernel, stride; ",
    "channel_avgpool": "kernel, stride; ",
    "adaptive_avgpool": "size; ",
    "groupnorm": "groups; eps=1e-05",
    "layernorm": "eps; ",
    "channel_affine": "; bias=True, start=1.0",
    "normalize": "mean, std; ",
    "upsample": "factor, mode; ",
    "resize": "; mode='nearest'",
    "crop": "offset; ",
    "pad": "size, value; ",
    "channels": "start, stop; ",
    "channel_shuffle": "groups; ",
    "pixel_shuffle": "factor; ",
    "reshape": "size; ",
    "permute": "order; ",
    "stochastic_depth": "rate; ",
    "distance": "codes; ",
    "leaky_relu": "slope; ",
    "prelu": "; shared=False",
    "elu": "alpha; ",
    "gelu": "; approximate=False",
}
DEFAULTS = {
    "batchnorm": {"eps": 1e-5, "momentum": 0.1},
    "lrn": {"size": 5, "alpha": 1e-4, "beta": 0.75, "k": 1.0},
    "dropout": {"rate": 0.5},
    "layernorm": {"eps": 1e-5},
    "leaky_relu": {"slope": 0.01},
    "elu": {"alpha": 1.0},
}
GOOD: list[tuple[str, dict[str, Any]]] = [
    ("conv", {"filters": DIMENSION, "kernel": 1}),
    ("conv", {"filters": 1, "kernel": (3, 3), "stride": (1, 2), "padding": ((0, 1), (1, 0)), "dilation": (2, 2)}),
    ("conv", {"filters": 1, "kernel": 3, "padding": 0}),
    ("maxpool", {"kernel": 2, "stride": None}),
    ("batchnorm", {"eps": 1, "momentum": 1}),
    ("batchnorm", {"eps": 5e-324, "momentum": 0.001}),
    ("lrn", {"size": 1, "alpha": 0, "k": 2}),
    ("dropout", {"rate": 0}),
    ("normalize", {"mean": (0, 0.5), "std": 2}),
    ("dropout", {"rate": 0.999}),
    ("dense", {"features": 1, "bias": False}),
]
BAD: list[tuple[str, str, dict[str, Any]]] = [
    ("conv", "filters", {"filters": 0, "kernel": 1}),
    ("conv", "filters", {"filters": DIMENSION + 1, "kernel": 1}),
    ("conv", "filters", {"filters": 3.0, "kernel": 1}),
    ("conv", "filters", {"filters": True, "kernel": 1}),
    ("conv", "filters", {"filters": "3", "kernel": 1}),
    ("conv", "kernel", {"filters": 1, "kernel": 0}),
    ("conv", "kernel", {"filters": 1, "kernel": (3, -1)}),
    ("conv", "kernel", {"filters": 1, "kernel": True}),
    ("conv", "kernel", {"filters": 1}),
    ("conv", "stride", {"filters": 1, "kernel": 1, "stride": 0}),
    ("conv", "dilation", {"filters": 1, "kernel": 1, "dilation": 0}),
    ("conv", "padding", {"filters": 1, "kernel": 1, "padding": -1}),
    ("conv", "padding", {"filters": 1, "kernel": 1, "padding": "full"}),
    ("conv", "padding", {"filters": 1, "kernel": 1, "padding": ((0, 1, 2), (0, 1, 2))}),
    ("conv", "groups", {"filters": 1, "kernel": 1, "groups": 0}),
    ("conv", "bias", {"filters": 1, "kernel": 1, "bias": 1}),
    ("conv", "kernle", {"filters": 1, "kernel": 1, "kernle": 3}),
    ("depthwise", "multiplier", {"kernel": 3, "multiplier": 0}),
    ("depthwise", "filters", {"kernel": 3, "filters": 8}),
    ("transposed_conv", "padding", {"filters": 1, "kernel": 1, "padding": "half"}),
    ("transposed_conv", "output_padding", {"filters": 1, "kernel": 1, "output_padding": -1}),
    ("maxpool", "kernel", {}),
    ("maxpool", "ceil", {"kernel": 2, "ceil": "yes"}),
    ("avgpool", "stride", {"kernel": 2, "stride": 0}),
    ("batchnorm", "eps", {"eps": 0.0}),
    ("batchnorm", "eps", {"eps": -1e-5}),
    ("batchnorm", "eps", {"eps": math.inf}),
    ("batchnorm", "momentum", {"momentum": math.nan}),
    ("batchnorm", "momentum", {"momentum": 0}),
    ("batchnorm", "momentum", {"momentum": 1.01}),
    ("batchnorm", "momentum", {"momentum": True}),
    ("lrn", "size", {"size": 0}),
    ("lrn", "alpha", {"alpha": -1e-9}),
    ("lrn", "beta", {"beta": 0}),
    ("lrn", "k", {"k": 0}),
    ("dense", "features", {"features": 0}),
    ("dropout", "rate", {"rate": 1}),
    ("dropout", "rate", {"rate": 1.5}),
    ("dropout", "rate", {"rate": -0.1}),
    ("relu", "slope", {"slope": 0.1}),
    ("leaky_relu", "slope", {"slope": -0.1}),
    ("channel_maxpool", "kernel", {"kernel": (2, 2)}),
    ("upsample", "factor", {"factor": 0}),
    ("upsample", "factor", {"factor": 1.5}),
    ("upsample", "mode", {"factor": 2, "mode": "cubic"}),
    ("crop", "offset", {"offset": -1}),
    ("crop", "offset", {}),
    ("pad", "size", {"size": "same"}),
    ("pad", "size", {"size": -1}),
    ("channels", "start", {"start": -1, "stop": 3}),
    ("channels", "stop", {"start": 0}),
    ("pixel_shuffle", "factor", {"factor": 0}),
    ("reshape", "size", {"size": ()}),
    ("reshape", "size", {"size": (2, 0)}),
    ("reshape", "size", {"size": (2, -2)}),
    ("reshape", "size", {"size": (1, 1, 1, 1, 1)}),
    ("permute", "order", {"order": (0, -1)}),
    ("conv", "weights", {"filters": 1, "kernel": 1, "weights": ((1, 2), (3,))}),
    ("conv", "weights", {"filters": 1, "kernel": 1, "weights": (("1",),)}),
    ("conv", "weights", {"filters": 1, "kernel": 1, "weights": ((True,),)}),
    ("conv", "weights", {"filters": 1, "kernel": 1, "weights": ((math.nan,),)}),
    ("conv", "table", {"filters": 1, "kernel": 1, "table": ((-1,),)}),
    ("conv", "table", {"filters": 1, "kernel": 1, "table": ()}),
    ("conv", "init", {"filters": 1, "kernel": 1, "init": "bilinear"}),
    ("dense", "init", {"features": 1, "init": "xavier"}),
    ("distance", "codes", {"codes": ()}),
    ("distance", "codes", {"codes": ((1, 2), 3)}),
    ("stochastic_depth", "rate", {"rate": 1}),
    ("stochastic_depth", "rate", {}),
    ("adaptive_avgpool", "size", {"size": 0}),
    ("adaptive_avgpool", "size", {"size": (1, 0)}),
    ("groupnorm", "groups", {"groups": 0}),
    ("layernorm", "eps", {"eps": 0}),
    ("normalize", "std", {"mean": 0, "std": 0}),
    ("normalize", "std", {"mean": 0, "std": (1, -1)}),
    ("normalize", "mean", {"mean": "0", "std": 1}),
    ("elu", "alpha", {"alpha": 0}),
    ("prelu", "shared", {"shared": 1}),
]


@pytest.mark.parametrize("name", BY_NAME)
def test_signature(name: str) -> None:
    op = BY_NAME[name]
    rest = {field: info.default for field, info in op.model_fields.items() if field not in op.positional}
    keywords = ", ".join(f"{field}={default!r}" for field, default in rest.items())
    assert f"{', '.join(op.positional)}; {keywords}" == SIGNATURES.get(name, "; ")


@pytest.mark.parametrize("name", DEFAULTS)
def test_defaults(name: str) -> None:
    assert BY_NAME[name]().model_dump() == DEFAULTS[name]


@pytest.mark.parametrize(("name", "given"), GOOD)
def test_accepted(name: str, given: dict[str, Any]) -> None:
    assert BY_NAME[name](**given).model_dump().items() >= given.items()


@pytest.mark.parametrize(("name", "field", "given"), BAD)
def test_refused(name: str, field: str, given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        BY_NAME[name](**given)
    assert {error["loc"][0] for error in caught.value.errors()} == {field}
