"""Libraries' networks, the second implementation of most of the zoo, and their names of ours."""

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
SEGMENTATION: dict[str, str] = {}
"""torchvision's too."""
TIMM: dict[str, str] = {}
PEERS = {
    **dict.fromkeys([*TORCHVISION, *SEGMENTATION], "torchvision"),
    **dict.fromkeys(TIMM, "timm"),
}
"""The library that has each of ours."""


def peer_model(spec: str) -> nn.Module:
    """The library's network, with weights drawn at random."""
    found: nn.Module
    if spec in TIMM:
        import timm

        found = timm.create_model(TIMM[spec])
    else:
        from torchvision import models

        name = (TORCHVISION | SEGMENTATION)[spec]
        drawn_twice = name.startswith(("vgg", "googlenet", "inception"))
        options = {"weights_backbone": None} if spec in SEGMENTATION else {"init_weights": False} if drawn_twice else {}
        found = models.get_model(name, **options)
    return found


def torchvision_meta(spec: str) -> dict[str, Any]:
    """What torchvision publishes with a network's first weights."""
    from torchvision import models

    meta: dict[str, Any] = next(iter(models.get_model_weights((TORCHVISION | SEGMENTATION)[spec]))).meta
    return meta
