"""googlenet: Going Deeper with Convolutions, Szegedy et al. 2014 (arXiv 1409.4842), table 1, auxiliary heads of section
  5

input       image [N, 3, 224, 224]
output      logits [N, 1000]
output      aux1 [N, 1000], in training only
output      aux2 [N, 1000], in training only
parameters  6,998,552; 13,378,280 in training
MACs        1,582,671,872 at N=1
spec        8a83e58af07f3398c6e9056f2124e0a8054e5b68b861da984e4a854a53979786
usage       Googlenet().eval()(torch.randn(1, 3, 224, 224))

Written by `cnnspec compile --target python`; the keys of its state dict are the paths of the spec.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
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


class ConvRelu(nn.Sequential):
    """conv_relu(filters, kernel, stride=1): x -> conv(filters, kernel, stride) -> relu"""

    def __init__(self, in_channels: int, filters: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, filters, kernel, stride=stride, padding=kernel // 2)
        self.relu = nn.ReLU()


class Halve(nn.Sequential):
    """halve: x -> maxpool(3, 2, ceil=true)"""

    def __init__(self) -> None:
        super().__init__()
        self.maxpool = nn.MaxPool2d(3, stride=2, ceil_mode=True)


class Auxiliary(nn.Sequential):
    """`auxiliary` of googlenet.yaml:

    auxiliary: x -> avgpool(5, 3) -> conv_relu(128, 1) -> flatten -> dense(1024) -> relu -> dropout(0.7)
      -> dense(classes)
    """

    def __init__(self, in_channels: int, classes: int = 1000) -> None:
        super().__init__()
        self.avgpool = nn.AvgPool2d(5, stride=3)
        self.conv_relu = ConvRelu(in_channels, 128, 1)
        self.flatten = nn.Flatten()
        self.dense = nn.Linear(2048, 1024)
        self.relu = nn.ReLU()
        self.dropout = nn.Dropout(0.7)
        self.dense_2 = nn.Linear(1024, classes)


class Inception(nn.Module):
    """`inception` of googlenet.yaml:

    inception(one, reduce3, three, reduce5, five, project):
      b1:  x -> conv_relu(one, 1)
      b3:  x -> conv_relu(reduce3, 1) -> conv_relu(three, 3)
      b5:  x -> conv_relu(reduce5, 1) -> conv_relu(five, 5)
      bp:  x -> maxpool(3, 1, padding=1) -> conv_relu(project, 1)
      out: concat(b1, b3, b5, bp)
    """

    def __init__(
        self, in_channels: int, one: int, reduce3: int, three: int, reduce5: int, five: int, project: int
    ) -> None:
        super().__init__()
        self.b3 = chain(conv_relu=ConvRelu(in_channels, reduce3, 1), conv_relu_2=ConvRelu(reduce3, three, 3))
        self.b5 = chain(conv_relu=ConvRelu(in_channels, reduce5, 1), conv_relu_2=ConvRelu(reduce5, five, 5))
        self.bp = chain(maxpool=nn.MaxPool2d(3, stride=1, padding=1), conv_relu=ConvRelu(in_channels, project, 1))
        self.b1 = chain(conv_relu=ConvRelu(in_channels, one, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((self.b1(x), self.b3(x), self.b5(x), self.bp(x)), dim=1)


class Googlenet(nn.Module):
    """image [N, 3, 224, 224] -> logits [N, 1000], aux1 [N, 1000], aux2 [N, 1000]."""

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        self.conv1 = chain(conv_relu=ConvRelu(3, 64, 7, stride=2), halve=Halve(), lrn=nn.LocalResponseNorm(5))
        self.conv2 = chain(
            conv_relu=ConvRelu(64, 64, 1), conv_relu_2=ConvRelu(64, 192, 3), lrn=nn.LocalResponseNorm(5), halve=Halve()
        )
        self.inception3a = chain(inception=Inception(192, 64, 96, 128, 16, 32, 32))
        self.inception3b = chain(inception=Inception(256, 128, 128, 192, 32, 96, 64), halve=Halve())
        self.inception4a = chain(inception=Inception(480, 192, 96, 208, 16, 48, 64))
        self.inception4b = chain(inception=Inception(512, 160, 112, 224, 24, 64, 64))
        self.inception4c = chain(inception=Inception(512, 128, 128, 256, 24, 64, 64))
        self.inception4d = chain(inception=Inception(512, 112, 144, 288, 32, 64, 64))
        self.inception4e = chain(inception=Inception(528, 256, 160, 320, 32, 128, 128), halve=Halve())
        self.inception5a = chain(inception=Inception(832, 256, 160, 320, 32, 128, 128))
        self.inception5b = chain(inception=Inception(832, 384, 192, 384, 48, 128, 128))
        self.logits = chain(global_avgpool=GlobalAvgPool2d(), dropout=nn.Dropout(0.4), dense=nn.Linear(1024, classes))
        self.aux1 = chain(auxiliary=Auxiliary(512, classes=classes))
        self.aux2 = chain(auxiliary=Auxiliary(528, classes=classes))

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        if not self.training and not torch.is_grad_enabled():  # less memory and time
            image = image.contiguous(memory_format=torch.channels_last)
        x = self.conv1(image)  # [N, 64, 56, 56]
        x = self.conv2(x)  # [N, 192, 28, 28]
        x = self.inception3a(x)  # [N, 256, 28, 28]
        x = self.inception3b(x)  # [N, 480, 14, 14]
        inception4a = self.inception4a(x)  # [N, 512, 14, 14]
        x = self.inception4b(inception4a)  # [N, 512, 14, 14]
        x = self.inception4c(x)  # [N, 512, 14, 14]
        inception4d = self.inception4d(x)  # [N, 528, 14, 14]
        x = self.inception4e(inception4d)  # [N, 832, 7, 7]
        x = self.inception5a(x)  # [N, 832, 7, 7]
        x = self.inception5b(x)  # [N, 1024, 7, 7]
        logits = self.logits(x)  # [N, 1000]
        if self.training:
            return {"logits": logits, "aux1": self.aux1(inception4a), "aux2": self.aux2(inception4d)}
        return {"logits": logits}
