"""Fully convolutional forms: equal numbers at the old size, on larger images what the windows give one by one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import cnnspec
from cnnspec.canonical import resolved_yaml
from cnnspec.front import compile_file, compile_text
from cnnspec.graph import Graph, Node, Output
from cnnspec.ops.source import Input
from cnnspec.passes.prune import prune
from cnnspec.tensor import Dim
from cnnspec_onnx.verify import unsettle

CLOSE = 1e-5
HEAD = "cnnspec: 1\nname: small\ninput: {image: [N, 2, 12, 12]}\nnet:\n  y: image -> "


def small(body: str, image: str = "[N, 2, 12, 12]") -> Graph:
    return compile_text(HEAD.replace("[N, 2, 12, 12]", image) + body + "\noutputs: [y]\n", shown="spec.yaml")


def pair(graph: Graph, **symbols: int) -> tuple[nn.Module, Graph, nn.Module]:
    """The classifier with weights and statistics drawn at random, its form over grids, and that as a module."""
    graph = graph.inference()
    module: nn.Module = graph.lower("torch").to(precision(graph))
    unsettle(module, {graph.inputs[0]: image_of(graph, symbols)})
    grid, tensors = cnnspec.convolutionalize(graph, module.state_dict(), **symbols)
    net: nn.Module = grid.lower("torch").to(precision(graph))
    net.load_state_dict(dict(tensors))
    return module.eval(), grid, net.eval()


def image_of(graph: Graph, symbols: Mapping[str, int]) -> Tensor:
    sizes = graph.at(**{graph.batch: 2, **symbols}).nodes[graph.inputs[0]].type.concrete
    return torch.randn(sizes, generator=torch.Generator().manual_seed(1), dtype=precision(graph))


def precision(graph: Graph) -> torch.dtype:
    """Small networks made at random may magnify what single precision rounds."""
    return torch.float64 if graph.name.startswith("small") else torch.float32


@torch.no_grad()
def assert_equal_at_the_old_size(graph: Graph, **symbols: int) -> Graph:
    module, grid, net = pair(graph, **symbols)
    image = image_of(graph, symbols)
    due, found = module(image), net(image)
    assert found.shape == (*due.shape[:2], *(1,) * (image.ndim - 2))
    assert close(found.flatten(1), due.flatten(1))
    assert compile_text(resolved_yaml(grid)) == grid
    return grid


@torch.no_grad()
def assert_the_grid_is_the_windows(graph: Graph, least: int = 2) -> None:
    """Windows are cut out of the image: there is no padding that would tell their edges from the image's inside."""
    module, grid, net = pair(graph)
    image = image_of(grid, {name: value + least for name, value in grid.typical.items()})
    found = net(image)
    due = torch.stack([module(window) for window in windows(image, graph, steps(grid))], -1)
    assert found[0, 0].numel() > 1
    assert close(found.flatten(2), due)


