"""Published weights: where a file of them is, its hash, whose names it has, and what its images need."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from cnnspec import limits, zoo
from cnnspec.diagnostics import Diagnostic, did_you_mean
from cnnspec.reader import Mapping, locate

if TYPE_CHECKING:
    from cnnspec.scope import Findings

URL = r"^https://[A-Za-z0-9.-]+(/[A-Za-z0-9._~%+-]+)+$"
FILE = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,120}\.(pth|pt|safetensors)$"
HASH = r"^[0-9a-f]{8,64}$"
NAMES = r"^[a-z0-9][a-z0-9-]{0,63}(\.[a-z0-9-]{1,63})?$"
PATTERNS = {
    URL: "https://HOST/PATH, without ? and #",
    FILE: "a file's name that ends in .pth, .pt or .safetensors",
    HASH: "8 to 64 digits of 0-9 and a-f",
    NAMES: "the name of a peer or of a shipped map of names",
}

Fit = Literal["stretch", "crop", "letterbox"]
Interpolation = Literal["nearest", "bilinear", "bicubic"]
Order = Literal["rgb", "bgr"]
Side = Annotated[int, Field(ge=1, le=limits.DIMENSION)]
Shift = Annotated[float, Field(ge=-1e6, le=1e6)]
Scale = Annotated[float, Field(ge=1e-6, le=1e6)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True, allow_inf_nan=False)


class Preprocess(_Model):
    """What images need before a network: their size, the order of the colours, then (value - mean) / std.

    With `resize` the shorter side becomes that long, the ratio kept, and the centre of `crop` x `crop` is cut out;
    `fit` says it for the network's own size: `stretch`, `crop` (224 of 256), or `letterbox`. Values are from 0 to
    `range`, and mean and std by channel in the order that the network sees. Keras's conventions are

        caffe   {fit: stretch, antialias: false, order: bgr, range: 255, mean: [103.939, 116.779, 123.68]}
        tf      {fit: stretch, antialias: false, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5]}
        torch   {fit: stretch, antialias: false, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225]}
    """

    resize: Side | None = None
    crop: Side | None = None
    fit: Fit | None = None
    interpolation: Interpolation = "bilinear"
    antialias: bool = True
    order: Order = "rgb"
    range: Literal[1, 255] = 1
    mean: Annotated[list[Shift], Field(min_length=1, max_length=64)] | None = None
    std: Annotated[list[Scale], Field(min_length=1, max_length=64)] | None = None


def changed(
    how: Preprocess, fit: Fit | None = None, mean: list[float] | None = None, std: list[float] | None = None
) -> Preprocess:
    """The same with what is given of them in its place."""
    given = {"mean": mean, "std": std, "fit": fit}
    fields = {name: value for name, value in given.items() if value is not None}
    return how.model_copy(update=fields | ({"resize": None, "crop": None} if fit else {}))


class Weights(_Model):
    """A published file. `sha256` holds the first digits of its SHA-256 or all 64, and may be left out where they are
    not known; `file` is its name among downloaded ones where the url's last part says little; `labels` those of its
    classes where the head has none.
    """

    url: Annotated[str, Field(pattern=URL, max_length=limits.SCALAR_CHARS)]
    sha256: Annotated[str, Field(pattern=HASH)] | None = None
    file: Annotated[str, Field(pattern=FILE)] | None = None
    names: Annotated[str, Field(pattern=NAMES)] | None = None
    preprocess: Preprocess = Preprocess.model_construct()
    labels: str | None = None

    @property
    def name(self) -> str:
        """The file's name among downloaded ones."""
        return self.file or self.url.rpartition("/")[2]


def check_weights(root: Mapping, weights: dict[str, Weights], findings: Findings) -> None:
    """Say what a section `weights` has that does not go together."""

    def say(code: str, message: str, help: str | None, *place: str) -> None:
        findings.add(Diagnostic(code, message, locate(root, ("weights", *place)), help=help))

    for name, one in weights.items():
        if not re.match(FILE, one.name):
            message = f"the url ends in '{one.name}', which is no name of a weights file"
            say("weights.file", message, "give file: NAME.safetensors, .pth or .pt", name, "url")
        if one.labels is not None and zoo.labels(one.labels) is None:
            known = sorted(path.stem for path in (zoo.folder() / "labels").glob("*.txt"))
            help = did_you_mean(one.labels, known) or f"shipped are {', '.join(known)}"
            say("spec.labels", f"there is no set of labels '{one.labels}'", help, name, "labels")
        for key, message, help in _contradictions(one.preprocess):
            say("weights.preprocess", message, help, name, "preprocess", key)


def _contradictions(how: Preprocess) -> list[tuple[str, str, str]]:
    found = []
    if how.fit is not None and (how.resize is not None or how.crop is not None):
        found.append(("fit", "'fit' and 'resize' both say how images get their size", "give one of them"))
    elif how.crop is not None and how.resize is None:
        found.append(("crop", f"'crop: {how.crop}' is cut out of nothing", "give resize: N, the shorter side before"))
    elif how.crop is not None and how.resize is not None and how.crop > how.resize:
        found.append(("crop", f"'crop: {how.crop}' is larger than 'resize: {how.resize}'", "crop is at most resize"))
    if how.interpolation == "bicubic" and not how.antialias:
        found.append(("antialias", "bicubic images are always antialiased", "antialias: false is for the others"))
    if how.mean is not None and how.std is not None and len(how.mean) != len(how.std):
        message = f"mean has {len(how.mean)} numbers and std {len(how.std)}"
        found.append(("std", message, "each has one for a channel"))
    return found
