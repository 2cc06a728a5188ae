"""Published weights in specs: where they are, their hash, how images are prepared and what classes are called are what
the peers' own packages say, and the preparation gives the peers' own numbers."""

from __future__ import annotations

import re
from math import floor
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_images

import cnnspec
from cnnspec import vision, zoo
from cnnspec.predicting import Preparation
from cnnspec.published import Preprocess, Weights
from peers import SEGMENTATION, TIMM, TORCHVISION

NAMES = {"IMAGENET1K_V1": "imagenet", "IMAGENET1K_V2": "imagenet-v2", "COCO_WITH_VOC_LABELS_V1": "voc"}
NO_CLASSIFIER = "IMAGENET1K_FEATURES"
"""Of VGG-16: the classifier's numbers are NaN."""
RESCALED = ("googlenet-bn", "inception-v3")
"""Torchvision's published ones were trained on -1 to 1; its networks bring images there themselves."""
SLOPE = "darknet53"
"""With the slope of the authors; the weights are of timm's, which is `darknet53-timm`."""

ROWS = [(spec, name) for spec in zoo.names() for name in cnnspec.compile(spec).weights]
SIZES = ((640, 427), (427, 640), (224, 224), (300, 299), (97, 123), (1024, 681))
PHOTOS = [Image.fromarray(photo) for photo in load_sample_images().images]


def entry(spec: str, name: str) -> Weights:
    return cnnspec.compile(spec).weights[name]


def torchvision_weights(spec: str) -> dict[str, Any]:
    from torchvision.models import get_model_weights

    found = get_model_weights((TORCHVISION | SEGMENTATION)[spec])
    return {NAMES[one.name]: one for one in found if one.name != NO_CLASSIFIER}


def timm_config(spec: str) -> Any:
    import timm

    return timm.get_pretrained_cfg(TIMM[spec])


def timm_data() -> Any:
    import timm.data

    return timm.data


def test_every_published_file_stands_in_its_spec() -> None:
    due = {(spec, name) for spec in TORCHVISION | SEGMENTATION for name in torchvision_weights(spec)}
    assert set(ROWS) == due | {(spec, "imagenet") for spec in TIMM if spec != SLOPE}


@pytest.mark.parametrize(("spec", "name"), [row for row in ROWS if row[0] not in TIMM])
def test_torchvision_says_the_same(spec: str, name: str) -> None:
    ours, theirs = entry(spec, name), torchvision_weights(spec)[name]
    how, transforms = ours.preprocess, theirs.transforms()
    found = re.search(r"-([0-9a-f]+)\.pth$", theirs.url)
    assert found is not None
    assert (ours.url, ours.sha256, ours.names) == (theirs.url, found[1], "torchvision")
    crop = getattr(transforms, "crop_size", None)
    assert (how.resize, how.crop) == (transforms.resize_size[0], crop[0] if crop else None)
    assert (how.interpolation, how.antialias) == (transforms.interpolation.value, transforms.antialias)
    if spec not in RESCALED:
        assert (how.mean, how.std) == (transforms.mean, transforms.std)
    assert (how.order, how.range) == ("rgb", 1)


@pytest.mark.parametrize(("spec", "name"), [row for row in ROWS if row[0] in TIMM])
def test_timm_says_the_same(spec: str, name: str) -> None:
    ours, theirs = entry(spec, name), timm_config(spec)
    how, side = ours.preprocess, theirs.input_size[1]
    if theirs.url:  # its name bears the hash, the hub's does not
        found = re.search(r"-([0-9a-f]+)\.pth$", theirs.url)
        assert found is not None
        assert (ours.url, ours.sha256, ours.name) == (theirs.url, found[1], theirs.url.rpartition("/")[2])
    else:
        assert ours.url == f"https://huggingface.co/{theirs.hf_hub_id}/resolve/main/model.safetensors"
        assert (ours.sha256, ours.name) == (None, f"{theirs.hf_hub_id.removeprefix('timm/')}.safetensors")
    assert (how.resize, how.crop) == (floor(side / theirs.crop_pct), side)
    assert (how.interpolation, ours.names) == (theirs.interpolation, "timm")
    assert (tuple(how.mean or ()), tuple(how.std or ())) == (theirs.mean, theirs.std)


