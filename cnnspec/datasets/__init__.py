"""Labelled images for training and evaluation, read with numpy and Pillow alone and checked before anything runs.

found = find("photos/", channels=3)                       what there is, not decoded yet
parts = divided(found, {"validation": 0.1, "test": 0.2}, seed=0)
loaded = load(found.name, parts, wanted, labels)          decoded, resized, in memory where it fits
"""

from __future__ import annotations

from pathlib import Path

from cnnspec.datasets import arrays, digits, folders, idx, lists
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
from cnnspec.diagnostics import MissingError, RunError, did_you_mean

NAMES = ("digits",)
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

LAYOUTS = "class folders (also under train, val, test), labels.csv, IDX files, or images.npy and labels.npy are read"


def find(target: str, channels: int) -> Found:
    """The data of a name or a path, for a network of so many channels.

    Raises MissingError where it is not there, RunError where the layout is not known, UsageError for channels that
    images do not have. What is wrong inside is in `faults` of the result.
    """
    if not is_path(target):
        if target in NAMES:
            return digits.find(channels)
        raise _not_here(target)
    folder = Path(target)
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{shown(target)}: a file; the data is a folder", LAYOUTS)
    try:
        present = folder.is_dir()
        found = _in(folder) if present else None
    except OSError as error:
        raise MissingError(f"cannot read {shown(error.filename or target)}: {error.strerror}") from None
    if not present:
        raise MissingError(f"there is no folder {shown(target)}")
    if found is None:
        raise RunError(f"{shown(target)}: no data in a layout that is known", LAYOUTS)
    return found


def _in(folder: Path) -> Found | None:
    return idx.find(folder) or arrays.find(folder) or lists.find(folder) or folders.find(folder)


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
