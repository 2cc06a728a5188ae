"""The detection head against a slow version written from the papers, and against torchvision."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision import ops

import cnnspec
import plain_detect
from cnnspec import grids
from cnnspec.diagnostics import UsageError
from cnnspec.front import compile_text
from cnnspec.recipe_heads import Detect as Options
from cnnspec_torch import cells
from cnnspec_torch.overlaps import Kind, overlaps
from cnnspec_torch.tasks.detect import Detect

THREE = """\
cnnspec: 1
name: three
input: {image: [N, 3, 32*h, 32*w]}
typical: {h: 2, w: 3}
params: {classes: 3}
net:
  a: image -> conv(4, 3, 8)
  p3: a -> conv(2 * (5 + classes), 1)
  p4: a -> conv(3 * (5 + classes), 1, 2)
  p5: a -> conv(5 + classes, 1, 4)
outputs: [p5, p4, p3]
heads:
  boxes:
    detect: {of: [p5, p4, p3], anchors: [[[50, 40]], [[30, 20], [20, 30], [25, 25]], [[8, 8], [12, 6]]]}
"""

SHARED = """\
cnnspec: 1
name: shared
input: {image: [N, 3, 16*h, 16*w]}
typical: {h: 4, w: 5}
params: {classes: 4}
net:
  grid: image -> conv(3 * 5 + classes, 1, 16)
outputs: [grid]
heads: {boxes: {detect: {of: grid, shared_classes: true, anchors: [[[10, 12], [30, 25], [50, 44]]]}}}
"""
SPECS = {"three": THREE, "shared": SHARED}


def scene(name: str, images: int = 3, seed: int = 0, spread: float = 0.8) -> tuple[Any, dict[str, Tensor], Tensor]:
    """A task's graph, random outputs of its network in double precision, and true boxes, none in the second image."""
    graph = compile_text(SPECS[name])
    generator = torch.Generator().manual_seed(seed)
    at = graph.at(N=images)
    outputs = {
        o.name: spread * torch.randn(at.nodes[o.node].type.concrete, generator=generator, dtype=torch.float64)
        for o in at.outputs
    }
    count = 14
    truth = torch.rand(count, 6, generator=generator, dtype=torch.float64)
    truth[:, 0] = torch.randint(0, images - 1, (count,), generator=generator) * 2 % (2 * images - 2)
    truth[:, 1] = torch.randint(0, 3, (count,), generator=generator)
    truth[:, 4:] = 0.1 + 0.5 * truth[:, 4:]
    truth[3] = truth[2]  # two boxes in one place
    truth[3, 1] = 0
    return graph, outputs, truth


def plain(task: Detect, outputs: dict[str, Tensor]) -> list[plain_detect.Box]:
    head = task.grids
    maps = [outputs[grid.output].tolist() for grid in head.grids]
    shapes = [(grid.stride, list(grid.anchors)) for grid in head.grids]
    return plain_detect.boxes_of(maps, shapes, head.classes, head.shared)


def size_of(graph: Any) -> tuple[float, float]:
    _, _, height, width = graph.at().nodes["image"].type.concrete
    return width, height