@pytest.mark.parametrize(("spec", "name"), ROWS)
def test_labels_are_the_peer_s_categories(spec: str, name: str) -> None:
    head = cnnspec.compile(spec).heads["logits"]
    assert head.labels is not None
    if spec in TORCHVISION:
        labels = [label.split(" ", 1)[1] for label in head.labels]
        assert labels == torchvision_weights(spec)[name].meta["categories"]
    elif spec in SEGMENTATION:
        assert ["__background__", *head.labels[1:]] == torchvision_weights(spec)[name].meta["categories"]
    else:
        assert timm_config(spec).num_classes == len(head.labels)


def test_ids_are_timm_s() -> None:
    """timm's package has the synsets of ImageNet in the order of the classes."""
    labels = zoo.labels("imagenet")
    assert labels is not None
    assert [label.split(" ", 1)[0] for label in labels] == list(timm_data().ImageNetInfo().label_names())


# how images are prepared


def as_peer(spec: str, name: str, photo: Image.Image) -> Any:
    """The peer's own numbers, [channels, height, width]."""
    if spec in TIMM:
        data = timm_data()
        return data.create_transform(**data.resolve_data_config(pretrained_cfg=timm_config(spec).to_dict()))(
            photo
        ).numpy()
    image = torchvision_weights(spec)[name].transforms()(photo)
    if spec in RESCALED:
        from torchvision.models import GoogLeNet

        image = GoogLeNet._transform_input(SimpleNamespace(transform_input=True), image[None])[0]
    return image.numpy()


KINDS = {
    entry(spec, name).preprocess.model_dump_json(): (spec, name) for spec, name in ROWS if spec not in SEGMENTATION
}
"""One network for each way to prepare images."""


@pytest.mark.parametrize(("spec", "name"), KINDS.values())
@pytest.mark.parametrize("size", SIZES)
def test_images_are_prepared_as_the_peer_does_it(spec: str, name: str, size: tuple[int, int]) -> None:
    how = entry(spec, name).preprocess
    assert how.crop is not None
    assert how.std is not None
    prepare = Preparation.of(how, 3, how.crop, how.crop)
    for photo in PHOTOS:
        image = photo.resize(size)
        difference = np.abs(prepare.batch(np.asarray(image))[0] - as_peer(spec, name, image))
        assert difference.max() <= 1 / 255 / min(how.std)


@pytest.mark.parametrize("spec", sorted({spec for spec, _ in KINDS.values()}))
def test_a_spec_takes_images_of_the_size_that_is_cut_out(spec: str) -> None:
    graph = cnnspec.compile(spec)
    for one in graph.weights.values():
        assert graph.at().nodes["image"].type.concrete[2:] == (one.preprocess.crop, one.preprocess.crop)


def test_another_size_is_cut_out_of_an_image_as_much_larger() -> None:
    how = Preparation.of(Preprocess(resize=256, crop=224), 3, 320, 320)
    assert how.resize == round(256 / 224 * 320)
    image = np.asarray(PHOTOS[0])
    assert how.pixels(image).shape == (320, 320, 3)
    wide = Preparation.of(Preprocess(resize=256, crop=224), 3, 224, 448).pixels(image)
    assert np.array_equal(wide, vision.resize(image, 224, 448, "crop", 0.875))


@pytest.mark.parametrize("size", SIZES)
def test_images_without_antialias_are_torch_s_and_tensorflow_s(size: tuple[int, int]) -> None:
    """Half-pixel centres, two neighbours: tf.image.resize, torch's interpolate."""
    image = np.asarray(PHOTOS[1].resize(size))
    how = Preparation.of(Preprocess(fit="stretch", antialias=False), 3, 96, 80)
    maps = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float()
    due = torch.nn.functional.interpolate(maps, (96, 80), mode="bilinear", align_corners=False)[0]
    assert np.abs(how.pixels(image).transpose(2, 0, 1) - due.numpy()).max() <= 0.51  # rounded


def test_keras_s_three_conventions() -> None:
    """imagenet_utils.preprocess_input of Keras, by its own formulas."""
    image = np.asarray(PHOTOS[0])[:32, :32]
    x, stretch = image.astype(np.float64), {"fit": "stretch", "antialias": False}
    caffe = x[..., ::-1] - [103.939, 116.779, 123.68]
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    for fields, due in (
        ({"order": "bgr", "range": 255, "mean": [103.939, 116.779, 123.68]}, caffe),
        ({"mean": [0.5] * 3, "std": [0.5] * 3}, x / 127.5 - 1),
        ({"mean": mean, "std": std}, (x / 255 - mean) / std),
    ):
        how = Preparation.of(Preprocess.model_validate({**stretch, **fields}), 3, 32, 32)
        assert np.allclose(how.batch(image)[0], due.transpose(2, 0, 1), atol=1e-4)
