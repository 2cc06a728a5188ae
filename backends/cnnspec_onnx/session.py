"""ONNX files of ours run by onnxruntime, with numpy and Pillow alone: no torch, no spec at hand."""

from __future__ import annotations

import atexit
import os
import re
import sys
import threading
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import onnxruntime
from pydantic import BaseModel, ConfigDict, Field, Json, ValidationError

from cnnspec import limits
from cnnspec.diagnostics import MissingError, RunError, UsageError, printable
from cnnspec.predicting import Prediction, Preparation, likeliest
from cnnspec.published import Preprocess
from cnnspec.vision import PIXELS

if TYPE_CHECKING:
    from cnnspec.vision import Floats, Pixels

KINDS = {"tensor(float)": np.float32, "tensor(uint8)": np.uint8}


class CardHead(BaseModel):
    """How outputs are read, as cnnspec.graph.Head has it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: str
    of: Annotated[list[str], Field(min_length=1)]
    labels: list[Annotated[str, Field(max_length=1000)]] | None
    lowest: bool


class Card(BaseModel):
    """What a model says of itself; cnnspec_onnx.model writes it."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    spec: Annotated[str, Field(max_length=limits.FILE_BYTES)]
    hash: str
    heads: Json[dict[str, CardHead]]
    bounds: Json[dict[str, int]]
    typical: Json[dict[str, int]]
    preprocess: Json[Preprocess] | None = None
    suppressed: str | None = None
    """The head in whose place the model gives its detections."""
    confidence: Annotated[float, Field(ge=0, le=1)] | None = None
    overlap: Annotated[float, Field(ge=0, le=1)] | None = None
    """What boxes exceed that it gives, and what they may overlap by; files written before do not say it."""


