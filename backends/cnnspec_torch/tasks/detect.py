"""Boxes over grids of cells: YOLOv3's loss and that of the chapter's variant, judged by mean average precision."""

from __future__ import annotations

from collections.abc import Mapping
from math import log
from typing import TYPE_CHECKING, final

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, one_hot

from cnnspec.grids import grids_of, split
from cnnspec.recipe_heads import Detect as Options
from cnnspec_torch.cells import Cells, decoded, detections, read
from cnnspec_torch.judging import AveragePrecision, of_targets
from cnnspec_torch.overlaps import overlaps, pairwise
from cnnspec_torch.tasks.assigning import Assigned, assign

if TYPE_CHECKING:
    from cnnspec.graph import Graph


@final
class Detect:
    """A head of kind `detect` against `boxes`.

    Loss, each part a sum over boxes divided by the number m of those that learn a true one (at least 1):

        box     squared errors of sigmoid(t_x), sigmoid(t_y), t_w, t_h, times 2 - w * h of the true box in parts of the
                input (Redmon and Farhadi 2018, section 2.1, and the authors' code), or 1 - IoU of a kind
        object  binary cross-entropy over all boxes but those that learn nothing and overlap a true box of their image
                by more than `ignore` (there)
        class   of the m boxes, binary cross-entropy for every class (section 2.2), or cross-entropy where the boxes of
                a cell share class scores

    Dividing by m is RetinaNet's (Lin et al. 2017, arXiv 1708.02002, section 4.1), whose start of objectness at a prior
    `start` sets.
    """

    needs = frozenset({"boxes"})
    best = ("map", True)

    def __init__(self, graph: Graph, head: str, options: Options | None = None) -> None:
        """Raises UsageError as `cnnspec.grids.grids_of`."""
        self.head, self.graph = head, graph
        self.options = options or Options()
        self.grids = grids_of(graph, head)
        self.classes = self.grids.classes
        self.precision = AveragePrecision()

    @torch.no_grad()
    def start(self, module: nn.Module) -> None:
        """Let objectness begin at the prior everywhere; for a network whose maps come from convolutions with bias."""
        nodes = {output.name: output.node for output in self.graph.outputs}
        for grid in self.grids.grids:
            bias = getattr(module.get_submodule(nodes[grid.output]), "bias", None)
            if isinstance(bias, Tensor):
                numbers, _ = split(bias[None, :, None, None], len(grid.anchors), self.classes, self.grids.shared)
                numbers[:, :, 4] = log(self.options.prior / (1 - self.options.prior))

    def loss(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
        how, truth = self.options, targets["boxes"]
        cells = read(outputs, self.grids)
        found = assign(cells, self.grids, truth, how)
        boxes = decoded(
            cells.numbers[found.image, found.box],
            cells.place[found.box],
            cells.stride[found.box],
            cells.anchor[found.box],
        )
        true = truth[found.truth, 2:] * cells.size.repeat(2)
        count = max(1, len(found.box))
        wanted = torch.zeros_like(cells.objectness)
        reached = overlaps(boxes.detach(), true) if how.object == "iou" else wanted.new_ones(len(true))
        wanted[found.image, found.box] = reached
        asked = ~self._excused(cells, truth)
        asked[found.image, found.box] = True
        objects = binary_cross_entropy_with_logits(cells.objectness, wanted, reduction="none")
        return {
            "box": how.box_weight / count * self._box(cells, found, boxes, true),
            "object": how.object_weight / count * (objects * asked).sum(),
            "class": how.class_weight / count * self._class(cells.classes[found.image, found.box], truth[found.truth]),
        }

    def update(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> None:
        cells = read(outputs, self.grids)
        raw, edges = detections(cells, self.options.confidence, self.options.overlap), cells.size.repeat(2)
        found = [
            (torch.minimum(one.clamp(min=0), edges), scores, which) for one, scores, which in raw
        ]  # as predict does
        self.precision.update(found, of_targets(targets, len(found), cells.size))

    def compute(self) -> dict[str, float]:
        found = self.precision.compute()
        return {"map": found.map, "map50": found.map50, "map75": found.map75}

    def _box(self, cells: Cells, found: Assigned, boxes: Tensor, true: Tensor) -> Tensor:
        if self.options.box != "squared":
            return (1 - overlaps(boxes, true, self.options.box)).sum()
        numbers, stride = cells.numbers[found.image, found.box], cells.stride[found.box]
        place = numbers[:, :2].sigmoid() - (true[:, :2] / stride - cells.place[found.box])
        size = numbers[:, 2:] - (true[:, 2:] / cells.anchor[found.box]).log()
        scale = 2 - (true[:, 2:] / cells.size).prod(-1)
        return ((place.square() + size.square()).sum(-1) * scale).sum()

    def _class(self, scores: Tensor, truth: Tensor) -> Tensor:
        classes, smoothing = truth[:, 1].long(), self.options.label_smoothing
        if self.grids.shared:
            return cross_entropy(scores, classes, reduction="sum", label_smoothing=smoothing)
        wanted = one_hot(classes, self.classes).to(scores) * (1 - smoothing) + smoothing / 2
        return binary_cross_entropy_with_logits(scores, wanted, reduction="sum")

    @torch.no_grad()
    def _excused(self, cells: Cells, truth: Tensor) -> Tensor:
        """[n, p]: whether a box overlaps a true one of its image by more than `ignore`."""
        image = truth[:, 0].long()
        counts = torch.bincount(image, minlength=len(cells.numbers))
        order = image.argsort(stable=True)
        place = torch.arange(len(truth), device=truth.device) - (counts.cumsum(0) - counts)[image[order]]
        padded = truth.new_zeros(len(counts), int(counts.max()) if len(truth) else 0, 4)
        padded[image[order], place] = truth[order, 2:] * cells.size.repeat(2)
        if not padded.shape[1]:
            return torch.zeros_like(cells.objectness, dtype=torch.bool)
        return pairwise(cells.boxes(), padded).amax(-1) > self.options.ignore
