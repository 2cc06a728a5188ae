"""Long, Shelhamer and Darrell's networks in plain PyTorch by another route. They read our weights by our keys."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from plain import Outputs, Weights, halve

CONVS = (2, 2, 3, 3, 3)


def crop(x: Tensor, like: Tensor, offset: int) -> Tensor:
    height, width = like.shape[2:]
    return x[:, :, offset : offset + height, offset : offset + width]


def dense(w: Weights, key: str, x: Tensor, window: int = 1) -> Tensor:
    """A dense layer, given every window of the map in turn."""
    windows = x.unfold(2, window, 1).unfold(3, window, 1).movedim(1, 3).flatten(3)
    return F.linear(windows, w[f"{key}.weight"].flatten(1), w[f"{key}.bias"]).movedim(3, 1)


def up(w: Weights, key: str, x: Tensor, stride: int) -> Tensor:
    """The kernel is two strides wide: each quarter of it makes a tile of every value; four tilings overlap."""
    kernel = w[f"{key}.up.transposed_conv.weight"]
    n, _, height, width = x.shape
    tilings = []
    for i in (0, stride):
        for j in (0, stride):
            quarter = kernel[:, :, i : i + stride, j : j + stride]
            tiles = torch.einsum("nchw,coij->nohiwj", x, quarter).reshape(n, -1, height * stride, width * stride)
            tilings.append(F.pad(tiles, (j, stride - j, i, stride - i)))
    return sum(tilings[1:], tilings[0])


def vgg16(w: Weights, x: Tensor) -> list[Tensor]:
    """The five pools, each of which rounds up; the first convolution sees a hundred zeros on every side."""
    pools = []
    for number, count in enumerate(CONVS, start=1):
        for layer in range(1, count + 1):
            key = f"pool{number}.stage.conv" + (f"_{layer}" if layer > 1 else "")
            around = 100 if number == layer == 1 else 1
            x = F.conv2d(x, w[f"{key}.weight"], w[f"{key}.bias"], padding=around).clamp(min=0)
        odd = F.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2), value=-torch.inf)
        x = halve(odd, torch.amax)
        pools.append(x)
    return pools


def fcn(
    w: Weights, image: Tensor, training: bool, *, fused: Sequence[tuple[int, int]], stride: int, cut: int
) -> Outputs:
    """`fused` holds the number of each pool that is scored too and where its scores are cut."""
    pools = vgg16(w, image)
    x = dense(w, "fc6.conv", pools[4], window=7).clamp(min=0)
    x = dense(w, "score7.score.conv", dense(w, "fc7.conv", x).clamp(min=0))
    for pool, offset in fused:
        x = up(w, f"fuse{pool}", x, 2)
        x = x + crop(dense(w, f"fuse{pool}.fuse.score.conv", pools[pool - 1]), x, offset)
    return {"logits": crop(up(w, "logits", x, stride), image, cut)}


fcn32s = partial(fcn, fused=(), stride=32, cut=19)
fcn16s = partial(fcn, fused=((4, 5),), stride=16, cut=27)
fcn8s = partial(fcn, fused=((4, 5), (3, 9)), stride=8, cut=31)
