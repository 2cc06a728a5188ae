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
from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from cnnspec.boxes import letterbox
from cnnspec.diagnostics import MissingError, RunError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]
    Floats = NDArray[np.float32]

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "PPM")
PIXELS = 2**26
"""The largest image that is decoded: 67,108,864 pixels, 192 MiB as RGB."""

Fit = Literal["stretch", "crop", "letterbox"]
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


def resize(image: Pixels, height: int, width: int, fit: Fit = "stretch", margin: float = 0.875) -> Pixels:
    """The image at height x width, bilinear, smoothed where it shrinks.

    `stretch` changes the proportions; `crop` keeps them and takes the centre, of which `margin` of the shorter side
    is seen (224 of 256 pixels in the papers' evaluations); `letterbox` keeps them and shows all, with grey beside.
    """
    if fit == "letterbox":
        return _letterbox(image, height, width)
    box: tuple[float, float, float, float] | None = None
    if fit == "crop":
        rows, columns = image.shape[:2]
        scale = margin * min(rows / height, columns / width)
        left, top = (columns - scale * width) / 2, (rows - scale * height) / 2
        box = (left, top, left + scale * width, top + scale * height)
    flat = image[..., 0] if image.shape[2] == 1 else image
    small = Image.fromarray(flat).resize((width, height), Image.Resampling.BILINEAR, box=box)
    return np.asarray(small).reshape(height, width, image.shape[2])


def _letterbox(image: Pixels, height: int, width: int) -> Pixels:
    left, top, columns, rows = letterbox((image.shape[1], image.shape[0]), height, width)
    whole = np.full((height, width, image.shape[2]), GREY, np.uint8)
    whole[top : top + rows, left : left + columns] = resize(image, rows, columns)
    return whole


def normalize(image: Pixels, mean: Sequence[float], std: Sequence[float]) -> Floats:
    """(image / 255 - mean) / std by channel, as float32 [channels, height, width]; a batch of images too."""
    maps = np.moveaxis(image.astype(np.float32) / np.float32(255), -1, -3)
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
