"""The keys of a recipe."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from cnnspec.recipe.augment import Augment
from cnnspec.recipe.base import Strict
from cnnspec.recipe.steps import Epochs, Globs, Optimizer, Phase, Positive, Schedule, Share, Stage, stage
from cnnspec.recipe.written import flow
from cnnspec.recipe_heads import Detect, Segment

FORMAT = 1

Part = Annotated[float, Field(gt=0, lt=1)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
Channels = Annotated[list[float], Field(min_length=1, max_length=64)]
Spread = Annotated[list[Positive], Field(min_length=1, max_length=64)]


class Split(Strict):
    """Parts of all samples; training gets the rest."""

    validation: Part = 0.1
    test: Part = 0.2

    @model_validator(mode="after")
    def _leaves_some(self) -> Split:
        if self.validation + self.test >= 1:
            raise ValueError(f"validation {self.validation} and test {self.test} leave nothing to train on")
        return self


class Recipe(Strict):
    """What a recipe may say; specs/recipes/classify.yaml explains each key."""

    recipe: Literal[1] = 1
    data: Annotated[str, Field(min_length=1, max_length=4096)] = "digits"
    format: str | None = None
    data_root: str | None = None
    on_bad_sample: Literal["stop", "skip"] = "stop"
    on_bad_label: Literal["error", "skip"] = "error"
    split: Split = Split()
    split_seed: Seed = 0
    fit: Literal["stretch", "crop", "letterbox"] = "stretch"
    mean: Channels | None = None
    std: Spread | None = None
    augment: Augment = Augment(shift=2)
    mixup: Annotated[float, Field(ge=0, le=10)] = 0.0
    label_smoothing: Share = 0.0
    margin: Annotated[float, Field(ge=0, le=100)] | None = None
    detect: Detect = Detect()
    segment: Segment = Segment()
    losses: dict[str, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)
    epochs: Epochs = 30
    batch: Annotated[int, Field(ge=1, le=2**20)] = 32
    accumulate: Annotated[int, Field(ge=1, le=1024)] = 1
    optimizer: Optimizer = "adam"
    lr: Positive = 0.004
    momentum: Share = 0.9
    nesterov: bool = False
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    decay_all: bool = False
    schedule: Schedule = "one_cycle"
    warmup: Annotated[float, Field(ge=0)] = 0.0
    every: Positive = 30
    factor: Annotated[float, Field(gt=0, le=1)] = 0.1
    decay: Annotated[float, Field(ge=0)] = 0.0
    freeze: Globs = Field(default_factory=list)
    rates: dict[str, Positive] = Field(default_factory=dict)
    phases: Annotated[list[Phase], Field(min_length=1, max_length=64)] | None = None
    clip: Positive | None = None
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    patience: Annotated[int, Field(ge=1)] | None = None
    on_nan: Literal["stop", "skip"] = "stop"
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    channels_last: bool = True
    compile: bool = False
    checkpoint_minutes: Positive = 10
    tensorboard: bool = False
    seed: Seed = 0

    @model_validator(mode="after")
    def _agrees(self) -> Recipe:
        if (self.mean is None) != (self.std is None):
            raise ValueError("mean and std are given together or not at all")
        if self.mean is not None and self.std is not None and len(self.mean) != len(self.std):
            raise ValueError(f"mean has {len(self.mean)} numbers and std {len(self.std)}")
        if self.accumulate > self.batch:
            raise ValueError(f"a batch of {self.batch} cannot be computed in {self.accumulate} pieces")
        for one in self.stages:
            if one.nesterov and (one.optimizer != "sgd" or one.momentum == 0):
                raise ValueError("nesterov is sgd's, with a momentum")
        return self

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The phases in turn, each with every value in place; one where the recipe names none."""
        return tuple(stage(self, phase) for phase in self.phases or [Phase()])

    @property
    def whole(self) -> int:
        """Epochs of all phases."""
        return sum(one.epochs for one in self.stages)

    def text(self) -> str:
        """The recipe as YAML that `load` reads back equal."""
        values = self.model_dump(exclude_none=True)
        return "".join(f"{key}: {flow(value)}\n" for key, value in values.items())
