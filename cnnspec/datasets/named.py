"""Well-known data by name, in a folder as torchvision lays it out. Read by the layouts of this package where it has
one, else by torchvision through the torch backend; only the latter downloads, and only when it is asked to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from cnnspec.datasets import coco, folders, idx, voc
from cnnspec.datasets.digits import LABELS
from cnnspec.datasets.parts import Found, shown
from cnnspec.diagnostics import MissingError

ROOT = "data"
"""The folder that is looked into unless another is named."""

ADAPTER = "cnnspec_torch.named"

_IDX = "raw/train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte, or .gz"
FILES = {
    "mnist": f"MNIST/{_IDX}",
    "fashion-mnist": f"FashionMNIST/{_IDX}",
    "kmnist": f"KMNIST/{_IDX}",
    "cifar10": "cifar-10-batches-py/data_batch_1 to 5, test_batch and batches.meta",
    "cifar100": "cifar-100-python/train, test and meta",
    "svhn": "train_32x32.mat and test_32x32.mat",
    "stl10": "stl10_binary/train_X.bin, train_y.bin, test_X.bin and test_y.bin",
    "flowers102": "flowers-102/jpg, imagelabels.mat and setid.mat",
    "food101": "food-101/images and meta",
    "dtd": "dtd/dtd/images and labels",
    "eurosat": "eurosat/2750",
    "gtsrb": "gtsrb/GTSRB/Training, GTSRB/Final_Test and GT-final_test.csv",
    "imagenette": "imagenette2/train and val",
    "oxford-pets": "oxford-iiit-pet/images and annotations",
    "imagenet": "train and val, each with 1,000 class folders",
    "voc": "VOCdevkit/VOC2012/JPEGImages and Annotations or SegmentationClass",
    "coco": "annotations/instances_train2017.json and instances_val2017.json, train2017 and val2017",
}
"""The names, and what is looked for in the folder."""

_CLOTHES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
_KANA = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
_OBJECTS = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable",
    "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
"""The values of VOC's masks."""

_BY_HAND = {
    "imagenet": "image-net.org gives it out on request; unpack it into class folders",
    "coco": "unpack train2017.zip, val2017.zip and annotations_trainval2017.zip of cocodataset.org there",
}
"""Data that no program may or does fetch."""


def find(name: str, root: Path | None, download: bool, kinds: frozenset[str]) -> Found:
    """The data of a name in `FILES`.

    Raises MissingError where it is not there, naming what was looked for, or cannot be downloaded, or torchvision is
    needed and not there.
    """
    folder = root or Path(ROOT)
    reader = _READERS.get(name)
    if reader is not None:
        found = reader(folder, kinds)
        if found is None and download and name not in _BY_HAND:
            _adapter(name).fetch(name, folder)
            found = reader(folder, kinds)
    else:
        found = _adapter(name).find(name, folder, download, kinds)
    if found is None:
        help = _BY_HAND.get(name) or f"--data {name} --data-root {shown(folder)} --download gets it"
        raise MissingError(f"the data '{name}' is not in {shown(folder)}: looked for {FILES[name]}", help)
    return replace(found, name=name)


def _adapter(name: str) -> Any:
    """The torch backend's way to torchvision, imported when it is needed."""
    try:
        return import_module(ADAPTER)
    except ModuleNotFoundError as error:
        raise MissingError(f"the data '{name}' needs {error.name}", "pip install 'cnnspec[train]'") from None


def _idx(inside: str, labels: tuple[str, ...]) -> Callable[[Path, frozenset[str]], Found | None]:
    def reader(folder: Path, _: frozenset[str]) -> Found | None:
        found = idx.find(folder / inside) if (folder / inside).is_dir() else None
        return replace(found, labels=labels) if found else None

    return reader


def _voc(folder: Path, kinds: frozenset[str]) -> Found | None:
    found = voc.find(folder, kinds)
    known = found is not None and found.labels is None
    return replace(found, labels=_OBJECTS) if found is not None and known else found


def _coco(folder: Path, _: frozenset[str]) -> Found | None:
    return coco.find(folder)


def _imagenet(folder: Path, _: frozenset[str]) -> Found | None:
    """Class folders are named by WordNet's numbers; the order of these is that of the classes."""
    if not ((folder / "train").is_dir() and (folder / "val").is_dir()):
        return None
    found = folders.find(folder)
    return replace(found, labels=None) if found is not None else None


_READERS: dict[str, Callable[[Path, frozenset[str]], Found | None]] = {
    "mnist": _idx("MNIST", LABELS),
    "fashion-mnist": _idx("FashionMNIST", _CLOTHES),
    "kmnist": _idx("KMNIST", _KANA),
    "voc": _voc,
    "coco": _coco,
    "imagenet": _imagenet,
}
