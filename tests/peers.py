"""torchvision's networks, the second implementation of most of the zoo."""

from __future__ import annotations

from typing import Any

from torch import nn

TORCHVISION = {
    "alexnet-torchvision": "alexnet",
    "convnext-tiny": "convnext_tiny",
    "densenet121": "densenet121",
    "efficientnet-b0": "efficientnet_b0",
    "googlenet-bn": "googlenet",
    "inception-v3": "inception_v3",
    "mobilenet-v2": "mobilenet_v2",
    "mobilenet-v3-large": "mobilenet_v3_large",
    "regnet-y-400mf": "regnet_y_400mf",
    "resnet18": "resnet18",
    "resnet34": "resnet34",
    "resnet50": "resnet50",
    "resnet101": "resnet101",
    "resnet152": "resnet152",
    "resnext50": "resnext50_32x4d",
    "shufflenet-v2": "shufflenet_v2_x1_0",
    "squeezenet1-1": "squeezenet1_1",
    "vgg11": "vgg11",
    "vgg11-bn": "vgg11_bn",
    "vgg13": "vgg13",
    "vgg13-bn": "vgg13_bn",
    "vgg16": "vgg16",
    "vgg16-bn": "vgg16_bn",
    "vgg19": "vgg19",
    "vgg19-bn": "vgg19_bn",
}
"""torchvision's name of each of ours."""


def torchvision_model(spec: str) -> nn.Module:
    from torchvision import models

    name = TORCHVISION[spec]
    drawn_twice = name.startswith(("vgg", "googlenet", "inception"))
    model: nn.Module = models.get_model(name, **({"init_weights": False} if drawn_twice else {}))
    return model


def torchvision_meta(spec: str) -> dict[str, Any]:
    """What torchvision publishes with a network's first weights."""
    from torchvision import models

    meta: dict[str, Any] = models.get_model_weights(TORCHVISION[spec]).IMAGENET1K_V1.meta
    return meta
