"""YOLO's assignment, losses and decoding written out box by box, from the papers that cnnspec_torch.tasks names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import atan, exp, log, pi, sqrt
from typing import Any

Pair = tuple[float, float]
Four = tuple[float, float, float, float]


@dataclass
class Box:
    """One predicted box: its numbers, where it stands, and all its class logits."""

    image: int
    anchor: int
    column: int
    row: int
    stride: tuple[float, float]
    size: tuple[float, float]
    t: list[float]
    classes: list[float]


def sigmoid(x: float) -> float:
    return 1 / (1 + exp(-x))


def boxes_of(maps: list[Any], grids: Sequence[tuple[Pair, Sequence[Pair]]], classes: int, shared: bool) -> list[Box]:
    """All boxes of outputs [n][channel][row][column], image by image in the order of cnnspec.grids.decode."""
    found = []
    for image in range(len(maps[0])):
        first = 0
        for output, (stride, anchors) in zip(maps, grids, strict=True):
            one = output[image]
            for a, size in enumerate(anchors):
                at = a * 5 if shared else a * (5 + classes)
                of_classes = len(anchors) * 5 if shared else at + 5
                for row in range(len(one[0])):
                    for column in range(len(one[0][0])):
                        t = [float(one[at + i][row][column]) for i in range(5)]
                        scores = [float(one[of_classes + c][row][column]) for c in range(classes)]
                        found.append(Box(image, first + a, column, row, stride, size, t, scores))
            first += len(anchors)
    return found


def decoded(box: Box) -> Four:
    x = (box.column + sigmoid(box.t[0])) * box.stride[0]
    y = (box.row + sigmoid(box.t[1])) * box.stride[1]
    return x, y, box.size[0] * exp(box.t[2]), box.size[1] * exp(box.t[3])


def probabilities(box: Box, shared: bool) -> list[float]:
    if not shared:
        return [sigmoid(score) for score in box.classes]
    powers = [exp(score) for score in box.classes]
    return [power / sum(powers) for power in powers]


def edges(a: Four) -> Four:
    return a[0] - a[2] / 2, a[1] - a[3] / 2, a[0] + a[2] / 2, a[1] + a[3] / 2


def iou(a: Four, b: Four) -> float:
    left, right = edges(a), edges(b)
    w = max(0.0, min(left[2], right[2]) - max(left[0], right[0]))
    h = max(0.0, min(left[3], right[3]) - max(left[1], right[1]))
    return w * h / (a[2] * a[3] + b[2] * b[3] - w * h)


def shape_iou(a: tuple[float, float], b: tuple[float, float]) -> float:
    return iou((0, 0, *a), (0, 0, *b))


def box_loss(kind: str, box: Box, true: Four, part: float) -> float:
    """`part` is what of the input the true box covers."""
    found = decoded(box)
    if kind == "squared":
        x, y = true[0] / box.stride[0] - box.column, true[1] / box.stride[1] - box.row
        errors = [sigmoid(box.t[0]) - x, sigmoid(box.t[1]) - y]
        errors += [box.t[2] - log(true[2] / box.size[0]), box.t[3] - log(true[3] / box.size[1])]
        return (2 - part) * sum(error**2 for error in errors)
    left, right, overlap = edges(found), edges(true), iou(found, true)
    w = max(left[2], right[2]) - min(left[0], right[0])
    h = max(left[3], right[3]) - min(left[1], right[1])
    if kind == "giou":
        union = (found[2] * found[3] + true[2] * true[3]) / (1 + overlap)
        return 1 - overlap + (w * h - union) / (w * h)
    loss = 1 - overlap + ((found[0] - true[0]) ** 2 + (found[1] - true[1]) ** 2) / (w**2 + h**2)
    if kind == "diou":
        return loss
    v = 4 / pi**2 * (atan(true[2] / true[3]) - atan(found[2] / found[3])) ** 2
    return loss + v * v / (1 - overlap + v)


def cross_entropy(logit: float, wanted: float) -> float:
    return -wanted * log(sigmoid(logit)) - (1 - wanted) * log(1 - sigmoid(logit))


def pixels(true: list[float], size: tuple[float, float]) -> Four:
    return true[2] * size[0], true[3] * size[1], true[4] * size[0], true[5] * size[1]


def assigned(
    boxes: list[Box], truth: list[list[float]], size: tuple[float, float], how: Any, shared: bool
) -> dict[int, int]:
    """The true box that each predicted one learns, by its position."""
    claims: dict[int, tuple[float, int]] = {}
    for number, true in enumerate(truth):
        x, y, w, h = pixels(true, size)
        there = [
            i
            for i, box in enumerate(boxes)
            if box.image == int(true[0]) and (box.column, box.row) == (int(x // box.stride[0]), int(y // box.stride[1]))
        ]
        there.sort(key=lambda i: boxes[i].anchor)
        if how.assign == "dynamic":
            overlaps = [iou(decoded(boxes[i]), (x, y, w, h)) for i in there]
            costs = [cost(boxes[i], int(true[1]), over, shared) for i, over in zip(there, overlaps, strict=True)]
            many = max(1, int(sum(overlaps)))
            claimed = sorted(zip(costs, there, strict=True))[:many]
            wanted = [(-one, i) for one, i in claimed]
        else:
            fits = [(shape_iou(boxes[i].size, (w, h)), i) for i in there]
            best = max(fit for fit, _ in fits)
            wanted = [next(pair for pair in fits if pair[0] == best)]
            if how.assign == "threshold":
                wanted += [pair for pair in fits if pair[0] > how.fits and pair != wanted[0]]
        for quality, i in wanted:
            if i not in claims or quality > claims[i][0]:
                claims[i] = quality, number
    return {i: number for i, (_, number) in claims.items()}


def cost(box: Box, which: int, overlap: float, shared: bool) -> float:
    """YOLOX, equation 1: cross-entropy of the square root of class times objectness, and 3 times -log IoU."""
    total = 0.0
    for c, probability in enumerate(probabilities(box, shared)):
        likely = sqrt(probability * sigmoid(box.t[4]))
        total -= log(likely) if c == which else log(1 - likely)
    return total - 3 * log(overlap + 1e-8)


def losses(
    boxes: list[Box], truth: list[list[float]], size: tuple[float, float], how: Any, shared: bool
) -> dict[str, float]:
    learn = assigned(boxes, truth, size, how, shared)
    parts = {"box": 0.0, "object": 0.0, "class": 0.0}
    for i, box in enumerate(boxes):
        if i not in learn:
            over = [iou(decoded(box), pixels(true, size)) for true in truth if int(true[0]) == box.image]
            if max(over, default=0) <= how.ignore:
                parts["object"] += cross_entropy(box.t[4], 0)
            continue
        true = truth[learn[i]]
        goal = pixels(true, size)
        parts["box"] += box_loss(how.box, box, goal, true[4] * true[5])
        parts["object"] += cross_entropy(box.t[4], iou(decoded(box), goal) if how.object == "iou" else 1)
        smooth, chances = how.label_smoothing, probabilities(box, shared)
        for c, chance in enumerate(chances):
            right = c == int(true[1])
            if shared:
                parts["class"] -= ((1 - smooth) * right + smooth / len(chances)) * log(chance)
            else:
                parts["class"] += cross_entropy(box.classes[c], (1 - smooth) * right + smooth / 2)
    weights = {"box": how.box_weight, "object": how.object_weight, "class": how.class_weight}
    return {name: weights[name] * part / max(1, len(learn)) for name, part in parts.items()}
