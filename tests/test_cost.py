"""The cost of a graph, against the chapter's worked example and published figures."""

from __future__ import annotations

import pytest

import cnnspec
from cnnspec.cost import cost_of
from cnnspec.diagnostics import UsageError
from cnnspec.graph import Graph
from door import TINY, write

CHAPTER = """\
cnnspec: 1
name: chapter
input: {image: [N, 3, 150, 100]}
net: {maps: "image -> conv(200, 5, padding=same)"}
outputs: [maps]
"""

# torchvision's `_ops` of these weights, in 10^9 multiply-accumulates at 224 x 224
GMACS = {
    "resnet18": 1.814,
    "resnet34": 3.664,
    "resnet50": 4.089,
    "resnet101": 7.801,
    "resnet152": 11.514,
    "vgg11": 7.609,
    "vgg13": 11.308,
    "vgg16": 15.47,
    "vgg19": 19.632,
    "densenet121": 2.834,
    "mobilenet-v2": 0.301,
}


def graph(tmp_path_factory: pytest.TempPathFactory, text: str) -> Graph:
    return cnnspec.compile(write(tmp_path_factory.mktemp("spec"), text))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    return graph(tmp_path_factory, TINY)


def test_the_chapters_example(tmp_path_factory: pytest.TempPathFactory) -> None:
    chapter = graph(tmp_path_factory, CHAPTER)
    cost = chapter.cost()
    assert cost.params.total == 15_200
    assert cost.macs == 225_000_000
    assert cost.activations_bytes == 12_000_000
    assert chapter.cost(batch=100).activations_bytes == 1_200_000_000


def test_two_consecutive_layers(tmp_path_factory: pytest.TempPathFactory) -> None:
    chain = graph(tmp_path_factory, CHAPTER).cost().activations_chain
    assert (chain.node, chain.bytes) == ("maps.conv", 3 * 150 * 100 * 4 + 12_000_000)


def test_an_input_read_twice_is_held_once(tmp_path_factory: pytest.TempPathFactory) -> None:
    twice = graph(tmp_path_factory, CHAPTER.replace('"image -> conv(200, 5, padding=same)"', '"add(image, image)"'))
    assert twice.cost().activations_chain.bytes == 2 * 3 * 150 * 100 * 4


@pytest.mark.parametrize("name", GMACS)
def test_macs_are_torchvisions(name: str) -> None:
    assert round(cnnspec.compile(name).cost().macs / 1e9, 3) == GMACS[name]


def test_training_only_outputs_count_apart(tiny: Graph) -> None:
    cost = tiny.cost()
    assert (cost.params.total, cost.params.trainable, cost.params.training_total) == (1_434, 1_434, 1_479)
    assert not [row for row in cost.rows if row.path.startswith("extra")]
    assert cost.buffers == 32


def test_everything_by_hand(tiny: Graph) -> None:
    cost = tiny.cost()  # 8 x 12 pixels
    assert [row.shape for row in cost.rows if row.op == "conv"] == [(1, 8, 4, 6), (1, 16, 2, 3)]
    assert cost.macs == 8 * 24 * 9 + 16 * 6 * 72 + 160
    assert cost.other == 192 + 192 + 2 * 96 + 96 + 10  # bias, relu, batchnorm, global_avgpool, bias
    assert cost.weights_bytes == 4 * (1_434 + 32)
    assert cost.activations_bytes == 4 * (2 * 192 + 2 * 96 + 16 + 10)


@pytest.mark.parametrize(("dtype", "width"), [("float32", 4), ("bfloat16", 2), ("float16", 2), ("float64", 8)])
def test_bytes_follow_the_dtype(tiny: Graph, dtype: str, width: int) -> None:
    cost = cost_of(tiny, dtype=dtype)
    assert (cost.weights_bytes, cost.rows[0].activation_bytes) == (1_466 * width, 96 * width)


def test_all_but_weights_follow_the_batch(tiny: Graph) -> None:
    one, eight = tiny.cost(), tiny.cost(batch=8)
    assert (eight.macs, eight.activations_bytes) == (8 * one.macs, 8 * one.activations_bytes)
    assert (eight.params, eight.weights_bytes) == (one.params, one.weights_bytes)


def test_sizes_are_typical_unless_given(tiny: Graph) -> None:
    assert dict(tiny.cost().symbols) == {"N": 1, "h": 2, "w": 3}
    assert tiny.cost(h=5).rows[0].shape == (1, 1, 20, 12)


