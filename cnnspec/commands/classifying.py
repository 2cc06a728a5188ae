"""What `predict` says of classes, and the pictures and arrays it writes: annotated images, feature maps, filters."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnspec import durable, predicting, vision
from cnnspec.commands.common import refuse_overwrite
from cnnspec.commands.seeing import answer_images, as_row, image_names, make_folder, png
from cnnspec.datasets.sheet import sheet
from cnnspec.diagnostics import printable
from cnnspec.featuremaps import picture_of_filters, picture_of_maps
from cnnspec.predicting import Picture, Unread

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

    from cnnspec.evaluating import Classifier
    from cnnspec.predicting import Prediction, Preparation

SIDE = 640
"""The largest side of an annotated picture."""


@dataclass(frozen=True)
class Asked:
    """What the command line asked for."""

    top_k: int
    batch: int
    save: Path | None
    force: bool


def answer_with(network: Classifier, files: Sequence[str], asked: Asked, about: Mapping[str, Any], json: bool) -> int:
    """Rank every image's classes, write annotated pictures where they are to be saved, and answer.

    Raises UsageError for files that are there already.
    """
    paths: list[Path | None] = [None] * len(files)
    if (folder := asked.save) is not None:
        paths = [folder / f"{name}.png" for name in image_names(files)]
    for there in filter(None, paths):
        refuse_overwrite(there, asked.force)
    rows: list[dict[str, Any]] = []
    texts, unread = [], []
    for one, path in zip(predicting.classify(network, files, asked.top_k, asked.batch), paths, strict=True):
        if isinstance(one, Unread):
            rows.append(as_row(one))
            unread.append(one)
            continue
        written = []
        if path is not None:
            make_folder(path.parent)
            durable.write(path, png(annotated(one)))
            written = [str(path)]
        rows.append({**asdict(one), "files": written})
        texts.append("\n".join([_text(one), *(printable(f"  wrote {path}") for path in written)]))
    texts += map(_wrote, about.get("features", ()))
    return answer_images({**about, "images": rows}, texts, unread, json)


def annotated(one: Prediction) -> Image:
    """The image with its likeliest classes below."""
    from PIL import Image

    image = vision.load(one.image, 3)
    lines = "\n".join(f"{guess.probability:.1%} {guess.label}" for guess in one.top)
    return Image.fromarray(sheet([image], [lines], 1, min(SIDE, max(image.shape[:2]))))


def save_features(
    files: Sequence[str], nodes: Sequence[str], body: Any, asked: Asked, folder: Path
) -> tuple[list[str], list[Unread]]:
    """Write what nodes give for each image, and the filters of convolutions among them; gives the files, and the images
    that could not be read.

    `body` is a cnnspec_torch.prediction.Body, or a Predictor. Raises UsageError for an unknown node and for files that
    are there.
    """
    from PIL import Image

    from cnnspec_torch import features

    how: Preparation = body.preparation
    inner = features.network(body.graph, body.module, nodes)
    names = image_names(files)
    kernels = {node: found for node in nodes if (found := features.filters(body.graph, body.module, node)) is not None}
    stems = [f"{name}.{node}" for name in names for node in nodes] + [f"{node}.filters" for node in kernels]
    for stem in stems:
        refuse_overwrite(folder / f"{stem}.npy", asked.force)
        refuse_overwrite(folder / f"{stem}.png", asked.force)
    make_folder(folder)
    written: list[str] = []
    unread: list[Unread] = []

    def save(stem: str, array: NDArray[np.float32], picture: NDArray[np.uint8] | None) -> None:
        data = io.BytesIO()
        np.save(data, array)
        durable.write(folder / f"{stem}.npy", data.getvalue())
        written.append(str(folder / f"{stem}.npy"))
        if picture is not None:
            durable.write(folder / f"{stem}.png", png(Image.fromarray(picture)))
            written.append(str(folder / f"{stem}.png"))

    naming = iter(names)
    for some in predicting.pictures(files, how, asked.batch):
        both = [(one, next(naming)) for one in some]
        unread += [one for one in some if isinstance(one, Unread)]
        there = {name: one.pixels for one, name in both if isinstance(one, Picture)}
        if not there:
            continue
        batch = features.values(inner, how.normalize(np.stack(list(there.values()))), nodes)
        for node, values in batch.items():
            for name, value in zip(there, values, strict=True):
                save(f"{name}.{node}", value, picture_of_maps(value) if value.ndim == 3 else None)
    for node, kernel in kernels.items():
        save(f"{node}.filters", kernel, picture_of_filters(kernel))
    return written, unread


def answer_features(files: Sequence[str], about: Mapping[str, Any], unread: Sequence[Unread], json: bool) -> int:
    """Of a network that ranks no classes, the files alone."""
    bad = {one.image: one for one in unread}
    rows = [as_row(bad[file]) if file in bad else {"image": file} for file in files]
    return answer_images({**about, "images": rows}, [*map(_wrote, about["features"])], unread, json)


def _wrote(path: str) -> str:
    return printable(f"wrote {path}")


def _text(one: Prediction) -> str:
    shape = f"{list(one.input)} -> {list(one.output)}"
    lines = [f"{one.image}  {one.size[0]} x {one.size[1]}, {shape} in {1000 * one.seconds:.1f} ms"]
    lines += [f"  {g.probability:7.2%}  {g.id + ' ' if g.id else ''}{g.label}" for g in one.top]
    return "\n".join(map(printable, lines))
