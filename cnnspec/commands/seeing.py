"""What `predict` says, and writes, of a network that finds boxes or masks."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from cnnspec import dense, durable, vision
from cnnspec.commands.common import answer, diagnostics_of, refuse_overwrite, say
from cnnspec.datasets.parts import boxes_of
from cnnspec.diagnostics import UsageError, printable
from cnnspec.predicting import Unread

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cnnspec.evaluating import Classifier
    from cnnspec.vision import Pixels

GIVES = {"detect": "boxes", "segment": "masks", "locate": "one box"}
"""What a network gives by its head's kind."""
SHOWN = 20
"""Boxes of an image that are listed without --json."""


@dataclass(frozen=True)
class Looking:
    """What the command line asked for; None where it said nothing."""

    confidence: float | None
    overlap: float | None
    save: Path | None
    force: bool


def answer_with(
    network: dense.Network, files: Sequence[str], asked: Looking, about: Mapping[str, Any], json: bool
) -> int:
    """Look at every image, write what is to be saved, and answer.

    Raises UsageError for what a model has settled otherwise and for files that are there already, and what
    `cnnspec.dense.look` raises.
    """
    _check_settled(network, asked)
    endings = ("", "-mask") if network.kind == "segment" else ("",)
    written: list[list[Path]] = [[] for _ in files]
    if (folder := asked.save) is not None:
        written = [[folder / f"{name}{end}.png" for end in endings] for name in image_names(files, endings)]
    for path in (path for paths in written for path in paths):
        refuse_overwrite(path, asked.force)
    confidence = dense.CONFIDENCE if asked.confidence is None else asked.confidence
    rows: list[dict[str, Any]] = []
    texts, unread = [], []
    overlap = dense.OVERLAP if asked.overlap is None else asked.overlap
    for one, paths in zip(dense.look(network, files, confidence, overlap), written, strict=True):
        if isinstance(one, Unread):
            rows.append(as_row(one))
            unread.append(one)
            continue
        if paths:
            _save(network, one, paths)
        rows.append({**one.as_dict(), "files": [str(path) for path in paths]})
        texts.append(_text(rows[-1]))
    return answer_images({**about, "kind": network.kind, "images": rows}, texts, unread, json)


def as_row(one: Unread) -> dict[str, Any]:
    """An image that could not be read, as JSON has it."""
    return {"image": one.image, "error": one.error.message}


def answer_images(data: Mapping[str, Any], texts: Sequence[str], unread: Sequence[Unread], json: bool) -> int:
    """The answer, and on stderr the images that could not be read; the exit code is theirs, the highest of several."""
    for one in () if json else unread:
        say(str(one.error))
    found = [fault for one in unread for fault in diagnostics_of(one.error)]
    answer("predict", json=json, data=data, text="\n".join(texts), diagnostics=found, ok=not unread)
    return max((one.error.exit_code for one in unread), default=0)


def check_choice(name: str, network: dense.Network | Classifier | None, top_k: int | None, boxes: bool) -> None:
    """Raises UsageError for `top_k`, or options for `boxes`, where the network gives no such thing to choose from."""
    gives = "classes" if network is not None else "the values of nodes"
    gives = GIVES[network.kind] if isinstance(network, dense.Network) else gives
    if boxes and gives != "boxes":
        raise UsageError(f"--confidence and --overlap are for boxes to choose from; {name} gives {gives}")
    if top_k is not None and gives != "classes":
        raise UsageError(f"--top-k is for classes to rank; {name} gives {gives}")


def _check_settled(network: dense.Network, asked: Looking) -> None:
    """Raises UsageError for what a model that suppresses boxes itself can no longer give."""
    if not network.suppressed:
        return
    if asked.overlap is not None:
        at = "" if network.overlap is None else f" at {network.overlap}"
        raise UsageError(f"--overlap was settled{at} when the model was written with --nms")
    if asked.confidence is not None and network.confidence is not None and asked.confidence < network.confidence:
        settled = f"{network.confidence}, settled when the model was written with --nms"
        help = f"compile it again with --nms --confidence {asked.confidence}"
        raise UsageError(f"--confidence {asked.confidence} is below {settled}", help)


def image_names(files: Sequence[str], endings: Sequence[str] = ("",)) -> list[str]:
    """A name for each image's files, which end so: the image's own, with a number where two would be written alike."""
    stems = [Path(file).stem for file in files]
    alike = Counter(stems)
    names: list[str] = []
    taken: set[str] = set()
    for number, stem in enumerate(stems, 1):
        tries = chain([stem] if alike[stem] == 1 else [], (f"{stem}-{n}" for n in count(number)))
        names.append(next(name for name in tries if taken.isdisjoint(name + end for end in endings)))
        taken.update(names[-1] + end for end in endings)
    return names


def _save(network: dense.Network, one: dense.Seen, paths: Sequence[Path]) -> None:
    """The picture, and of a mask its classes as an image of a palette."""
    make_folder(paths[0].parent)
    image = vision.load(one.image, 3)
    durable.write(paths[0], png(Image.fromarray(picture(network, one, image))))
    if one.mask is not None:
        durable.write(paths[1], png(_indexed(one.mask, len(network.labels))))


def make_folder(folder: Path) -> None:
    """Raises UsageError where it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make the folder {folder}: {error.strerror}") from None


def picture(network: dense.Network, one: dense.Seen, image: Pixels) -> Pixels:
    """The image with boxes, or with its mask laid over it."""
    from cnnspec.datasets.colours import colours
    from cnnspec.datasets.sheet import draw_boxes, overlay

    if one.mask is not None:
        return overlay(image, one.mask, colours(len(network.labels)))
    there = one.boxes or []
    drawn = boxes_of([box.number for box in there], [box.corners for box in there])
    return draw_boxes(image, drawn, network.labels or ("",), [box.score for box in there])


def _indexed(mask: NDArray[np.uint8], classes: int) -> Image.Image:
    from cnnspec.datasets.colours import colours

    image = Image.fromarray(mask)
    image.putpalette(colours(classes).tobytes())
    return image


def png(image: Image.Image) -> bytes:
    data = io.BytesIO()
    image.save(data, "PNG")
    return data.getvalue()


def _text(one: Mapping[str, Any]) -> str:
    (width, height), shape = one["size"], list(one["input"])
    lines = [f"{one['image']}  {width} x {height}, {shape} in {1000 * one['seconds']:.1f} ms"]
    for box in one.get("boxes", [])[:SHOWN]:
        x1, y1, x2, y2 = box["corners"]
        lines.append(f"  {box['score']:7.2%}  {box['label']}  {x1:.0f},{y1:.0f} to {x2:.0f},{y2:.0f}")
    if (more := len(one.get("boxes", [])) - SHOWN) > 0:
        lines.append(f"  ... and {more} more")
    lines += [f"  {area['share']:7.2%}  {area['label']}" for area in one.get("areas", [])]
    if "boxes" in one and not one["boxes"]:
        lines.append("  nothing above the confidence")
    lines += [f"  wrote {path}" for path in one["files"]]
    return "\n".join(map(printable, lines))
