"""resnet34: Deep Residual Learning, He et al. 2015 (arXiv 1512.03385), table 1, 34 layers, option B

input       image [N, 3, 32*h, 32*w]
output      logits [N, 1000]
parameters  21,797,672
MACs        3,663,761,408 at N=1, h=7, w=7
spec        a5458cd42d387fe66a2c99d19014a3c309972e3157e9f6bf35995b77be09014c
usage       Resnet34().eval()(torch.randn(1, 3, 224, 224))

Written by `cnnspec compile --target python`; the keys of its state dict are the paths of the spec.
"""

from __future__ import annotations

from collections import OrderedDict

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn


def chain(**steps: nn.Module) -> nn.Sequential:
    """The steps one after another, under their names."""
    return nn.Sequential(OrderedDict(steps))


class GlobalAvgPool2d(nn.Module):
    """The mean of every map."""

    def __init__(self, keepdim: bool = False) -> None:
        super().__init__()
        self.keepdim = keepdim

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3), keepdim=self.keepdim)


class ConvBn(nn.Sequential):
    """conv_bn(filters, kernel, stride=1): x -> conv(filters, kernel, stride, bias=false) -> batchnorm"""

    def __init__(self, in_channels: int, filters: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, filters, kernel, stride=stride, padding=kernel // 2, bias=False)
        self.batchnorm = nn.BatchNorm2d(filters)


class Unit(nn.Module):
    """`unit` of resnet34.yaml:

    unit(filters, stride=1):
      main: x -> conv_bn(filters, 3, stride) -> relu -> conv_bn(filters, 3)
      skip: x if x.shape == main.shape else x -> conv_bn(filters, 1, stride)
      out:  add(main, skip) -> relu
    """

    def __init__(self, in_channels: int, filters: int, stride: int = 1) -> None:
        super().__init__()
        self.main = chain(
            conv_bn=ConvBn(in_channels, filters, 3, stride=stride),
            relu=nn.ReLU(),
            conv_bn_2=ConvBn(filters, filters, 3),
        )
        self.skip: nn.Module = nn.Identity()
        if stride != 1 or in_channels != filters:
            self.skip = chain(conv_bn=ConvBn(in_channels, filters, 1, stride=stride))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.main(x) + self.skip(x))


class Stage(nn.Sequential):
    """stage(count, filters, stride=2): x -> unit(filters, stride) -> (count - 1) * unit(filters)"""

    def __init__(self, in_channels: int, count: int, filters: int, stride: int = 2) -> None:
        super().__init__()
        self.unit = Unit(in_channels, filters, stride=stride)
        for number in range(2, count + 1):
            self.add_module(f"unit_{number}", Unit(filters, filters))


class Resnet34(nn.Module):
    """image [N, 3, 32*h, 32*w] -> logits [N, 1000]."""

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        self.stem = chain(
            conv_bn=ConvBn(3, 64, 7, stride=2), relu=nn.ReLU(), maxpool=nn.MaxPool2d(3, stride=2, padding=1)
        )
        self.c2 = chain(stage=Stage(64, 3, 64, stride=1))
        self.c3 = chain(stage=Stage(64, 4, 128))
        self.c4 = chain(stage=Stage(128, 6, 256))
        self.c5 = chain(stage=Stage(256, 3, 512))
        self.logits = chain(global_avgpool=GlobalAvgPool2d(), dense=nn.Linear(512, classes))

    def forward(self, image: Tensor) -> Tensor:
        x = self.stem(image)  # [N, 64, 8*h, 8*w]
        x = self.c2(x)  # [N, 64, 8*h, 8*w]
        x = self.c3(x)  # [N, 128, 4*h, 4*w]
        x = self.c4(x)  # [N, 256, 2*h, 2*w]
        x = self.c5(x)  # [N, 512, h, w]
        return self.logits(x)  # [N, 1000]
