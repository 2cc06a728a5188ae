"""Networks in plain PyTorch by another route, for those that no library has. They read our weights by our keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

Weights = Mapping[str, Tensor]
Outputs = dict[str, Tensor]


def conv_relu(w: Weights, key: str, x: Tensor, stride: int = 1) -> Tensor:
    """Padding by half the kernel, ReLU as a clamp."""
    weight = w[f"{key}.weight"]
    return F.conv2d(x, weight, w[f"{key}.bias"], stride, weight.shape[-1] // 2).clamp(min=0)


def dense(w: Weights, key: str, x: Tensor) -> Tensor:
    return torch.einsum("ni,oi->no", x, w[f"{key}.weight"]) + w[f"{key}.bias"]


def halve(x: Tensor, reduce: Callable[..., Tensor]) -> Tensor:
    """2 x 2 windows, what does not fill one dropped."""
    n, c, h, w = x.shape
    return reduce(x[:, :, : h // 2 * 2, : w // 2 * 2].reshape(n, c, h // 2, 2, w // 2, 2), dim=(3, 5))


def lenet5(w: Weights, x: Tensor, training: bool) -> Outputs:
    for key in ("c1", "c3"):
        x = halve(torch.tanh(F.conv2d(x, w[f"{key}.conv.weight"], w[f"{key}.conv.bias"])), torch.mean)
    x = torch.tanh(torch.einsum("nchw,ochw->no", x, w["c5.conv.weight"]) + w["c5.conv.bias"])
    return {"logits": dense(w, "logits.dense", torch.tanh(dense(w, "f6.dense", x)))}


def fashion_cnn(w: Weights, x: Tensor, training: bool) -> Outputs:
    x = halve(conv_relu(w, "c1.conv", x), torch.amax)
    for key in ("c2", "c3"):
        x = halve(conv_relu(w, f"{key}.conv_2", conv_relu(w, f"{key}.conv", x)), torch.amax)
    x = dense(w, "f4.dense", x.flatten(1)).clamp(min=0)
    return {"logits": dense(w, "logits.dense", dense(w, "f5.dense", x).clamp(min=0))}


def lrn(x: Tensor) -> Tensor:
    """Krizhevsky et al. 2012, section 3.3: n = 5, alpha 1e-4 over n (as Caffe and torch have it), beta 0.75, k = 1."""
    squares = F.pad(x.square(), (0, 0, 0, 0, 2, 2))
    near = sum((squares[:, i : i + x.shape[1]] for i in range(5)), torch.zeros_like(x))
    return x * (1 + 1e-4 / 5 * near) ** -0.75


def overlapping(x: Tensor) -> Tensor:
    """3 x 3 windows two apart, the last one hanging over: Caffe's rounding up."""
    return F.max_pool2d(F.pad(x, (0, 1, 0, 1), value=-torch.inf), 3, 2)


def alexnet(w: Weights, x: Tensor, training: bool) -> Outputs:
    """Two columns side by side; they meet in c3 and in the dense layers."""
    pool = partial(F.max_pool2d, kernel_size=3, stride=2)
    x = F.conv2d(x, w["c1.conv.weight"], w["c1.conv.bias"], 4).clamp(min=0)
    x = pool(lrn(two_columns(w, "c2.conv", pool(lrn(x)))))
    x = two_columns(w, "c4.conv", conv_relu(w, "c3.conv", x))
    x = pool(two_columns(w, "c5.conv", x)).flatten(1)
    x = dense(w, "f7.dense", dense(w, "f6.dense", x).clamp(min=0)).clamp(min=0)
    return {"logits": dense(w, "logits.dense", x)}


def two_columns(w: Weights, key: str, x: Tensor) -> Tensor:
    weights, biases = w[f"{key}.weight"].chunk(2), w[f"{key}.bias"].chunk(2)
    columns = zip(x.chunk(2, dim=1), weights, biases, strict=True)
    return torch.cat([F.conv2d(x, w, b, padding=w.shape[-1] // 2) for x, w, b in columns], 1).clamp(min=0)


def inception(w: Weights, key: str, x: Tensor) -> Tensor:
    def branch(name: str, x: Tensor) -> Tensor:
        return conv_relu(w, f"{key}.inception.{name}.conv", x)

    windows = F.unfold(F.pad(x, (1, 1, 1, 1), value=-torch.inf), 3)
    pooled = windows.reshape(x.shape[0], x.shape[1], 9, -1).amax(2)
    three = branch("b3.conv_relu_2", branch("b3.conv_relu", x))
    five = branch("b5.conv_relu_2", branch("b5.conv_relu", x))
    four = (branch("b1.conv_relu", x), three, five, branch("bp.conv_relu", pooled.view_as(x)))
    y = torch.cat(four, dim=1)
    gate = f"{key}.inception.se.gate"
    return y * excited(w, gate, y)[:, :, None, None] if f"{gate}.dense.weight" in w else y


def excited(w: Weights, key: str, x: Tensor) -> Tensor:
    """Hu et al. 2017, equations 2 and 3."""
    return torch.sigmoid(dense(w, f"{key}.dense_2", dense(w, f"{key}.dense", x.mean((2, 3))).clamp(min=0)))


def auxiliary(w: Weights, key: str, x: Tensor) -> Tensor:
    x = x.unfold(2, 5, 3).unfold(3, 5, 3).mean((4, 5))
    x = conv_relu(w, f"{key}.auxiliary.conv_relu.conv", x).flatten(1)
    return dense(w, f"{key}.auxiliary.dense_2", dense(w, f"{key}.auxiliary.dense", x).clamp(min=0))


def googlenet(w: Weights, x: Tensor, training: bool) -> Outputs:
    """torchvision's is googlenet-bn, so no peer but the paper: table 1 and section 5; gated where there are gates."""
    x = lrn(overlapping(conv_relu(w, "conv1.conv_relu.conv", x, 2)))
    x = conv_relu(w, "conv2.conv_relu_2.conv", conv_relu(w, "conv2.conv_relu.conv", x))
    x = overlapping(lrn(x))
    at = {}
    for module in ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"):
        at[module] = x = inception(w, f"inception{module}", x)
        x = overlapping(x) if module in ("3b", "4e") else x
    outputs = {"logits": dense(w, "logits.dense", x.mean((2, 3)))}
    heads = {"aux1": auxiliary(w, "aux1", at["4a"]), "aux2": auxiliary(w, "aux2", at["4d"])}
    return outputs | heads if training else outputs
