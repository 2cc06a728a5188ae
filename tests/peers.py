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
SEGMENTATION = {
    "fcn-resnet50": "fcn_resnet50",
    "fcn-resnet101": "fcn_resnet101",
    "deeplabv3-resnet50": "deeplabv3_resnet50",
    "lraspp-mobilenet-v3": "lraspp_mobilenet_v3_large",
}
"""torchvision's too."""
TIMM = {
    "darknet53": "darknet53",
    "darknet53-timm": "darknet53",
    "hrnet-w18": "hrnet_w18",
    "inception-v4": "inception_v4",
    "senet154": "legacy_senet154",
    "seresnet50": "seresnet50",
    "xception": "legacy_xception",
}
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

        found = timm.create_model(TIMM[spec], drop_rate=0.0)
        as_published(spec, found)
    else:
        from torchvision import models

        name = (TORCHVISION | SEGMENTATION)[spec]
        drawn_twice = name.startswith(("vgg", "googlenet", "inception"))
        options: dict[str, Any] = {"init_weights": False} if drawn_twice else {}
        if spec in SEGMENTATION:  # with the auxiliary head of its published weights; LR-ASPP has none
            options = {"weights_backbone": None, "aux_loss": not name.startswith("lraspp")}
        found = models.get_model(name, **options)
    return found


def as_published(spec: str, model: nn.Module) -> None:
    """Settings in which timm's network is not the published one; the weights are the same."""
    if spec == "darknet53":  # darknet's LEAKY is x > 0 ? x : .1 * x; timm's is torch's 0.01
        for module in model.modules():
            if isinstance(module, nn.LeakyReLU):
                module.negative_slope = 0.1
    if spec == "xception":  # the author's own network, Keras's: TensorFlow's padding, its eps and momentum
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eps, module.momentum = 0.001, 0.01
        pool = model.get_submodule("block2.rep.6")  # of 74 x 74: one row and one column after, none before
        assert isinstance(pool, nn.MaxPool2d)
        pool.padding, pool.ceil_mode = 0, True


def torchvision_meta(spec: str) -> dict[str, Any]:
    """What torchvision publishes with a network's first weights."""
    from torchvision import models

    meta: dict[str, Any] = next(iter(models.get_model_weights((TORCHVISION | SEGMENTATION)[spec]))).meta
    return meta
