"""Images one by one, with their boxes and masks, through torchvision's transforms (v2).

All that is random about a sample comes from one seed, whatever process asks for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F  # noqa: N812

from cnnspec import vision
from cnnspec.boxes import letterbox
from cnnspec.datasets.parts import VOID

if TYPE_CHECKING:
    from cnnspec import datasets
    from cnnspec.recipe import Augment, Recipe
    from cnnspec.vision import Pixels

BILINEAR = v2.InterpolationMode.BILINEAR
LEAST, TINY = 2.0, 1e-3
"""Pixels of the shorter side below which a box is dropped: one that teaches, one that judges."""


class Augmented:
    """Samples of a part at the input's size; `random` ones as the recipe's `augment` says."""

    def __init__(self, part: datasets.Part, recipe: Recipe, needs: frozenset[str], random: bool) -> None:
        self.part, self.needs, self.fit = part, needs, recipe.fit
        self.augment = recipe.augment if random else None
        self.crops = random and recipe.augment.crop is not None
        self.changes: dict[tuple[int, int], Any] = {}

    def __call__(
        self, positions: list[int], seeds: list[int], size: tuple[int, int]
    ) -> tuple[Pixels, dict[str, Tensor]]:
        """Pixels [n, h, w, c] of a size (height, width), and the targets that come from boxes and masks."""
        found = [self.one(position, seed, size) for position, seed in zip(positions, seeds, strict=True)]
        images = np.stack([image for image, _ in found])
        return images, self._targets([truth for _, truth in found], size)

    def one(self, position: int, seed: int, size: tuple[int, int]) -> tuple[Pixels, dict[str, Any]]:
        torch.default_generator.manual_seed(seed)
        image = self.part.images.one(position)
        truth = self._truth(position, image)
        if not self.crops and not truth and isinstance(self.part.images.kept, list):
            image = vision.resize(image, *size, self.fit)  # as predict does; where there is truth, it goes along below
        picture: Any = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
        if not self.crops and image.shape[:2] != size:
            picture, truth = fitted(picture, truth, size, self.fit)
        if self.augment is not None:
            if size not in self.changes:
                self.changes[size] = v2.Compose(changes(self.augment, size))
            picture, truth = self.changes[size](picture, truth)
        return np.asarray(picture).reshape(*size, image.shape[2]), truth

    def _truth(self, position: int, image: Pixels) -> dict[str, Any]:
        truth: dict[str, Any] = {}
        if self.needs & {"box", "boxes"}:
            assert self.part.boxes is not None
            boxes = self.part.boxes[position]
            corners = torch.from_numpy(boxes.corners)
            truth["boxes"] = tv_tensors.BoundingBoxes(corners, format="XYXY", canvas_size=image.shape[:2])
            truth["labels"] = torch.from_numpy(boxes.classes)
            truth["difficult"] = torch.from_numpy(boxes.difficult)
        if "masks" in self.needs:
            assert self.part.masks is not None
            truth["mask"] = tv_tensors.Mask(torch.from_numpy(self.part.masks(position)))
        return truth

    def _targets(self, truths: list[dict[str, Any]], size: tuple[int, int]) -> dict[str, Tensor]:
        targets: dict[str, Tensor] = {}
        height, width = size
        scale = torch.tensor([width, height, width, height])
        if self.needs & {"box", "boxes"}:
            rows, hard = [], []
            for number, truth in enumerate(truths):
                corners, labels = within(truth["boxes"], size), truth["labels"]
                if "boxes" in self.needs:
                    kept = (corners[:, 2:] - corners[:, :2]).amin(1) >= (LEAST if self.augment else TINY)
                    corners, labels = corners[kept], labels[kept]
                    hard.append(truth["difficult"][kept])
                middle = torch.cat([(corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]], 1) / scale
                rows.append(torch.cat([torch.full((len(labels), 1), float(number)), labels[:, None], middle], 1))
            every = torch.cat(rows).float()
            if "boxes" in self.needs:
                targets["boxes"] = every
                targets["difficult"] = torch.cat(hard)
            if "box" in self.needs:
                targets["box"] = every[:, 2:]
        if "masks" in self.needs:
            targets["masks"] = torch.stack([torch.as_tensor(truth["mask"]) for truth in truths]).long()
        return targets


def within(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Corners moved into the image."""
    height, width = size
    corners = torch.as_tensor(boxes).float().clamp(min=0)
    return torch.minimum(corners, torch.tensor([width, height, width, height], dtype=corners.dtype))


def fitted(picture: Any, truth: dict[str, Any], size: tuple[int, int], fit: str) -> tuple[Any, dict[str, Any]]:
    """An image with its boxes and mask at a size: stretched, its centre (as `vision.resize`), or padded with grey."""
    (height, width), (columns, rows) = size, picture.size
    both: Any
    if fit == "stretch":
        both = v2.Resize(list(size), BILINEAR)
    elif fit == "crop":
        scale = min(rows / height, columns / width) * vision.MARGIN
        cut = [round(scale * height), round(scale * width)]
        both = v2.Compose([v2.CenterCrop(cut), v2.Resize(list(size), BILINEAR)])
    else:
        left, top, wide, high = letterbox((columns, rows), height, width)
        fill = {Image.Image: vision.GREY, tv_tensors.Mask: VOID, "others": 0}
        sides = [left, top, width - wide - left, height - high - top]
        both = v2.Compose([v2.Resize([high, wide], BILINEAR), v2.Pad(sides, fill=fill)])
    found: tuple[Any, dict[str, Any]] = both(picture, truth)
    return found


def changes(augment: Augment, size: tuple[int, int]) -> list[Any]:
    """The transforms of a recipe's `augment`, in the order of its keys."""
    height, width = size
    fill = {tv_tensors.Mask: VOID, "others": 0}
    found: list[Any] = []
    if augment.crop is not None:
        found.append(v2.RandomResizedCrop(list(size), scale=tuple(augment.crop), interpolation=BILINEAR))
    if augment.shift or augment.rotate or augment.zoom or augment.shear:
        by = (augment.shift / width, augment.shift / height)
        zoom, shear = augment.zoom, augment.shear or None
        found.append(v2.RandomAffine(augment.rotate, by, zoom, shear, interpolation=BILINEAR, fill=fill))
    if augment.flip in ("horizontal", "both"):
        found.append(v2.RandomHorizontalFlip())
    if augment.flip in ("vertical", "both"):
        found.append(v2.RandomVerticalFlip())
    if augment.light or augment.colour:
        light, colour = augment.light, augment.colour
        found.append(v2.ColorJitter(light, light, colour, colour / 4))
    if augment.randaugment is not None:
        found.append(v2.RandAugment(augment.randaugment.operations, augment.randaugment.magnitude))
    if augment.erase:
        found.append(Erase(augment.erase))
    return found


class Erase(v2.Transform):  # type: ignore[misc]
    """torchvision's RandomErasing, which takes tensors, for pictures."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.inner = v2.RandomErasing(probability)

    def forward(self, picture: Any, truth: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        return F.to_pil_image(self.inner(F.pil_to_tensor(picture))), truth