def steps(grid: Graph) -> list[int]:
    """How far apart the windows of neighbours in the grid stand."""
    sizes = zip(grid.nodes[grid.inputs[0]].type.spatial, grid.nodes[grid.outputs[0].node].type.spatial, strict=True)
    return [a.factor // b.factor for a, b in sizes if isinstance(a, Dim) and isinstance(b, Dim)]


def windows(image: Tensor, graph: Graph, steps: list[int]) -> list[Tensor]:
    sizes = graph.at().nodes[graph.inputs[0]].type.concrete[2:]
    for axis, (size, step) in enumerate(zip(sizes, steps, strict=True)):
        image = image.unfold(2 + axis, size, step)
    return list(image.flatten(2, 1 + len(sizes)).unbind(2))


def close(found: Tensor, due: Tensor) -> bool:
    return bool((found - due).abs().max() <= CLOSE * due.abs().max())


def behind(graph: Graph, path: str, tensors: Mapping[str, Tensor]) -> nn.Module:
    """What the network does with the value of one node, as a module with its weights."""
    nodes = {"maps": Node("maps", Input(), (), graph.nodes[path].type)}
    for name, node in graph.nodes.items():
        if node.inputs and name != path:
            nodes[name] = replace(node, inputs=tuple("maps" if source == path else source for source in node.inputs))
    cut = prune(replace(graph, nodes=MappingProxyType(nodes), inputs=("maps",)))
    tail: nn.Module = cut.lower("torch")
    tail.load_state_dict({name: tensors[name] for name in tail.state_dict()})
    return tail.eval()


# at the old size


@pytest.mark.parametrize(
    ("spec", "symbols"),
    [
        ("lenet5", {}),
        ("fashion-cnn", {}),
        ("alexnet", {}),
        ("alexnet-torchvision", {}),
        ("vgg11", {}),
        pytest.param("vgg16", {}, marks=pytest.mark.long),
        ("resnet18", {}),
        ("resnet18", {"h": 2, "w": 3}),
        ("googlenet", {}),
        ("squeezenet1-1", {"h": 4, "w": 4}),
        ("mobilenet-v3-large", {"h": 3, "w": 2}),
        ("regnet-y-400mf", {"h": 2, "w": 2}),
        ("convnext-tiny", {"h": 2, "w": 2}),
    ],
)
def test_a_network_gives_its_old_numbers_at_its_old_size(spec: str, symbols: dict[str, int]) -> None:
    assert_equal_at_the_old_size(cnnspec.compile(spec), **symbols)


def test_weights_keep_their_names_and_only_dense_ones_change_their_shape() -> None:
    graph = cnnspec.compile("lenet5")
    state = graph.lower("torch").state_dict()
    _, tensors = cnnspec.convolutionalize(graph, state)
    _, arrays = cnnspec.convolutionalize(graph, {name: tensor.numpy() for name, tensor in state.items()})
    assert list(tensors) == list(arrays) == list(state)
    other = {name: tuple(tensor.shape) for name, tensor in tensors.items() if tensor.shape != state[name].shape}
    assert other == {"f6.dense.weight": (84, 120, 1, 1), "logits.dense.weight": (10, 84, 1, 1)}
    assert {name: array.shape for name, array in arrays.items()} == {name: t.shape for name, t in tensors.items()}


# on larger images

VALID = {
    "flatten": "conv(4, 3, padding=valid) -> relu -> maxpool(2) -> flatten -> dense(6) -> relu -> dense(3)",
    "norms": "maxpool(2) -> flatten -> dense(6) -> batchnorm -> relu -> layernorm -> dense(3) -> softmax",
    "before the first dense layer": "maxpool(3, 2) -> flatten -> relu -> dropout -> dense(4, bias=false)",
    "global average": "conv(4, 3, 2, padding=valid) -> global_avgpool -> dropout -> dense(3)",
    "global maximum": "conv(4, 3, 2, padding=valid) -> global_maxpool(keepdims=true) -> flatten -> dense(3)",
    "no dense layer": "conv(4, 3, padding=valid) -> global_avgpool",
    "what floors": "maxpool(5, 5) -> conv(3, 2, padding=valid) -> flatten -> dense(3)",
    "strides 3 and 2": "conv(3, 3, 3, padding=valid) -> maxpool(2) -> flatten -> dense(3)",
    "stride by axis": "conv(3, [2, 3], [1, 3], padding=valid) -> flatten -> dense(3)",
    "adaptive identity": "maxpool(2) -> adaptive_avgpool(6) -> flatten -> dense(3)",
    "adaptive to 1": "conv(3, 3, padding=valid) -> adaptive_avgpool(1) -> flatten -> dense(3)",
    "adaptive to a divisor": "maxpool(2) -> adaptive_avgpool([3, 2]) -> flatten -> dense(3)",
    "image flattened": "flatten -> dense(5) -> tanh -> dense(3)",
    "flattened twice": "maxpool(4) -> flatten -> flatten -> dense(3)",
    "maps of one axis": "conv(3, 3, 2, padding=valid) -> flatten -> dense(3)",
    "maps of three axes": "conv(3, 3, 2, padding=valid) -> flatten -> dense(3)",
    "a batch named h": "maxpool(2) -> flatten -> dense(3)",
}
IMAGES = {
    "maps of one axis": "[N, 2, 13]",
    "maps of three axes": "[N, 1, 7, 6, 8]",
    "a batch named h": "[h, 2, 12, 12]",
}


@pytest.mark.parametrize("name", VALID)
def test_the_grid_is_the_sliding_window(name: str) -> None:
    graph = small(VALID[name], IMAGES.get(name, "[N, 2, 12, 13]"))
    assert_equal_at_the_old_size(graph)
    assert_the_grid_is_the_windows(graph)


def test_lenet5_at_twice_its_size_is_its_sliding_window() -> None:
    assert_the_grid_is_the_windows(cnnspec.compile("lenet5"), least=8)


@pytest.mark.parametrize(
    ("spec", "image", "maps"),
    [
        ("vgg11", "N, 3, 64, 64", "pool5.stage.maxpool"),
        ("alexnet", "N, 3, 99, 99", "c5.overlapping.maxpool"),
        ("alexnet-torchvision", "N, 3, 96, 96", "c5.overlapping.maxpool"),
        ("resnet18", "N, 3, 64, 64", "c5.stage.unit_2.relu"),
        ("densenet121", "N, 3, 64, 64", "features"),
        pytest.param("vgg16", "N, 3, 224, 224", "pool5.stage.maxpool", marks=pytest.mark.long),
        pytest.param("alexnet", "N, 3, 227, 227", "c5.overlapping.maxpool", marks=pytest.mark.long),
    ],
)
@torch.no_grad()
def test_a_network_that_pads_slides_its_classifier_over_the_maps(spec: str, image: str, maps: str) -> None:
    """Twice the size: every prediction is what the dense layers give for its window of the larger maps."""
    graph = compile_file(spec, params={"classes": 10}, inputs={"image": image})
    if maps == "features":
        maps = graph.nodes["logits.global_avgpool"].inputs[0]
    module, grid, _ = pair(graph)
    both = replace(grid, outputs=(*grid.outputs, Output("maps", maps)))
    net: nn.Module = both.lower("torch").eval()
    _, tensors = cnnspec.convolutionalize(graph, module.state_dict())
    net.load_state_dict(dict(tensors))
    made = net(image_of(grid, {name: 2 * value for name, value in grid.typical.items()}))
    classifier = behind(graph, maps, module.state_dict())
    height, width = graph.at().nodes[maps].type.concrete[2:]
    views = made["maps"].unfold(2, height, 1).unfold(3, width, 1).flatten(2, 3).unbind(2)
    assert len(views) >= 9
    assert close(made["logits"].flatten(2), torch.stack([classifier(view) for view in views], -1))


@torch.no_grad()
def test_where_a_network_pads_only_windows_at_the_image_s_edge_are_as_if_cut_out() -> None:
    """The others see what lies around them where the window alone sees zeros."""
    graph = small("conv(4, 3) -> relu -> maxpool(2) -> conv(4, 3) -> flatten -> dense(3)")
    module, grid, net = pair(graph)
    image = image_of(grid, {"h": 12, "w": 6})
    whole, single = net(image)[..., 0], torch.stack([module(w) for w in windows(image, graph, [2, 2])], -1)
    apart = (whole - single).abs().amax((0, 1)) / single.abs().max()
    assert apart.min() > 1e-3  # both edges would be needed
    wide = [net(image[:, :, 2 * max(0, i - 2) : 2 * (i + 8)])[:, :, min(i, 2), 0] for i in range(7)]
    assert close(whole, torch.stack(wide, -1))  # two positions of the maps around it are all that a window needs


@torch.no_grad()
def test_gates_go_on_looking_at_the_whole_image() -> None:
    """Equal at the old size; on a larger image a gate is the mean of all of it."""
    body = "conv(4, 1)\n  g: y -> global_avgpool -> dense(4) -> sigmoid\n  k: scale(y, g) -> global_avgpool -> dense(3)"
    graph = compile_text(f"{HEAD}{body}\noutputs: [k]\n")
    grid = assert_equal_at_the_old_size(graph)
    assert [grid.nodes[path].op.op for path in ("g.global_avgpool", "g.dense", "k.global_avgpool", "k.dense")] == [
        *("global_avgpool", "dense", "avgpool", "conv")
    ]
    _, grid, net = pair(graph)
    both = replace(grid, outputs=(*grid.outputs, Output("y", "y.conv"), Output("gate", "g.sigmoid")))
    seen: nn.Module = both.lower("torch").to(precision(graph)).eval()
    seen.load_state_dict(net.state_dict())
    made = seen(image_of(grid, {"h": 20, "w": 17}))
    means = made["y"].mean((2, 3))
    weight, bias = (net.state_dict()[f"g.dense.{name}"] for name in ("weight", "bias"))
    assert close(made["gate"], (means @ weight.T + bias).sigmoid())
    assert made["k"].shape[2:] == (9, 6)


# random classifiers


@st.composite
def bodies(draw: st.DrawFn, padded: bool) -> str:
    """Convolutions and pools down to maps of a few values, then a pool or flattening, then dense layers."""
    steps, size = [], 16
    for _ in range(draw(st.integers(0, 3))):
        kernel, stride = draw(st.integers(1, 4)), draw(st.integers(1, 3))
        padding = draw(st.integers(0, kernel // 2)) if padded else 0
        if size + 2 * padding < kernel:
            break
        size = (size + 2 * padding - kernel) // stride + 1
        op = draw(st.sampled_from(["conv(3, ", "maxpool(", "avgpool("]))
        steps.append(f"{op}{kernel}, {stride}, padding={padding})")
        steps += draw(st.sampled_from([[], ["relu"], ["batchnorm", "tanh"]]))
    steps += [
        draw(st.sampled_from(["flatten", "flatten -> dropout", "global_avgpool", "adaptive_avgpool(1) -> flatten"]))
    ]
    for features in draw(st.lists(st.integers(1, 5), min_size=1, max_size=3)):
        steps += [f"dense({features})", *draw(st.sampled_from([[], ["relu"], ["batchnorm"], ["sigmoid", "dropout"]]))]
    return " -> ".join(steps)


@settings(max_examples=40, deadline=None)
@given(bodies(padded=True))
def test_any_classifier_gives_its_old_numbers(body: str) -> None:
    assert_equal_at_the_old_size(small(body, "[N, 2, 16, 16]"))


@settings(max_examples=40, deadline=None)
@given(bodies(padded=False))
def test_any_classifier_without_padding_gives_its_sliding_window(body: str) -> None:
    assert_the_grid_is_the_windows(small(body, "[N, 2, 16, 16]"))
