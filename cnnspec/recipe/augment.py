"""How training images change from epoch to epoch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from cnnspec.recipe.base import Strict

Part = Annotated[float, Field(ge=0, le=1)]
Degrees = Annotated[float, Field(ge=0, le=180)]
Scale = Annotated[float, Field(gt=0, le=10)]
Range = Annotated[list[Scale], Field(min_length=2, max_length=2)]


class RandAugment(Strict):
    """Cubuk et al. 2019 (arXiv 1909.13719): so many operations in turn, each of that strength of 30."""

    operations: Annotated[int, Field(ge=1, le=16)] = 2
    """In turn, for each image."""
    magnitude: Annotated[int, Field(ge=0, le=30)] = 9
    """Their strength."""


class Augment(Strict):
    """Changes of training images, in this order; what is left out does not happen."""

    crop: Range | None = None
    """A part of the image, its share of the area drawn from this range, at the input's size."""
    shift: Annotated[int, Field(ge=0, le=1024)] = 0
    """Pixels each way; black comes in."""
    rotate: Degrees = 0.0
    """Degrees each way."""
    zoom: Range | None = None
    """The factor of size is drawn from this range."""
    shear: Degrees = 0.0
    """Degrees each way, along the rows."""
    flip: Literal["none", "horizontal", "vertical", "both"] = "none"
    """Half of the images, about that axis."""
    light: Part = 0.0
    """Brightness and contrast change by up to this share."""
    colour: Part = 0.0
    """Saturation changes by up to this share, hue by up to a quarter of it of the circle."""
    randaugment: RandAugment | None = None
    """Random operations on images alone, for heads of classes."""
    erase: Part = 0.0
    """Probability that a rectangle is blanked: Zhong et al. 2017 (arXiv 1708.04896)."""

    @model_validator(mode="after")
    def _in_order(self) -> Augment:
        for name in ("crop", "zoom"):
            found = getattr(self, name)
            if found is not None and found[0] > found[1]:
                raise ValueError(f"augment.{name} is a range [least, most], got {found}")
        if self.crop is not None and self.crop[1] > 1:
            raise ValueError(f"augment.crop is a share of the area, at most 1, got {self.crop}")
        return self

    @property
    def shifts_alone(self) -> bool:
        """Whether whole batches can be changed at once."""
        return self == Augment(shift=self.shift)
