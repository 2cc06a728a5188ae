"""From image files to boxes and masks, whatever backend runs the network between."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnspec import boxes, vision
from cnnspec.datasets.parts import VOID
from cnnspec.diagnostics import RunError, UsageError
from cnnspec.grids import MOST, Detections, Grids, decode, detections, grids_of
from cnnspec.masks import legal, resized
from cnnspec.predicting import Unread, read
from cnnspec.tensor import Dim

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cnnspec.graph import Graph
    from cnnspec.predicting import Preparation
    from cnnspec.vision import Floats, Pixels

    Region = tuple[int, int, int, int]
    Run = Callable[[Pixels], Mapping[str, NDArray[Any]]]

CONFIDENCE, OVERLAP = 0.25, 0.5
"""What boxes must exceed to be shown, and by how much they may overlap a better one of their class."""

DENSE = ("detect", "segment")


@dataclass(frozen=True)
class Network:
    """A network with one head that looks at places. `run` takes pixels [n, h, w, c] of a legal size and gives the
    outputs by name; `suppressed` where these are boxes already, as cnnspec_onnx.suppressing writes them, with scores
    above `confidence` that do not overlap more than `overlap`; None where that is not known."""

    graph: Graph
    head: str
    labels: tuple[str, ...]
    preparation: Preparation
    run: Run
    suppressed: bool = False
    confidence: float | None = None
    overlap: float | None = None

    @property
    def kind(self) -> str:
        return self.graph.heads[self.head].kind


@dataclass(frozen=True)
class Box:
    """One thing found: its class, its score from 0 to 1, and x1, y1, x2, y2 in pixels of the image."""

    number: int
    label: str
    score: float
    corners: tuple[float, float, float, float]


@dataclass(frozen=True)
class Area:
    """One class of a mask and the part of the image that it covers."""

    number: int
    label: str
    share: float


@dataclass(frozen=True)
class Seen:
    """What one image gave; `seconds` is the network's time alone. `mask` is uint8 [h, w] of the image's size."""

    image: str
    size: tuple[int, int]
    input: tuple[int, ...]
    seconds: float
    boxes: list[Box] | None = None
    areas: list[Area] | None = None
    mask: NDArray[np.uint8] | None = field(default=None, repr=False, compare=False)

    def as_dict(self) -> dict[str, Any]:
        """All but the mask itself, as JSON has it."""
        rows = {"boxes": self.boxes, "areas": self.areas}
        found = {name: [dict(vars(row)) for row in some] for name, some in rows.items() if some is not None}
        return {"image": self.image, "size": self.size, "input": self.input, "seconds": self.seconds, **found}


def dense_head(graph: Graph) -> str | None:
    """The one head of boxes or masks; None where there is none, or the network classifies as well. A head of one box is
    one where there is no other, its class being what a head beside it says.

    Raises UsageError where there are several.
    """
    there = graph.inference().heads
    heads = [name for name, head in there.items() if head.kind in DENSE]
    classes = [name for name, head in there.items() if head.kind == "classify"]
    if not heads and len(classes) < 2:
        heads = [name for name, head in there.items() if head.kind == "locate"]
    elif classes:
        return None
    if not heads:
        return None
    if len(heads) > 1:
        raise UsageError(f"{graph.name} has the heads {', '.join(heads)}; one of boxes or masks is wanted")
    return heads[0]


def naming(graph: Graph, head: str) -> str:
    """The head whose classes name what a head finds: of one box the one beside it that classifies, where there is."""
    there = graph.inference().heads
    if there[head].kind != "locate":
        return head
    return next((name for name, one in there.items() if one.kind == "classify"), head)


def classes_of(graph: Graph, head: str) -> int:
    """How many classes a head tells apart. Raises UsageError as `cnnspec.grids.grids_of`."""
    if graph.heads[head].kind == "detect":
        return grids_of(graph, head).classes
    head = naming(graph, head)
    if graph.heads[head].kind == "locate":
        return 0
    nodes = {output.name: output.node for output in graph.outputs}
    return graph.nodes[nodes[graph.heads[head].of[0]]].type.channels


def look(
    network: Network, paths: Sequence[str], confidence: float = CONFIDENCE, overlap: float = OVERLAP
) -> Iterator[Seen | Unread]:
    """What the network sees in each image file, in turn. Raises RunError for outputs that are not finite."""
    for path in paths:
        image = read(path, network.preparation.channels)
        if isinstance(image, Unread):
            yield image
        elif network.kind == "detect":
            yield _boxes(network, path, image, confidence, overlap)
        elif network.kind == "locate":
            yield _box(network, path, image)
        else:
            yield _mask(network, path, image)


def _boxes(network: Network, path: str, image: Pixels, confidence: float, overlap: float) -> Seen:
    found, shape, seconds = detect(network, image, path, confidence, overlap)
    rows = zip(found.classes.tolist(), found.scores.tolist(), found.corners.tolist(), strict=True)
    listed = [Box(number, network.labels[number], score, tuple(four)) for number, score, four in rows]
    return Seen(path, (image.shape[1], image.shape[0]), shape, seconds, boxes=listed)


def _box(network: Network, path: str, image: Pixels) -> Seen:
    """The one box, with the likeliest class of the head that names it."""
    how, size = network.preparation, (image.shape[1], image.shape[0])
    outputs, seconds = _timed(network, path, how.pixels(image))
    corners = located(outputs[network.graph.heads[network.head].of[0]][0], how)
    (four,) = boxes.placed(size, how.height, how.width, how.fit).back(corners).tolist()
    number, label, score = 0, "", 1.0
    if (head := network.graph.heads[naming(network.graph, network.head)]).kind == "classify":
        (scores,) = outputs[head.of[0]]
        ((number, score),) = vision.top_k(vision.softmax(-scores if head.lowest else scores), 1)
        label = network.labels[number]
    shape = (1, how.channels, how.height, how.width)
    return Seen(path, size, shape, seconds, boxes=[Box(number, label, score, tuple(four))])


def located(numbers: Floats, how: Preparation) -> Floats:
    """Corners [1, 4] in pixels of the input, of centre x, centre y and the roots of width and height in parts of it."""
    centre = np.concatenate([numbers[:2], np.maximum(numbers[2:], 0) ** 2])[None]
    corners: Floats = boxes.to_corners(centre) * np.asarray([how.width, how.height] * 2, centre.dtype)
    return corners


def detect(
    network: Network, image: Pixels, where: str, confidence: float, overlap: float
) -> tuple[Detections, tuple[int, ...], float]:
    """What is found in an image [h, w, c] as it was loaded, in its pixels; the input's shape; the network's seconds.

    Raises RunError, naming `where`, for outputs that are not finite.
    """
    how = network.preparation
    outputs, seconds = _timed(network, where, how.pixels(image))
    if network.suppressed:
        there = outputs["scores"] > confidence
        found = Detections(outputs["boxes"][there], outputs["scores"][there], outputs["classes"][there])
    else:
        found = best(outputs, grids_of(network.graph, network.head), confidence, overlap)[0]
    corners = boxes.placed((image.shape[1], image.shape[0]), how.height, how.width, how.fit).back(found.corners)
    return replace(found, corners=corners), (1, how.channels, how.height, how.width), seconds


def best(outputs: Mapping[str, Floats], head: Grids, confidence: float, overlap: float) -> list[Detections]:
    """The detections of each image of a batch, in pixels of the input."""
    corners, scores = decode(outputs, head)
    return [detections(*both, confidence, overlap, MOST) for both in zip(corners, scores, strict=True)]


def _mask(network: Network, path: str, image: Pixels) -> Seen:
    mask, shape, seconds = segment(network, image, path)
    count = np.bincount(mask.ravel(), minlength=len(network.labels)) / mask.size
    areas = [Area(int(n), network.labels[n], float(count[n])) for n in np.argsort(-count, kind="stable") if count[n]]
    return Seen(path, (image.shape[1], image.shape[0]), shape, seconds, areas=areas, mask=mask)


def segment(network: Network, image: Pixels, where: str) -> tuple[NDArray[np.uint8], tuple[int, ...], float]:
    """The mask [h, w] of an image [h, w, c] as it was loaded; the input's shape; the network's seconds.

    Raises as `fitted`; RunError, naming `where`, for outputs that are not finite.
    """
    if len(network.labels) > VOID:
        raise UsageError(f"masks hold up to {VOID} classes, {network.graph.name} has {len(network.labels)}")
    pixels, region = fitted(network, image)
    outputs, seconds = _timed(network, where, pixels)
    (scores,) = outputs[network.graph.heads[network.head].of[0]]
    mask = mask_of(scores, (pixels.shape[0], pixels.shape[1]), region, (image.shape[1], image.shape[0]))
    return mask, (1, pixels.shape[2], *pixels.shape[:2]), seconds


def fitted(network: Network, image: Pixels) -> tuple[Pixels, Region]:
    """The image as a network of masks takes it, and where it lies in that.

    Where the input's sizes are free an image keeps its own; the mean colour is put beside and below it up to the next
    legal size. Else it is brought to the input's size as the network's images are. Raises UsageError where that shows
    a part of the image alone, or is too large.
    """
    graph, how = network.graph, network.preparation
    spatial, (height, width) = graph.nodes[graph.inputs[0]].type.spatial, image.shape[:2]
    if not all(isinstance(size, Dim) for size in spatial):
        if how.fit == "crop":
            raise UsageError(f"{graph.name} sees a part of an image alone: masks want stretch or letterbox")
        whole = (0, 0, how.width, how.height)
        return how.pixels(image), boxes.letterbox((width, height), *whole[:1:-1]) if how.fit != "stretch" else whole
    rows, columns = (legal(size, n, graph.bounds) for size, n in zip(spatial, (height, width), strict=True))
    if rows * columns > vision.PIXELS:
        raise UsageError(f"{graph.name} would take {rows} x {columns} pixels, the limit is {vision.PIXELS}")
    mean = np.asarray(how.mean if how.order == "rgb" else how.mean[::-1]) * (255 / how.range)
    padded = np.broadcast_to(np.rint(mean).clip(0, 255).astype(np.uint8), (rows, columns, image.shape[2])).copy()
    padded[:height, :width] = image
    return padded, (0, 0, width, height)


def mask_of(scores: Floats, size: tuple[int, int], region: Region, image: tuple[int, int]) -> NDArray[np.uint8]:
    """The likeliest class [h, w] of each pixel of an image, of equals the first, of scores [classes, rows, columns].

    Scores are brought to the size of the input [h, w], the image's region is cut out and brought to that of the image,
    [w, h].
    """
    left, top, width, height = region
    if (height, width) != size:
        scores = resized(scores, *size)[:, top : top + height, left : left + width]
    mask: NDArray[np.uint8] = resized(scores, image[1], image[0]).argmax(axis=0).astype(np.uint8)
    return mask


def _timed(network: Network, path: str, pixels: Pixels) -> tuple[Mapping[str, NDArray[Any]], float]:
    start = time.perf_counter()
    outputs = network.run(pixels[None])
    seconds = time.perf_counter() - start
    if not all(np.isfinite(value).all() for value in outputs.values()):
        raise RunError(f"{path}: the network gives scores that are not finite: its weights are broken")
    return outputs, seconds