CASES = [
    Options(),
    Options(box="squared", ignore=0.3),
    Options(box="giou", object="iou", assign="threshold", fits=0.3),
    Options(box="diou", label_smoothing=0.1, assign="threshold", fits=0.6, box_weight=3, object_weight=0.5),
    Options(assign="dynamic", object="iou", class_weight=2),
]


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("how", CASES, ids=lambda how: f"{how.assign}-{how.box}-{how.object}")
@pytest.mark.parametrize("seed", [0, 1])
def test_losses_are_those_of_the_slow_version(name: str, how: Options, seed: int) -> None:
    graph, outputs, truth = scene(name, seed=seed)
    task = Detect(graph, "boxes", how)
    due = plain_detect.losses(plain(task, outputs), truth.tolist(), size_of(graph), how, task.grids.shared)
    found = task.loss(outputs, {"boxes": truth})
    assert list(found) == ["box", "object", "class"]
    for part in due:
        assert float(found[part]) == pytest.approx(due[part], rel=1e-9), part


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("kind", ["squared", "giou", "diou", "ciou"])
def test_images_without_boxes_teach_objectness_alone(name: str, kind: Any) -> None:
    graph, outputs, _ = scene(name)
    outputs = {key: value.requires_grad_() for key, value in outputs.items()}
    how = Options(box=kind)
    task = Detect(graph, "boxes", how)
    found = task.loss(outputs, {"boxes": torch.zeros(0, 6, dtype=torch.float64)})
    due = plain_detect.losses(plain(task, outputs), [], size_of(graph), how, task.grids.shared)
    assert {key: float(value.detach()) for key, value in found.items()} == pytest.approx(due, rel=1e-9)
    assert (found["box"].item(), found["class"].item()) == (0, 0)
    torch.stack(list(found.values())).sum().backward()  # type: ignore[no-untyped-call]
    assert all(torch.isfinite(value.grad).all() for value in outputs.values() if value.grad is not None)