def test_a_graph_of_fixed_sizes_keeps_its_batch(tiny: Graph) -> None:
    assert tiny.at(N=4).cost().batch == 4
    with pytest.raises(UsageError, match=r"^error: the batch is fixed at 4, got 8$"):
        tiny.at(N=4).cost(batch=8)


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ({"z": 3}, "'z' is no symbol"),
        ({"h": 0}, "h = 0 is too small"),
        ({"h": 2**23}, "image at N=1, h=8388608, w=3: the result would be"),
        ({"N": 0}, "N = 0 is too small"),
    ],
)
def test_bad_sizes_are_refused(tiny: Graph, sizes: dict[str, int], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        cost_of(tiny, symbols=sizes)
    assert words in str(caught.value)


def test_an_unknown_dtype_is_refused(tiny: Graph) -> None:
    with pytest.raises(UsageError) as caught:
        cost_of(tiny, dtype="float23")
    assert str(caught.value) == "error: unknown dtype 'float23'\n  help: did you mean 'float32'?"


def field(graph: Graph, path: str) -> tuple[int, ...]:
    return next(row.receptive_field for row in graph.cost().rows if row.path == path)


# Araujo, Norris and Sim 2019 (Distill), table 1: VGG-16's last pool. Long, Shelhamer and Darrell 2014, section 4.1,
# table 1: FCN's scores. The others by the same recurrence.
@pytest.mark.parametrize(
    ("name", "entry", "size"),
    [("vgg16", "maxpool", 212), ("fcn8s", "score7", 404), ("resnet18", "c5", 435), ("resnet34", "c5", 899)],
)
def test_published_receptive_fields(name: str, entry: str, size: int) -> None:
    rows = [row for row in cnnspec.compile(name).cost().rows if entry in row.path and len(row.shape) == 4]
    assert rows[-1].receptive_field == (size, size)


def test_a_window_sees_per_axis(tmp_path_factory: pytest.TempPathFactory) -> None:
    net = '{a: "image -> conv(4, [3, 5], [2, 1])", maps: "a -> conv(4, 3, dilation=2)"}'
    text = CHAPTER.replace('{maps: "image -> conv(200, 5, padding=same)"}', net)
    assert field(graph(tmp_path_factory, text), "maps.conv") == (3 + 4 * 2, 5 + 4)


def test_what_loses_its_axes_sees_the_whole_map(tiny: Graph) -> None:
    assert field(tiny, "c2.conv") == (3 + 2 * 2, 3 + 2 * 2)
    assert field(tiny, "logits.dense") == (7 + (2 - 1) * 4, 7 + (3 - 1) * 4)


def test_a_gate_widens_but_does_not_stretch(tmp_path_factory: pytest.TempPathFactory) -> None:
    net = '{a: "image -> conv(4, 3)", gate: "a -> global_avgpool", b: "scale(a, gate)", maps: "b -> conv(4, 3)"}'
    text = CHAPTER.replace('{maps: "image -> conv(200, 5, padding=same)"}', net)
    assert field(graph(tmp_path_factory, text), "maps.conv") == (3 + 149 + 2, 3 + 99 + 2)


def test_a_flattened_map_sees_all(tmp_path_factory: pytest.TempPathFactory) -> None:
    net = '{a: "image -> maxpool(2)", maps: "a -> flatten -> dense(3) -> reshape([3, 1])", '
    net += 'lines: "a -> reshape([75, 150]) -> conv(2, 3)"}'
    text = CHAPTER.replace('{maps: "image -> conv(200, 5, padding=same)"}', net).replace("[maps]", "[maps, lines]")
    flat = graph(tmp_path_factory, text)
    assert field(flat, "maps.flatten") == field(flat, "maps.dense") == (150, 100)
    assert field(flat, "lines.reshape") == (150,)
    assert field(flat, "lines.conv") == (152,)


def test_a_vector_has_no_map_to_see(tmp_path_factory: pytest.TempPathFactory) -> None:
    net = '{maps: "image -> reshape([3, 4, 2]) -> conv(2, 3)"}'
    text = CHAPTER.replace('{maps: "image -> conv(200, 5, padding=same)"}', net).replace("3, 150, 100", "24")
    assert field(graph(tmp_path_factory, text), "maps.conv") == (3, 3)


def test_rows_know_the_line_that_wrote_them(tiny: Graph) -> None:
    assert next(row.line for row in tiny.cost().rows if row.path == "c2.batchnorm") == 9
