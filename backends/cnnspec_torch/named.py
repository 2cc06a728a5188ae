"""Data that torchvision knows: where it is, how it is downloaded, what its samples are.

`cnnspec.datasets.named` reaches this module when a name needs it.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torchvision import datasets as peer

from cnnspec import vision
from cnnspec.datasets import masks
from cnnspec.datasets.parts import VOID, WHOLE, Found, Raw, shown
from cnnspec.datasets.rows import as_channels
from cnnspec.diagnostics import MissingError

Samples = tuple[Sequence[str | Path] | NDArray[np.uint8], Sequence[int]]
"""Files of images, or uint8 [n, h, w, 3]; and their classes."""


@dataclass(frozen=True)
class Known:
    """One data set: torchvision's class for it, the arguments for each of its parts, and where its samples are."""

    made: Callable[..., Any]
    parts: Mapping[str, Mapping[str, Any]]
    samples: Callable[[Any], Samples]


def _split(*names: str) -> dict[str, dict[str, Any]]:
    words = {"train": "train", "trainval": "train", "val": "validation", "test": "test"}
    return {words[name]: {"split": name} for name in names}


def _files(one: Any) -> Samples:
    return one._image_files, one._labels


def _planes(one: Any) -> Samples:
    return np.moveaxis(one.data, 1, -1), one.labels


def _pairs(one: Any) -> Samples:
    return [path for path, _ in one._samples], [label for _, label in one._samples]


_BATCHES = {"train": {"train": True}, "test": {"train": False}}

SETS = {
    "cifar10": Known(peer.CIFAR10, _BATCHES, lambda one: (one.data, one.targets)),
    "cifar100": Known(peer.CIFAR100, _BATCHES, lambda one: (one.data, one.targets)),
    "svhn": Known(peer.SVHN, _split("train", "test"), _planes),
    "stl10": Known(peer.STL10, _split("train", "test"), _planes),
    "flowers102": Known(peer.Flowers102, _split("train", "val", "test"), _files),
    "food101": Known(peer.Food101, _split("train", "test"), _files),
    "dtd": Known(peer.DTD, _split("train", "val", "test"), _files),
    "eurosat": Known(peer.EuroSAT, {WHOLE: {}}, lambda one: ([path for path, _ in one.samples], one.targets)),
    "gtsrb": Known(peer.GTSRB, _split("train", "test"), _pairs),
    "imagenette": Known(peer.Imagenette, _split("train", "val"), _pairs),
    "oxford-pets": Known(peer.OxfordIIITPet, _split("trainval", "test"), lambda one: (one._images, one._labels)),
}

FETCHED: dict[str, Callable[[str], Any]] = {
    "mnist": lambda root: peer.MNIST(root, download=True),
    "fashion-mnist": lambda root: peer.FashionMNIST(root, download=True),
    "kmnist": lambda root: peer.KMNIST(root, download=True),
    "voc": lambda root: peer.VOCDetection(root, year="2012", image_set="trainval", download=True),
}
"""Data that is read without torchvision, once it is there."""


def find(name: str, root: Path, download: bool, kinds: frozenset[str]) -> Found | None:
    """The data of a name in `SETS`; None where it is not in the folder, whole and as it was published.

    Raises MissingError where it cannot be downloaded.
    """
    known = SETS[name]
    parts: dict[str, Raw] = {}
    masked = name == "oxford-pets" and "masks" in kinds
    labels: Sequence[str] = ("background", "pet") if masked else ()
    for part, given in known.parts.items():
        if download:
            one = _downloaded(name, root, partial(known.made, str(root), download=True, **given))
        else:
            try:
                one = known.made(str(root), **given)
            except (RuntimeError, FileNotFoundError):  # torchvision's words for what is not there, or has another hash
                return None
        parts[part] = _masked(one) if masked else _raw(name, part, known.samples(one))
        labels = labels or [_word(label) for label in getattr(one, "classes", ())]
    return Found(name, parts, tuple(labels) or None)


def fetch(name: str, root: Path) -> None:
    """Downloads data of `FETCHED`. Raises MissingError where it cannot."""
    _downloaded(name, root, lambda: FETCHED[name](str(root)))


def _downloaded(name: str, root: Path, make: Callable[[], Any]) -> Any:
    before = _folders(root)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return make()
    except (OSError, RuntimeError) as error:
        for folder in sorted(_folders(root) - before, reverse=True):  # what is deeper comes first
            with contextlib.suppress(OSError):  # one that holds a part of the data stays
                folder.rmdir()
        raise MissingError(f"cannot download the data '{name}': {shown(' '.join(str(error).split()))}") from None


def _folders(root: Path) -> set[Path]:
    """The folder, what it stands in, and what is in it."""
    inside = (Path(at) for at, _, _ in os.walk(root))
    return {folder for folder in (*root.parents, *inside) if folder.is_dir()}


def _word(label: str | Sequence[str]) -> str:
    """A class's name; of several (Imagenette has them) the first."""
    return label if isinstance(label, str) else label[0]


def _raw(name: str, part: str, samples: Samples) -> Raw:
    images, labels = samples
    classes: NDArray[np.int64] = np.asarray(labels, np.int64)
    if isinstance(images, np.ndarray):
        pixels = images
        place = f"{name}/{part}"
        return Raw(
            len(classes),
            lambda i, channels: as_channels(np.ascontiguousarray(pixels[i]), channels),
            lambda i: f"{place}[{i}]",
            lambda i: f"{place}[{i}]",
            classes,
        )
    paths = [Path(path) for path in images]

    def where(position: int) -> str:
        return shown(paths[position])

    return Raw(len(classes), lambda i, channels: vision.load(paths[i], channels), where, where, classes)


def _masked(one: Any) -> Raw:
    """Oxford-IIIT Pet's trimaps: 1 is the pet, 2 what is around it, 3 the edge between them, void here."""
    table = np.arange(256, dtype=np.uint8)
    table[[0, 1, 2, 3]] = VOID, 1, 0, VOID
    return masks.raw(one._images, one._segs, table)