class Session:
    """One model, ready to run: of a file, or `model` itself, which is called by `path`.

    Raises MissingError where there is no file, RunError where it is no model of ours.
    """

    def __init__(self, path: str | Path, model: bytes | None = None) -> None:
        self.path = path
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # what goes wrong is raised
        if model is None and not Path(path).is_file():
            raise MissingError(f"{path} is a folder" if Path(path).is_dir() else f"there is no file {path}")
        try:
            self._session = _interruptible(
                lambda: onnxruntime.InferenceSession(model or str(path), options, providers=["CPUExecutionProvider"])
            )
        except Exception as error:  # its classes share no base of their own
            reason = printable(str(error).partition("\n")[0])
            raise RunError(f"{path}: onnxruntime cannot load it: {reason}") from None
        meta = self._session.get_modelmeta()
        self.name = meta.graph_name
        found = {k.removeprefix("cnnspec."): v for k, v in meta.custom_metadata_map.items() if k.startswith("cnnspec.")}
        try:
            self.card = Card.model_validate(found)
        except ValidationError as error:
            what = ".".join(map(str, error.errors()[0]["loc"]))
            raise RunError(
                f"{path}: the metadata lack 'cnnspec.{what}', or hold something else there",
                "only models that cnnspec compile --target onnx wrote say what their images need",
            ) from None

    def __call__(self, **inputs: Any) -> dict[str, Any]:
        """The outputs by name, as arrays, of arrays by the inputs' names.

        Raises UsageError where an input is missing or its sizes are not what the model declares.
        """
        sizes: dict[str, int] = {}
        feeds = {}
        for declared in self._session.get_inputs():
            if declared.name not in inputs:
                wanted = ", ".join(one.name for one in self._session.get_inputs())
                raise UsageError(f"{self.name} wants the inputs {wanted}; '{declared.name}' is missing")
            if declared.type not in KINDS:
                raise RunError(f"{self.path}: {declared.name} is a {declared.type}, neither float nor uint8")
            array = np.asarray(inputs[declared.name], KINDS[declared.type])
            self._fit(declared, array.shape, sizes)
            feeds[declared.name] = array
        names = [output.name for output in self._session.get_outputs()]
        options = onnxruntime.RunOptions()
        try:
            found = _interruptible(lambda: self._session.run(names, feeds, options), options)
        except Exception as error:  # its classes share no base of their own
            reason = printable(str(error).partition("\n")[0])
            raise RunError(f"{self.path}: onnxruntime cannot run it: {reason}") from None
        return dict(zip(names, found, strict=True))

    def _fit(self, declared: Any, shape: tuple[int, ...], sizes: dict[str, int]) -> None:
        """Check a shape against a declaration as [N, 3, 32*h, 32*w]; `sizes` collects the symbols' values."""
        wanted = f"{declared.name} is [{', '.join(map(str, declared.shape))}]"
        if len(shape) != len(declared.shape):
            raise UsageError(f"{wanted}, got {list(shape)}")
        for size, given in zip(declared.shape, shape, strict=True):
            if isinstance(size, int):
                fits, symbol = size == given, ""
            else:
                factor, symbol, offset = affine(size)
                value, rest = divmod(given - offset, factor)
                least = self.card.bounds.get(symbol, 1)
                fits = rest == 0 and value >= least and sizes.setdefault(symbol, value) == value
            if not fits:
                bound = f" with {symbol} >= {self.card.bounds.get(symbol, 1)}" if symbol else ""
                raise UsageError(f"{wanted}{bound}, got {list(shape)}")

    @property
    def is_dense(self) -> bool:
        """Whether it finds boxes or masks, and no classes but that of its one box."""
        kinds = [head.kind for head in self.card.heads.values()]
        if {"detect", "segment"} & {*kinds}:
            return "classify" not in kinds
        return "locate" in kinds and kinds.count("classify") < 2

    @cached_property
    def head(self) -> tuple[str, CardHead]:
        """The one head that classifies. Raises UsageError where there is none or several."""
        heads = [(name, head) for name, head in self.card.heads.items() if head.kind == "classify"]
        if len(heads) != 1:
            raise UsageError(f"{self.name} has {len(heads)} classify heads, one is wanted")
        return heads[0]

    @cached_property
    def preparation(self) -> Preparation:
        """How its images are brought to its size. Raises UsageError for a model that does not take one image."""
        declared = self._session.get_inputs()
        card = self.card
        if any("." in one.name for one in declared):
            raise UsageError(f"{self.path} was written without weights: they are inputs")
        if len(declared) != 1 or len(declared[0].shape) != 4 or card.preprocess is None:
            raise UsageError(f"{self.name} does not take one image: call the session with arrays")
        shape = [size if isinstance(size, int) else self._typical(size) for size in declared[0].shape]
        channels, height, width = [shape[3], *shape[1:3]] if self.raw else shape[1:]
        if min(height, width) < 1 or height * width > PIXELS:
            raise RunError(f"{self.path}: an image of {height} x {width} is none")
        try:
            return Preparation.of(card.preprocess, channels, height, width)
        except UsageError as error:
            raise RunError(f"{self.path}: {error.message}") from None

    @property
    def raw(self) -> bool:
        """Whether it takes pixels, uint8 [N, H, W, C], and prepares them itself."""
        return bool(self._session.get_inputs()[0].type == "tensor(uint8)")

    def _typical(self, size: str) -> int:
        factor, symbol, offset = affine(size)
        return factor * self.card.typical.get(symbol, 1) + offset

    def predict(self, path: str, k: int = 3) -> Prediction:
        """The k likeliest classes of an image file. Raises as `predicting.likeliest` does, UsageError for other
        networks."""
        return likeliest(self, path, k)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """What the head's classes are called. Raises RunError where labels and output differ."""
        head = self.head[1]
        output = next((one for one in self._session.get_outputs() if one.name == head.of[0]), None)
        if output is None or output.type != "tensor(float)":
            raise RunError(f"{self.path}: its head reads '{head.of[0]}', which is no output of floats")
        classes = output.shape[-1]
        labels = tuple(head.labels or map(str, range(classes)))
        if len(output.shape) != 2 or len(labels) != classes:
            raise RunError(f"{self.path}: {len(labels)} labels for an output of {output.shape}")
        return labels

    def scores(self, images: Pixels) -> Floats:
        """[n, classes] of a batch of pixels [n, h, w, c] of its size, larger for likelier classes."""
        head = self.head[1]
        batch = images if self.raw else self.preparation.normalize(images)
        found: Floats = self(**{self._session.get_inputs()[0].name: batch})[head.of[0]]
        return -found if head.lowest else found


def _interruptible(call: Callable[[], Any], options: Any = None) -> Any:
    """What the call gives, made by another thread, so that signals reach Python while a hostile model never ends."""
    found: list[Any] = []
    done = threading.Event()  # an interrupted join takes its thread for ended

    def work() -> None:
        try:
            found.append(call())
        except Exception as error:  # given on below
            found.append(error)
        done.set()

    threading.Thread(target=work, daemon=True).start()
    try:
        done.wait()
    except BaseException as error:
        if options is not None:
            options.terminate = True  # between two nodes
        if not done.wait(1):  # Python would abort as it ends
            atexit.register(_leave, error.code if isinstance(error, SystemExit) else 130)
        raise
    if isinstance(found[0], Exception):
        raise found[0]
    return found[0]


def _leave(code: Any) -> None:
    sys.stdout.flush()
    os._exit(code if isinstance(code, int) else 1)


def affine(size: str | None) -> tuple[int, str, int]:
    """(32, 'h', 4) of `32*h + 4`: how dimensions that hold a symbol are written. Raises RunError for other texts."""
    found = re.fullmatch(r"(?:(\d{1,9})\*)?([A-Za-z_]\w*)(?: ([+-]) (\d{1,9}))?", size or "", re.ASCII)
    if found is None or found[1] == "0":
        raise RunError(f"'{printable(str(size)[:80])}' is no size as 32*h + 4")
    offset = int(found[4] or 0)
    return int(found[1] or 1), found[2], -offset if found[3] == "-" else offset
