"""YOLOv3 and the chapter's YOLO in plain PyTorch by another route: what darknet's layers do, written out."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from plain import Outputs, Weights

UNITS = {"c1": 1, "c2": 2, "c3": 8, "c4": 8, "c5": 4}  # Redmon and Farhadi 2018, table 1


def batchnorm(w: Weights, key: str, x: Tensor, training: bool) -> Tensor:
    """Of the batch in training, when the running statistics move by a tenth; their variance is the unbiased one."""
    mean, var = w[f"{key}.running_mean"], w[f"{key}.running_var"]
    if training:
        values = x.transpose(0, 1).flatten(1)
        spread, centre = torch.var_mean(values, dim=1, correction=0)
        with torch.no_grad():
            count = values.shape[1]
            mean.copy_(0.9 * mean + 0.1 * centre)
            var.copy_(0.9 * var + 0.1 * spread * count / (count - 1))
            w[f"{key}.num_batches_tracked"].add_(1)
        mean, var = centre, spread
    factor = w[f"{key}.weight"] / torch.sqrt(var + 1e-5)
    return x * factor[:, None, None] + (w[f"{key}.bias"] - mean * factor)[:, None, None]


def cbl(w: Weights, key: str, x: Tensor, training: bool, stride: int = 1) -> Tensor:
    weight = w[f"{key}.conv.weight"]
    pointwise = weight.shape[-1] == 1
    y = torch.einsum("nchw,oc->nohw", x, weight[:, :, 0, 0]) if pointwise else F.conv2d(x, weight, None, stride, 1)
    y = batchnorm(w, f"{key}.batchnorm", y, training)
    return torch.where(y > 0, y, 0.1 * y)


def darknet53(w: Weights, x: Tensor, training: bool) -> dict[str, Tensor]:
    """The maps after each of the five stages."""
    at = {}
    x = cbl(w, "body.darknet53.stem.cbl", x, training)
    for stage, units in UNITS.items():
        key = f"body.darknet53.{stage}.stage"
        x = cbl(w, f"{key}.cbl", x, training, 2)
        for number in range(1, units + 1):
            unit = f"{key}.res_{number}" if number > 1 else f"{key}.res"
            x = x + cbl(w, f"{unit}.cbl_2", cbl(w, f"{unit}.cbl", x, training), training)
        at[stage] = x
    return at


def maps(w: Weights, key: str, x: Tensor, training: bool) -> Tensor:
    """A 3x3 layer, then a 1x1 convolution with biases and no activation."""
    x = cbl(w, f"{key}.cbl", x, training)
    return F.conv2d(x, w[f"{key}.conv.weight"], w[f"{key}.conv.bias"])


def yolov3(w: Weights, x: Tensor, training: bool) -> Outputs:
    body = darknet53(w, x, training)
    outputs = {}
    deep: Tensor | None = None
    for level in (5, 4, 3):
        x = body[f"c{level}"]
        if deep is not None:
            small = cbl(w, f"n{level}.join.cbl", deep, training)
            x = torch.cat([small.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3), x], dim=1)
        for step in ("widen.cbl", "widen.cbl_2", "widen_2.cbl", "widen_2.cbl_2", "cbl"):
            x = cbl(w, f"n{level}.neck.{step}", x, training)
        outputs[f"p{level}"] = maps(w, f"p{level}.grid", x, training)
        deep = x
    return outputs


def yolo_chapter(w: Weights, x: Tensor, training: bool) -> Outputs:
    return {"logits": maps(w, "grid", darknet53(w, x, training)["c5"], training)}


def layer(w: Weights, key: str, x: Tensor, training: bool, stride: int = 1) -> Tensor:
    """yolo-small's: as `cbl`, with relu."""
    weight = w[f"{key}.conv.weight"]
    y = F.conv2d(x, weight, None, stride, weight.shape[-1] // 2)
    return batchnorm(w, f"{key}.batchnorm", y, training).clamp(min=0)


def yolo_small(w: Weights, x: Tensor, training: bool) -> Outputs:
    x = layer(w, "stem.cbl", x, training, 2)
    body = {}
    for level, units in ((2, 1), (3, 2), (4, 2), (5, 2)):
        x = layer(w, f"c{level}.stage.cbl", x, training, 2)
        for unit in ("res", "res_2")[:units]:
            key = f"c{level}.stage.{unit}"
            x = x + layer(w, f"{key}.cbl_2", layer(w, f"{key}.cbl", x, training), training)
        body[level] = x
    outputs = {}
    x = layer(w, "n5.cbl_2", layer(w, "n5.cbl", x, training), training)
    for level in (5, 4, 3):
        if level < 5:
            key = f"n{level}.join"
            small = layer(w, f"{key}.cbl", x, training)
            large = small.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
            x = torch.cat([large, body[level]], dim=1)
            x = layer(w, f"{key}.cbl_3", layer(w, f"{key}.cbl_2", x, training), training)
        outputs[f"p{level}"] = F.conv2d(x, w[f"p{level}.grid.conv.weight"], w[f"p{level}.grid.conv.bias"])
    return outputs
