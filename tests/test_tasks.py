"""Losses and metrics of heads for classes and for one box, against formulas written out, and sklearn's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, top_k_accuracy_score
from torch import Tensor
from torchvision.ops import box_iou

from cnnspec_torch.tasks.classify import Classify
from cnnspec_torch.tasks.locate import Locate, boxes, ious

SCORES = torch.randn(9, 10, generator=torch.Generator().manual_seed(0))
CLASSES = torch.arange(9)


def loss(task: Classify, scores: Tensor, classes: Tensor) -> float:
    (value,) = task.loss({"logits": scores}, {"classes": classes}).values()
    return float(value)


def test_cross_entropy() -> None:
    powers = SCORES.double().exp()
    due = -(powers[range(9), CLASSES] / powers.sum(1)).log().mean()
    assert loss(Classify("logits", "logits", 10), SCORES, CLASSES) == pytest.approx(float(due))


@pytest.mark.parametrize("margin", [0.1, 5.0])
def test_distances_learn_by_equation_9(margin: float) -> None:
    distances = SCORES.square() * 10
    found = loss(Classify("logits", "logits", 10, lowest=True, margin=margin), distances, CLASSES)
    y = distances.double().numpy()
    terms = [y[p, d] + np.log(np.exp(-margin) + np.exp(-y[p]).sum()) for p, d in enumerate(CLASSES.tolist())]
    assert found == pytest.approx(np.mean(terms))


def test_mixed_classes_are_probabilities() -> None:
    mixed = 0.3 * torch.eye(10)[CLASSES] + 0.7 * torch.eye(10)[CLASSES.flip(0)]
    for margin in (None, 2.0):
        task = Classify("logits", "logits", 10, margin=margin)
        due = 0.3 * loss(task, SCORES, CLASSES) + 0.7 * loss(task, SCORES, CLASSES.flip(0))
        assert loss(task, SCORES, mixed) == pytest.approx(due)


@pytest.mark.parametrize("lowest", [False, True])
def test_the_metrics_are_sklearn_s(lowest: bool) -> None:
    task = Classify("logits", "logits", 10, lowest=lowest)
    for rows in (slice(0, 4), slice(4, 9)):
        task.update({"logits": -SCORES[rows] if lowest else SCORES[rows]}, {"classes": CLASSES[rows]})
    found, labels = task.compute(), list(range(10))
    assert found["top1"] == pytest.approx(accuracy_score(CLASSES, SCORES.argmax(1)))
    assert found["top5"] == pytest.approx(top_k_accuracy_score(CLASSES, SCORES, k=5, labels=labels))
    task.update({"logits": (-1 if lowest else 1) * torch.eye(10)}, {"classes": torch.arange(10)})
    assert task.compute() == {"top1": 1.0, "top5": 1.0}


def test_a_box_is_learned_by_centre_and_roots() -> None:
    truth = torch.tensor([[0.5, 0.4, 0.25, 0.16], [0.2, 0.3, 0.09, 0.04]])
    found = torch.tensor([[0.5, 0.5, 0.5, 0.5], [0.1, 0.3, 0.3, 0.4]])
    (value,) = Locate("box", "box").loss({"box": found}, {"box": truth}).values()
    due = [0, 0.1**2, 0, 0.1**2, 0.1**2, 0, 0, 0.2**2]
    assert float(value) == pytest.approx(np.mean(due))
    assert torch.allclose(boxes(found), torch.tensor([[0.5, 0.5, 0.25, 0.25], [0.1, 0.3, 0.09, 0.16]]))
    assert boxes(torch.tensor([[0.5, 0.5, -0.2, 0.5]]))[0, 2] == 0


def test_overlaps_are_torchvision_s() -> None:
    both = torch.rand(2, 200, 4, generator=torch.Generator().manual_seed(1))
    corners = [torch.cat([one[:, :2] - one[:, 2:] / 2, one[:, :2] + one[:, 2:] / 2], 1) for one in both]
    torch.testing.assert_close(ious(*both), box_iou(*corners).diagonal())
    task = Locate("box", "box")
    task.update({"box": torch.cat([both[0][:, :2], both[0][:, 2:].sqrt()], 1)}, {"box": both[1]})
    assert task.compute()["iou"] == pytest.approx(float(box_iou(*corners).diagonal().mean()))
