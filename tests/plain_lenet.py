"""LeNet-5 of 1998 in plain PyTorch by another route: LeCun et al. 1998, section II.B, in sums and loops."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from plain import Outputs, Weights, dense, halve

# Table I: a row for each map of S2, a column for each map of C3.
TABLE_I = (
    "X...XXX..XXXX.XX",
    "XX...XXX..XXXX.X",
    "XXX...XXX..X.XXX",
    ".XXX..XXXX..X.XX",
    "..XXX..XXXX.XX.X",
    "...XXX..XXXX.XXX",
)


def squash(x: Tensor) -> Tensor:
    """A tanh(S a) with A = 1.7159 and S = 2/3, by exponentials."""
    return 1.7159 * (1 - 2 / (torch.exp(4 / 3 * x) + 1))


def subsampled(w: Weights, key: str, x: Tensor) -> Tensor:
    """The four inputs added, times a coefficient, plus a bias; ours is the coefficient of their mean."""
    coefficient, bias = (w[f"{key}.subsample.channel_affine.{name}"] for name in ("weight", "bias"))
    return squash(halve(x, torch.sum) * (coefficient / 4)[:, None, None] + bias[:, None, None])


def sparse(w: Weights, key: str, x: Tensor) -> Tensor:
    """C3, one connection after the other: the weights lie filter by filter, within a filter by map."""
    weights, biases = w[f"{key}.weight"], w[f"{key}.bias"]
    at, found = 0, []
    for number, bias in enumerate(biases):
        total = bias.expand(x.shape[0], 1, 1, 1)
        for seen, row in enumerate(TABLE_I):
            if row[number] == "X":
                total = total + F.conv2d(x[:, seen : seen + 1], weights[at][None, None])
                at += 1
        found.append(total)
    assert at == len(weights)
    return torch.cat(found, dim=1)


def lenet5_1998(w: Weights, x: Tensor, training: bool) -> Outputs:
    """Paper is -0.1 and ink 1.175, up to the rounding of our constants; distances by the binomial formula."""
    mean, std = w["padded.normalize.mean"], w["padded.normalize.std"]
    paper, ink = -mean / std, (1 - mean) / std
    assert torch.allclose(torch.cat([paper, ink]), paper.new_tensor([-0.1, 1.175]), rtol=1e-6)
    x = F.pad(x, (2, 2, 2, 2)) * (ink - paper) + paper
    x = squash(F.conv2d(x, w["c1.feature.conv.weight"], w["c1.feature.conv.bias"]))
    x = squash(sparse(w, "c3.feature.conv", subsampled(w, "s2", x)))
    x = subsampled(w, "s4", x)
    x = squash(torch.einsum("nchw,ochw->no", x, w["c5.feature.conv.weight"]) + w["c5.feature.conv.bias"])
    x, codes = squash(dense(w, "f6.dense", x)), w["distances.distance.codes"]
    return {"logits": x.square().sum(1, keepdim=True) - 2 * x @ codes.T + codes.square().sum(1)}