@pytest.mark.parametrize("kind", get_args(Kind))
def test_overlaps_are_torchvisions(kind: Kind) -> None:
    generator = torch.Generator().manual_seed(0)
    found, true = (torch.rand(200, 4, generator=generator, dtype=torch.float64) + 0.05 for _ in range(2))
    found.requires_grad_()
    corners = [ops.box_convert(one, "cxcywh", "xyxy") for one in (found, true)]
    losses = {
        "iou": lambda a, b: 1 - ops.box_iou(a, b).diagonal(),
        "giou": ops.generalized_box_iou_loss,
        "diou": ops.distance_box_iou_loss,
        "ciou": ops.complete_box_iou_loss,
    }
    due = losses[kind](*corners)
    ours = 1 - overlaps(found, true, kind)
    torch.testing.assert_close(ours, due, rtol=1e-6, atol=1e-6)
    ours_grad, due_grad = (torch.autograd.grad(one.sum(), found, retain_graph=True)[0] for one in (ours, due))
    torch.testing.assert_close(ours_grad, due_grad, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", SPECS)
def test_numpy_decodes_as_torch_and_as_the_slow_version(name: str) -> None:
    graph, outputs, _ = scene(name)
    task = Detect(graph, "boxes")
    corners, scores = grids.decode({key: value.numpy() for key, value in outputs.items()}, task.grids)
    due = plain(task, outputs)
    shape = (3, len(due) // 3)
    edges = np.array([plain_detect.edges(plain_detect.decoded(box)) for box in due]).reshape(*shape, 4)
    chances = [
        [plain_detect.sigmoid(box.t[4]) * p for p in plain_detect.probabilities(box, task.grids.shared)] for box in due
    ]
    np.testing.assert_allclose(corners, edges, rtol=1e-9)
    np.testing.assert_allclose(scores, np.array(chances).reshape(*shape, -1), rtol=1e-9)
    read = cells.read(outputs, task.grids)
    np.testing.assert_allclose(ops.box_convert(read.boxes(), "cxcywh", "xyxy").numpy(), corners, rtol=1e-9)
    np.testing.assert_allclose(read.scores().numpy(), scores, rtol=1e-9)


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("confidence", [0.001, 0.3, 0.999])
def test_both_sides_find_the_same(name: str, confidence: float) -> None:
    graph, outputs, _ = scene(name, spread=2)
    outputs = {key: value.float() for key, value in outputs.items()}
    head = grids.grids_of(graph, "boxes")
    corners, scores = grids.decode({key: value.numpy() for key, value in outputs.items()}, head)
    found = cells.detections(cells.read(outputs, head), confidence, 0.5)
    for image, (boxes, certain, classes) in enumerate(found):
        ours = grids.detections(corners[image], scores[image], confidence, 0.5)
        assert len(ours.scores) <= grids.MOST
        np.testing.assert_array_equal(ours.classes, classes.numpy())
        np.testing.assert_allclose(ours.scores, certain.numpy(), rtol=1e-5)
        np.testing.assert_allclose(ours.corners, boxes.numpy(), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("name", SPECS)
def test_starts_at_the_prior(name: str) -> None:
    graph = compile_text(SPECS[name])
    task = Detect(graph, "boxes", Options(prior=0.02))
    module: Any = graph.lower("torch")
    before = {key: value.clone() for key, value in module.state_dict().items()}
    task.start(module)
    changed = sum(int((before[key] != value).sum()) for key, value in module.state_dict().items())
    assert changed == sum(len(grid.anchors) for grid in task.grids.grids)
    image = torch.zeros(graph.at(N=1).nodes["image"].type.concrete)
    with torch.no_grad():
        for key, value in module.named_parameters():
            if key.endswith("weight"):
                value.zero_()
        outputs = module(image)
    read = cells.read(outputs if isinstance(outputs, dict) else {"grid": outputs}, task.grids)
    torch.testing.assert_close(read.objectness.sigmoid(), torch.full_like(read.objectness, 0.02))


@pytest.mark.parametrize("how", CASES[1:], ids=lambda how: f"{how.assign}-{how.box}-{how.object}")
@pytest.mark.parametrize("name", SPECS)
def test_learns_a_scene_by_heart(name: str, how: Options) -> None:
    """Outputs that are free to move find every true box and nothing else: assignment, loss and decoding agree."""
    graph, outputs, truth = scene(name)
    task = Detect(graph, "boxes", how.model_copy(update={"label_smoothing": 0.0}))
    truth = torch.tensor([[0, 1, 0.3, 0.3, 0.2, 0.3], [0, 0, 0.7, 0.6, 0.4, 0.5], [2, 2, 0.5, 0.5, 0.1, 0.1]])
    free = {key: torch.nn.Parameter(0.1 * value.float()) for key, value in outputs.items()}
    optimizer = torch.optim.Adam(free.values(), lr=0.2)
    for _ in range(70):
        optimizer.zero_grad()
        torch.stack(list(task.loss(free, {"boxes": truth}).values())).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    found = {key: value.detach() for key, value in free.items()}
    task.update(found, {"boxes": truth, "difficult": torch.zeros(3, dtype=torch.bool)})
    judged = task.compute()
    assert judged["map50"] == pytest.approx(1)
    assert judged["map"] > 0.8


def test_low_precision_outputs_give_a_loss_in_single_precision() -> None:
    graph, outputs, truth = scene("three")
    task = Detect(graph, "boxes")
    half = {key: value.bfloat16() for key, value in outputs.items()}
    same = {key: value.float() for key, value in half.items()}
    losses = [task.loss(one, {"boxes": truth.float()}) for one in (half, same)]
    for part in losses[0]:
        assert losses[0][part].dtype == torch.float32
        torch.testing.assert_close(losses[0][part], losses[1][part])


@pytest.mark.parametrize(("spec", "strides"), [("yolov3", [32, 16, 8]), ("yolo-chapter", [32])])
def test_grids_of_shipped_specs(spec: str, strides: list[int]) -> None:
    head = grids.grids_of(cnnspec.compile(spec), "boxes")
    assert [grid.stride for grid in head.grids] == [(stride, stride) for stride in strides]
    assert (head.classes, head.shared) == ((80, False) if spec == "yolov3" else (20, True))


REFUSED = {
    THREE.replace(", anchors: [[[50, 40]], [[30, 20], [20, 30], [25, 25]], [[8, 8], [12, 6]]]", ""): (
        "the head 'boxes' of three has no anchors"
    ),
    SHARED.replace("+ classes", ""): "the head 'boxes' of shared has no class scores",
    SHARED.replace("16*h, 16*w", "16*h + 4, 16*w").replace("classes, 1, 16", "classes, 5, 16, padding=valid"): (
        "the cells of 'grid' are no whole pixels: 16*h + 4 of them in h cells"
    ),
}


@pytest.mark.parametrize("text", REFUSED, ids=list(REFUSED.values()))
def test_refused(text: str) -> None:
    with pytest.raises(UsageError) as error:
        grids.grids_of(compile_text(text), "boxes")
    assert error.value.message == REFUSED[text]
