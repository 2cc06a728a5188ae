"""Operators in whole specs: bounds, receptive fields, advice, what runs in place."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional
from torch.testing import assert_close

from cnnspec.diagnostics import SpecError, UsageError
from cnnspec.front import compile_text
from cnnspec.graph import Graph


def compiled(*lines: str, size: str = "8*h, 8*w", output: str = "y") -> Graph:
    net = "\n".join(f"  {line}" for line in lines)
    return compile_text(f"cnnspec: 1\nname: net\ninput: {{image: [N, 8, {size}]}}\nnet:\n{net}\noutputs: [{output}]\n")


UP = (
    "deep: image -> conv(8, 3, 8, padding=same)",
    "two: image -> conv(8, 3, 4, padding=same)",
    "up: deep -> transposed_conv(8, 4, 2, padding=same, init='bilinear', bias=false)",
    "sum: add(up, two) -> transposed_conv(3, 8, 4)",
    "y: crop(sum, image, 2)",
)
"""As FCN goes up: twice, add, four times, cut to the image."""


def test_what_fcn_needs() -> None:
    graph = compiled(*UP)
    assert str(graph.nodes["sum.transposed_conv"].type) == "[N, 3, 8*h + 4, 8*w + 4]"
    assert dict(graph.bounds) == {}
    network = graph.lower("torch")
    for h, w in ((1, 1), (2, 5)):
        assert network(torch.randn(1, 8, 8 * h, 8 * w)).shape == (1, 3, 8 * h, 8 * w)
    rows = {row.path: row.receptive_field for row in graph.cost(h=4, w=4).rows}
    assert rows["up.transposed_conv"] == (11, 11)  # two values 8 apart, each of 3
    assert rows["sum.transposed_conv"] == (15, 15)  # two of those, 4 apart


def test_a_crop_that_must_fit_bounds_the_symbol() -> None:
    """8*h - 16 left of the map, at offset 3: 8*h - 16 - 3 >= 8 - 2 only from h = 4 on."""
    graph = compiled(
        "wide: image -> conv(2, 17, padding=valid)",
        "y: crop(wide, image -> adaptive_avgpool(1) -> upsample(6), 3)",
    )
    assert dict(graph.bounds) == {"h": 4, "w": 4}
    with pytest.raises(UsageError, match="h = 3 is too small: net wants h >= 4"):
        graph.at(h=3)
    network = graph.lower("torch")
    assert network(torch.randn(1, 8, 32, 32)).shape == (1, 2, 6, 6)
    with pytest.raises(RuntimeError):
        network(torch.randn(1, 8, 24, 32))


def test_a_crop_that_never_fits_is_an_error() -> None:
    with pytest.raises(SpecError) as caught:
        compiled("y: crop(image -> conv(2, 3, padding=valid), image, 0)")
    (fault,) = caught.value.diagnostics
    assert (fault.code, fault.message) == ("shape.crop", "crop of 8*h at offset 0 does not fit into the height 8*h - 2")


def test_resize_takes_its_sizes_from_a_tensor() -> None:
    graph = compiled("deep: image -> avgpool(4) -> gelu", "y: {op: resize, in: [deep, image], mode: bilinear}")
    assert graph.nodes["y.resize"].type == graph.nodes["image"].type
    x = torch.randn(1, 8, 16, 24)
    deep = functional.gelu(functional.avg_pool2d(x, 4))
    assert_close(graph.lower("torch")(x), functional.interpolate(deep, size=(16, 24), mode="bilinear"))
    assert [row.receptive_field for row in graph.cost(h=2, w=3).rows if row.path == "y.resize"] == [(8, 8)]


def test_in_place_spares_what_is_seen_through() -> None:
    """A view of a value is not written over while another reads the value."""
    graph = compiled(
        "a: image -> conv(8, 3)",
        "b: a -> channels(0, 4) -> relu",
        "c: a -> channels(4, 8) -> channel_shuffle(2) -> relu",
        "y: concat(b, c) -> scaled_tanh -> relu",
    )
    network = graph.lower("torch")
    x = torch.randn(1, 8, 8, 8)
    conv: Any = network.get_submodule("a.conv")
    a = conv(x)
    both = torch.cat([a[:, :4].relu(), a[:, [4, 6, 5, 7]].relu()], 1)
    assert_close(network(x), 1.7159 * torch.tanh(2 / 3 * both))


def test_sizes_without_their_axes() -> None:
    """Reshaped, every position may see the whole map."""
    graph = compiled(
        "a: image -> conv(4, 3) -> reshape([16, 16])", "y: a -> permute([0, 2, 1]) -> conv(2, 3)", size="8, 8"
    )
    assert [(row.shape, row.receptive_field) for row in graph.cost().rows if row.path == "y.conv"] == [
        ((1, 2, 16), (12,))
    ]


def test_advice_on_depthwise() -> None:
    graph = compiled("y: image -> conv(4, 3) -> depthwise(3) -> batchnorm")
    assert [warning.code for warning in graph.warnings] == ["advice.depthwise", "advice.bias"]
    assert compiled("y: image -> depthwise(3, bias=false) -> batchnorm").warnings == ()
