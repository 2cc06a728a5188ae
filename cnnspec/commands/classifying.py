"""What `predict` says of classes, and the pictures and arrays it writes: annotated images, feature maps, filters."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnspec import durable, predicting, vision
from cnnspec.commands.common import answer, refuse_overwrite
from cnnspec.commands.seeing import image_names, make_folder, png
from cnnspec.datasets.sheet import sheet
from cnnspec.diagnostics import printable
from cnnspec.featuremaps import picture_of_filters, picture_of_maps

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
    rows, texts = [], []
    for one, path in zip(predicting.classify(network, files, asked.top_k, asked.batch), paths, strict=True):
        written = []
        if path is not None:
            make_folder(path.parent)
            durable.write(path, png(annotated(one)))
            written = [str(path)]
        rows.append({**asdict(one), "files": written})
        texts.append("\n".join([_text(one), *(printable(f"  wrote {path}") for path in written)]))
    texts += map(_wrote, about.get("features", ()))
    return answer("predict", json=json, data={**about, "images": rows}, text="\n".join(texts))


def annotated(one: Prediction) -> Image:
    """The image with its likeliest classes below."""
    from PIL import Image

    image = vision.load(one.image, 3)
    lines = "\n".join(f"{guess.probability:.1%} {guess.label}" for guess in one.top)
    return Image.fromarray(sheet([image], [lines], 1, min(SIDE, max(image.shape[:2]))))


def save_features(files: Sequence[str], nodes: Sequence[str], body: Any, asked: Asked, folder: Path) -> list[str]:
    """Write what nodes give for each image, and the filters of convolutions among them; gives the files.

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
    written = []

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
        called = [next(naming) for _ in some]
        batch = features.values(inner, how.normalize(np.stack([one.pixels for one in some])), nodes)
        for node, values in batch.items():
            for name, value in zip(called, values, strict=True):
                save(f"{name}.{node}", value, picture_of_maps(value) if value.ndim == 3 else None)
    for node, kernel in kernels.items():
        save(f"{node}.filters", kernel, picture_of_filters(kernel))
    return written


def answer_features(files: Sequence[str], about: Mapping[str, Any], json: bool) -> int:
    """Of a network that ranks no classes, the files alone."""
    data = {**about, "images": [{"image": file} for file in files]}
    return answer("predict", json=json, data=data, text="\n".join(map(_wrote, about["features"])))


def _wrote(path: str) -> str:
    return printable(f"wrote {path}")


def _text(one: Prediction) -> str:
    shape = f"{list(one.input)} -> {list(one.output)}"
    lines = [f"{one.image}  {one.size[0]} x {one.size[1]}, {shape} in {1000 * one.seconds:.1f} ms"]
    lines += [f"  {g.probability:7.2%}  {g.id + ' ' if g.id else ''}{g.label}" for g in one.top]
    return "\n".join(map(printable, lines))
