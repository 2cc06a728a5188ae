"""Labelled images for training and evaluation, read with numpy and Pillow alone and checked before anything runs.

found = find("photos/", channels=3)                       what there is, not decoded yet
parts = divided(found, {"validation": 0.1, "test": 0.2}, seed=0)
loaded = load(found.name, parts, wanted, labels)          decoded, resized, in memory where it fits
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cnnspec.datasets import arrays, coco, digits, folders, idx, lists, masks, scenes, voc, yolo
from cnnspec.datasets.loading import Loaded as Loaded
from cnnspec.datasets.loading import load as load
from cnnspec.datasets.parts import Boxes as Boxes
from cnnspec.datasets.parts import Found as Found
from cnnspec.datasets.parts import Raw as Raw
from cnnspec.datasets.parts import shown
from cnnspec.datasets.samples import Images as Images
from cnnspec.datasets.samples import Part as Part
from cnnspec.datasets.samples import Wanted as Wanted
from cnnspec.datasets.splitting import divided as divided
from cnnspec.datasets.splitting import split as split
from cnnspec.diagnostics import MissingError, RunError, UsageError, did_you_mean

NAMES = ("digits", *scenes.KINDS)
ELSEWHERE = {
    "mnist": "the four files *-ubyte.gz of MNIST",
    "fashion-mnist": "the four files *-ubyte.gz of Fashion-MNIST",
    "kmnist": "the four files *-ubyte.gz of Kuzushiji-MNIST",
    "cifar10": "the images of CIFAR-10 in class folders",
    "cifar100": "the images of CIFAR-100 in class folders",
    "flowers102": "the images of Flowers-102 in class folders",
    "imagenet": "the images of ImageNet in class folders under train/ and val/",
}
"""Well-known data that nothing of ours downloads, and what to put into a folder."""

FORMATS = {
    "idx": "train-images-idx3-ubyte and its labels",
    "npy": "images.npy and labels.npy",
    "list": "labels.csv or labels.json",
    "voc": "JPEGImages/ with Annotations/ or SegmentationClass/",
    "coco": "annotations/instances_train.json, or train/_annotations.coco.json",
    "yolo": "images/ and labels/",
    "masks": "images/ and masks/",
    "folders": "folders named by their class",
}
"""The layouts of folders that are read, in the order in which they are looked for, and what is in them."""

LAYOUTS = f"{', '.join(FORMATS.values())} are read; --format says which is meant: {', '.join(FORMATS)}"


def find(
    target: str,
    channels: int,
    format: str | None = None,
    kinds: frozenset[str] = frozenset(),
) -> Found:
    """The data of a name or a path, for a network of so many channels.

    `format`, one of `FORMATS`, says how a folder is read; None recognizes it. `kinds` are those of `Wanted`: they
    choose where a folder has labels of several kinds.

    Raises MissingError where it is not there, RunError where the layout is not known, UsageError for channels that
    images do not have and a format that is none. What is wrong inside is in `faults` of the result.
    """
    if format is not None and format not in FORMATS:
        help = did_you_mean(format, FORMATS) or f"the formats are {', '.join(FORMATS)}"
        raise UsageError(f"there is no format '{shown(format)}'", help)
    if not is_path(target):
        if target in NAMES:
            return digits.find(channels) if target == "digits" else scenes.find(target, channels)
        raise _not_here(target)
    folder = Path(target)
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{shown(target)}: a file; the data is a folder", LAYOUTS)
    try:
        present = folder.is_dir()
        found = _in(folder, format, kinds) if present else None
    except OSError as error:
        raise MissingError(f"cannot read {shown(error.filename or target)}: {error.strerror}") from None
    if not present:
        raise MissingError(f"there is no folder {shown(target)}")
    if found is None:
        if format is not None:
            raise RunError(f"{shown(target)}: no data in the format {format}", f"{FORMATS[format]} are looked for")
        raise RunError(f"{shown(target)}: no data in a layout that is known", LAYOUTS)
    return found


def _in(folder: Path, format: str | None, kinds: frozenset[str]) -> Found | None:
    readers: dict[str, Callable[[Path], Found | None]] = {
        "idx": idx.find,
        "npy": arrays.find,
        "list": lists.find,
        "voc": lambda folder: voc.find(folder, kinds),
        "coco": coco.find,
        "yolo": yolo.find,
        "masks": masks.find,
        "folders": folders.find,
    }
    for name in FORMATS if format is None else (format,):
        if (found := readers[name](folder)) is not None:
            return found
    return None


def is_path(target: str) -> bool:
    """Whether the text is a path: it has a separator or a suffix; else it is a name."""
    return "/" in target or "\\" in target or bool(Path(target).suffix) or target in (".", "..")


def _not_here(name: str) -> MissingError:
    if Path(name).is_dir():
        return MissingError(f"there is no data named '{shown(name)}'", f"for the folder: --data ./{name}")
    if what := ELSEWHERE.get(name):
        help = f"put {what} into a folder and name that: --data ./{name}"
        return MissingError(f"the data '{name}' is not part of cnnspec, and nothing is downloaded", help)
    help = did_you_mean(name, (*NAMES, *ELSEWHERE)) or f"the names are {', '.join(NAMES)}; a path has a / in it"
    return MissingError(f"there is no data named '{shown(name)}'", help)
