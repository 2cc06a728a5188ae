"""The segmentation head against torch and torchmetrics, and scores resized in numpy against torch's interpolate."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate
from torchmetrics.classification import MulticlassAccuracy, MulticlassJaccardIndex

import cnnspec
from cnnspec import masks
from cnnspec.datasets.parts import VOID
from cnnspec.diagnostics import RunError
from cnnspec.tensor import Dim, Size
from cnnspec_torch.lower import lower
from cnnspec_torch.tasks.segment import Segment, ious

CLASSES = 5


def batch(seed: int = 0, size: tuple[int, int] = (12, 9), void: float = 0.2) -> tuple[dict[str, Tensor], Tensor]:
    """Scores [3, 5, 12, 9] and masks of a size, without class 4, a part of them void."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(3, CLASSES, 12, 9, generator=generator)
    truth = torch.randint(0, CLASSES - 1, (3, *size), generator=generator)
    truth[torch.rand(truth.shape, generator=generator) < void] = VOID
    return {"logits": scores}, truth


@pytest.mark.parametrize("weights", [None, [1.0, 2, 0.5, 3, 1]])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("size", [(12, 9), (24, 18), (7, 31)])
def test_the_loss_is_torchs(weights: list[float] | None, smoothing: float, size: tuple[int, int]) -> None:
    outputs, truth = batch(size=size)
    task = Segment("logits", "logits", CLASSES, weights=weights, smoothing=smoothing)
    scores = interpolate(outputs["logits"], size, mode="bilinear", align_corners=False)
    weight = torch.tensor(weights) if weights else None
    due = cross_entropy(scores, truth, weight, ignore_index=255, label_smoothing=smoothing)
    torch.testing.assert_close(task.loss(outputs, {"masks": truth})["pixels"], due)


def test_void_alone_costs_nothing() -> None:
    outputs, truth = batch(void=1.1)
    outputs["logits"].requires_grad_()
    task = Segment("logits", "logits", CLASSES)
    loss = task.loss(outputs, {"masks": truth})["pixels"]
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == 0
    assert not outputs["logits"].grad.any()  # type: ignore[union-attr]
    task.update(outputs, {"masks": truth})
    assert task.compute() == {"mean_iou": 0.0, "pixel_accuracy": 0.0}


@pytest.mark.parametrize("size", [(12, 9), (30, 20)])
def test_the_metrics_are_torchmetrics(size: tuple[int, int]) -> None:
    task = Segment("logits", "logits", CLASSES)
    jaccard = MulticlassJaccardIndex(CLASSES, ignore_index=255)
    accuracy = MulticlassAccuracy(CLASSES, average="micro", ignore_index=255)
    for seed in range(3):
        outputs, truth = batch(seed, size)
        outputs["logits"][:, 4] -= 100  # neither true nor found
        task.update(outputs, {"masks": truth})
        found = interpolate(outputs["logits"], size, mode="bilinear", align_corners=False).argmax(1)
        jaccard.update(found, truth)
        accuracy.update(found, truth)
    matrix = task.matrix.compute()
    due = {"mean_iou": float(jaccard.compute()), "pixel_accuracy": float(accuracy.compute())}
    assert task.compute() == pytest.approx(due, abs=1e-6)
    assert not task.matrix.confmat.any()  # counting begins anew
    each = ious(matrix)
    assert np.isnan(each[4])
    due_each = MulticlassJaccardIndex(CLASSES, ignore_index=255, average="none")
    for seed in range(3):
        outputs, truth = batch(seed, size)
        outputs["logits"][:, 4] -= 100
        due_each.update(interpolate(outputs["logits"], size, mode="bilinear", align_corners=False).argmax(1), truth)
    assert each[:4] == pytest.approx(due_each.compute()[:4].tolist())


