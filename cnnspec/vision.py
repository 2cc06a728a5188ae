"""Images in, classes out: reading, resizing, normalizing and ranking in numpy and Pillow, the same for every backend.

An image is an array of uint8 [height, width, channels] with 1 or 3 channels. The rules by which a file becomes one:

    orientation     as its EXIF data says
    1 bit, palette  expanded
    alpha           laid over white
    CMYK, YCbCr     converted to RGB by Pillow, without colour profiles
    16-bit grey     divided by 257
    grey for 3      the same map three times
    colour for 1    0.299 R + 0.587 G + 0.114 B
    animations      the first frame
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from cnnspec.boxes import letterbox
from cnnspec.diagnostics import MissingError, RunError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cnnspec.published import Fit as Fit
    from cnnspec.published import Interpolation, Order

    Pixels = NDArray[np.uint8]
    Floats = NDArray[np.float32]

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "PPM")
PIXELS = 2**26
"""The largest image that is decoded: 67,108,864 pixels, 192 MiB as RGB."""

GREY = 127
"""What lies beside the image of a letterbox, as in Darknet."""
_ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")
_PLAIN = ("L", "RGB", "1", "P", "CMYK", "YCbCr", "RGBX")


def load(path: str | Path, channels: int) -> Pixels:
    """The image of a file as [height, width, channels], for 1 or 3 channels.

    Raises MissingError where the file is not there, and RunError, naming the path and the reason, where it is no
    image of an allowed format, has more than `PIXELS` pixels, is damaged, or has a mode without a rule.
    """
    if channels not in (1, 3):
        raise RunError(f"{path}: an image has 1 or 3 channels, the network wants {channels}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the cap below is an error, Pillow's own a warning first
            with Image.open(path, formats=FORMATS) as image:
                _check_size(path, image.width * image.height)
                return _array(path, image, channels)
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise MissingError(f"cannot read {path}: {error.strerror}") from None
    except UnidentifiedImageError:
        raise RunError(f"{path}: no image in a known format ({', '.join(FORMATS)})") from None
    except Image.DecompressionBombError as error:
        found = re.search(r"\d+", str(error))
        raise _too_large(path, found[0] if found else "too many") from None
    except (OSError, SyntaxError, ValueError, EOFError, IndexError) as error:  # what Pillow's decoders raise
        raise RunError(f"{path}: the image cannot be decoded: {error}") from None


def _check_size(path: str | Path, pixels: int) -> None:
    if pixels > PIXELS:
        raise _too_large(path, str(pixels))


def _too_large(path: str | Path, pixels: str) -> RunError:
    return RunError(f"{path}: {pixels} pixels, the limit is {PIXELS}", "scale the image down first")


def _array(path: str | Path, image: Image.Image, channels: int) -> Pixels:
    upright = ImageOps.exif_transpose(image)
    mode = upright.mode
    if mode == "I" or mode.startswith("I;16"):
        wide = np.asarray(upright).astype(np.int64) // 257
        upright = Image.fromarray(np.clip(wide, 0, 255).astype(np.uint8))
    elif mode in _ALPHA or (mode in _PLAIN and "transparency" in upright.info):
        clear = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear).convert("RGB")
    elif mode not in _PLAIN:
        raise RunError(f"{path}: images of mode {mode} are not read")
    pixels = np.asarray(upright.convert("L" if channels == 1 else "RGB"))
    return pixels.reshape(*pixels.shape[:2], channels)


class Sampling(NamedTuple):
    """How pixels are made of others; with `antialias` an image that shrinks is smoothed."""

    interpolation: Interpolation = "bilinear"
    antialias: bool = True


MARGIN = 0.875
"""How much of the shorter side `crop` sees unless told otherwise: 224 of 256 pixels in the papers' evaluations."""


