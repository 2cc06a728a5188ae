"""Labelled images for training and evaluation, read with numpy and Pillow alone and checked before anything runs.

found = find("photos/", channels=3)                       what there is, not decoded yet
parts = divided(found, {"validation": 0.1, "test": 0.2}, seed=0)
loaded = load(found.name, parts, wanted, labels)          decoded, resized, in memory where it fits
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cnnspec.datasets import arrays, coco, digits, folders, idx, lists, masks, named, scenes, voc, yolo
from cnnspec.datasets.loading import Loaded as Loaded
from cnnspec.datasets.loading import load as load
from cnnspec.datasets.loading import must_have as must_have
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
"""Data that is built in."""

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

LISTS = (".csv", ".json")
"""Of files that are lists of images."""

LAYOUTS = f"{', '.join(FORMATS.values())} are read; --format says which is meant: {', '.join(FORMATS)}"


def find(
    target: str,
    channels: int,
    format: str | None = None,
    kinds: frozenset[str] = frozenset(),
    root: Path | None = None,
    download: bool = False,
) -> Found:
    """The data of a name or a path, for a network of so many channels.

    A path is that of a folder, or of the file of a list. `format`, one of `FORMATS`, says how a folder is read; None
    recognizes it. `kinds` are those of `Wanted`: they choose where there are labels of several kinds. Well-known data
    is looked for in the folder `root` (`named.ROOT` unless given), and downloaded into it where it lacks and
    `download`.

    Raises MissingError where it is not there, RunError where the layout is not known, UsageError for channels that
    images do not have, a format that is none, and options that go with other data. What is wrong inside is in
    `faults` of the result.
    """
    _options(target, format, root, download)
    if not is_path(target):
        if target in named.FILES:
            return named.find(target, root, download, kinds)
        if target in NAMES:
            return digits.find(channels) if target == "digits" else scenes.find(target, channels)
        raise _not_here(target)
    folder = Path(target)
    listed = folder.suffix.lower() in LISTS and folder.is_file()
    if folder.exists() and not folder.is_dir() and not listed:
        raise RunError(f"{shown(target)}: a file; the data is a folder, or a list in {' or '.join(LISTS)}", LAYOUTS)
    if listed and format not in (None, "list"):
        raise UsageError(f"--format {format} goes with a folder, {shown(target)} is a list")
    try:
        present = listed or folder.is_dir()
        if listed:
            return lists.read(folder, target)
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


def _options(target: str, format: str | None, root: Path | None, download: bool) -> None:
    """Raises UsageError for options that say nothing of this data."""
    if format is not None and format not in FORMATS:
        help = did_you_mean(format, FORMATS) or f"the formats are {', '.join(FORMATS)}"
        raise UsageError(f"there is no format '{shown(format)}'", help)
    if format is not None and not is_path(target):
        raise UsageError(f"--format goes with a folder, '{shown(target)}' is a name")
    if (root is not None or download) and target not in named.FILES:
        option = "--download" if download else "--data-root"
        known = ", ".join(named.FILES)
        raise UsageError(f"{option} goes with well-known data, '{shown(target)}' is none", f"the names are {known}")


def _not_here(name: str) -> MissingError:
    if Path(name).is_dir():
        return MissingError(f"there is no data named '{shown(name)}'", f"for the folder: --data ./{name}")
    names = (*NAMES, *named.FILES)
    help = did_you_mean(name, names) or f"the names are {', '.join(names)}; a path has a / in it"
    return MissingError(f"there is no data named '{shown(name)}'", help)