def test_low_precision_is_lost_in_single() -> None:
    outputs, truth = batch()
    task = Segment("logits", "logits", CLASSES)
    half = {"logits": outputs["logits"].bfloat16()}
    found = task.loss(half, {"masks": truth})["pixels"]
    torch.testing.assert_close(found, task.loss({"logits": half["logits"].float()}, {"masks": truth})["pixels"])


@pytest.mark.parametrize("size", [(5, 7), (12, 9), (40, 23), (6, 30), (1, 1)])
def test_resized_is_torchs_interpolate(size: tuple[int, int]) -> None:
    scores = batch()[0]["logits"]
    due = interpolate(scores, size, mode="bilinear", align_corners=False)[1].numpy()
    np.testing.assert_allclose(masks.resized(scores[1].numpy(), *size), due, rtol=1e-4, atol=1e-5)


LEGAL: list[tuple[Size, int, int]] = [
    (Dim(32, "h"), 1, 32),
    (Dim(32, "h"), 32, 32),
    (Dim(32, "h"), 33, 64),
    (Dim(32, "h", 4), 36, 36),
    (Dim(32, "h", 4), 37, 68),
    (Dim(8, "w"), 9, 24),
    (224, 500, 224),
]


@pytest.mark.parametrize(("size", "pixels", "due"), LEGAL)
def test_the_next_legal_size(size: Size, pixels: int, due: int) -> None:
    assert masks.legal(size, pixels, {"w": 3}) == due


def test_class_weights() -> None:
    first = np.array([[0, 0, 0, 1], [0, 0, 255, 1]], np.uint8)
    second = np.array([[0, 0, 0, 0], [0, 2, 0, 0]], np.uint8)
    inverse = masks.class_weights([first, second], 4, "inverse")
    assert inverse == pytest.approx([15 / (4 * 12), 15 / (4 * 2), 15 / 4, 1])
    median = masks.class_weights([first, second], 4, "median")
    frequency = [12 / 15, 2 / 7, 1 / 8]
    assert median == pytest.approx([2 / 7 / 0.8, 1, 2 / 7 * 8, 1])
    assert sorted(frequency)[1] == 2 / 7


def test_no_class_weights_of_void() -> None:
    with pytest.raises(RunError) as error:
        masks.class_weights([np.full((2, 2), 255, np.uint8)], 3, "inverse")
    assert error.value.message == "no pixel of the training masks counts: there are no weights of classes"


FACTORS = {"fcn32s": [(32, "logits")], "fcn16s": [(2, "fuse4"), (16, "logits")]}
FACTORS["fcn8s"] = [(2, "fuse4"), (2, "fuse3"), (8, "logits")]


@pytest.mark.parametrize(("spec", "factor", "entry"), [(s, f, e) for s, rows in FACTORS.items() for f, e in rows])
def test_fcn_starts_from_bilinear_upsampling(spec: str, factor: int, entry: str) -> None:
    """Where the borders have no part in it, the start of a transposed convolution is torch's interpolate."""
    graph = cnnspec.compile(spec, classes=3)
    node = graph.nodes[f"{entry}.up.transposed_conv"]
    module = lower(node.op, *graph.input_types(node))
    assert isinstance(module, nn.ConvTranspose2d)
    x = torch.randn(1, 3, 6, 5, generator=torch.Generator().manual_seed(0))
    found = module(x)
    cut = (found.shape[2] - 6 * factor) // 2
    found = found[:, :, cut : cut + 6 * factor, cut : cut + 5 * factor]
    due = interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)
    inner = slice(factor, -factor)
    torch.testing.assert_close(found[:, :, inner, inner], due[:, :, inner, inner], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("spec", FACTORS)
def test_fcns_score_layers_start_at_zero(spec: str) -> None:
    graph = cnnspec.compile(spec, classes=3)
    scores = [node for path, node in graph.nodes.items() if path.endswith(".score.conv")]
    assert len(scores) == {"fcn32s": 1, "fcn16s": 2, "fcn8s": 3}[spec]
    for node in scores:
        assert not any(value.any() for value in lower(node.op, *graph.input_types(node)).parameters())