def resize(
    image: Pixels,
    height: int,
    width: int,
    fit: Fit = "stretch",
    margin: float = MARGIN,
    how: Sampling = Sampling(),
) -> Pixels:
    """The image at height x width.

    `stretch` changes the proportions; `crop` keeps them and takes the centre, of which `margin` of the shorter side
    is seen (224 of 256 pixels in the papers' evaluations); `letterbox` keeps them and shows all, with grey beside.
    """
    if fit == "letterbox":
        return _letterbox(image, height, width, how)
    rows, columns = image.shape[:2]
    if fit == "stretch":
        return _scaled(image, height, width, how)
    scale = margin * min(rows / height, columns / width)
    left, top = (columns - scale * width) / 2, (rows - scale * height) / 2
    return _scaled(image, height, width, how, (left, top, left + scale * width, top + scale * height))


def crop_of(image: Pixels, shorter: int, side: int, how: Sampling = Sampling()) -> Pixels:
    """The centre of side x side of the image scaled so that its shorter side is `shorter`: in two steps of whole
    pixels, as torchvision and timm do it."""
    rows, columns = image.shape[:2]
    longer = int(shorter * max(rows, columns) / min(rows, columns))
    height, width = (longer, shorter) if rows > columns else (shorter, longer)
    top, left = round((height - side) / 2), round((width - side) / 2)
    return _scaled(image, height, width, how)[top : top + side, left : left + side]


def _scaled(
    image: Pixels, height: int, width: int, how: Sampling, box: tuple[float, float, float, float] | None = None
) -> Pixels:
    """The part of the image that `box` (left, top, right, bottom) says, at height x width."""
    left, top, right, bottom = box or (0.0, 0.0, float(image.shape[1]), float(image.shape[0]))
    if not how.antialias and how.interpolation == "bilinear":
        rows = _blended(image.astype(np.float32), 0, top, bottom, height)
        return np.rint(_blended(rows, 1, left, right, width)).astype(np.uint8)
    flat = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    small = flat.resize((width, height), FILTERS[how.interpolation], box=(left, top, right, bottom))
    return np.asarray(small).reshape(height, width, image.shape[2])


def _letterbox(image: Pixels, height: int, width: int, how: Sampling) -> Pixels:
    left, top, columns, rows = letterbox((image.shape[1], image.shape[0]), height, width)
    whole = np.full((height, width, image.shape[2]), GREY, np.uint8)
    whole[top : top + rows, left : left + columns] = _scaled(image, rows, columns, how)
    return whole


def _blended(image: Floats, axis: int, start: float, end: float, count: int) -> Floats:
    """`count` values along an axis between two borders, each of its two neighbours (Pillow rounds down here)."""
    last = image.shape[axis] - 1
    at = np.clip(start + (np.arange(count) + 0.5) * (end - start) / count - 0.5, 0, last)
    low = np.floor(at).astype(np.int64)
    part = (at - low).astype(np.float32).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
    below, above = (image.take(index, axis) for index in (low, np.minimum(low + 1, last)))
    result: Floats = below + (above - below) * part
    return result


FILTERS: dict[Interpolation, Image.Resampling] = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}


def normalize(
    image: Pixels, mean: Sequence[float], std: Sequence[float], order: Order = "rgb", most: int = 1
) -> Floats:
    """(image * most / 255 - mean) / std by channel, as float32 [channels, height, width]; a batch of images too."""
    pixels = image[..., ::-1] if order == "bgr" else image
    maps = np.moveaxis(pixels.astype(np.float32), -1, -3)
    if most == 1:
        maps = maps / np.float32(255)
    centre, spread = (np.asarray(numbers, np.float32).reshape(-1, 1, 1) for numbers in (mean, std))
    return np.ascontiguousarray((maps - centre) / spread)


def softmax(scores: Floats) -> Floats:
    """exp(scores) over their sum along the last axis, without overflow."""
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    result: Floats = powers / powers.sum(axis=-1, keepdims=True)
    return result


def top_k(probabilities: Floats, k: int) -> list[tuple[int, float]]:
    """The k largest of a vector with their positions, largest first; of equals the first comes first."""
    order = np.argsort(-probabilities, kind="stable")[: max(0, k)]
    return [(int(index), float(probabilities[index])) for index in order]
