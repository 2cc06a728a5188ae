"""The built-in data: scikit-learn's handwritten digits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cnnspec.datasets.parts import WHOLE, Found, Raw
from cnnspec.diagnostics import MissingError, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cnnspec.vision import Pixels

LABELS = tuple("0123456789")


def digits() -> tuple[list[Pixels], NDArray[np.int64]]:
    """scikit-learn's 1,797 handwritten digits as white ink on black [8, 8, 1], and their classes.

    E. Alpaydin, C. Kaynak: Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
    return [image[..., None] for image in images], bunch.target.astype(np.int64)


def find(channels: int) -> Found:
    """Raises MissingError without scikit-learn, UsageError for an input that is not grey."""
    try:
        images, classes = digits()
    except ModuleNotFoundError:
        raise MissingError("the data 'digits' needs scikit-learn", "pip install 'cnnspec[train]'") from None
    if channels != 1:
        raise UsageError(f"the data 'digits' has 1 channel, the network's input has {channels}")

    def place(position: int) -> str:
        return f"digits[{position}]"

    return Found("digits", {WHOLE: Raw(len(images), lambda i, _: images[i], place, place, classes)}, LABELS)
