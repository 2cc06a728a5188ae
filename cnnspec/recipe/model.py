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
    """Chooses the epoch."""
    test: Part = 0.2
    """Is read once, at the end."""

    @model_validator(mode="after")
    def _leaves_some(self) -> Split:
        if self.validation + self.test >= 1:
            raise ValueError(f"validation {self.validation} and test {self.test} leave nothing to train on")
        return self


class Recipe(Strict):
    """What a recipe may say; docs/recipes.md is made of it."""

    recipe: Literal[1] = 1
    """The version of the format."""
    data: Annotated[str, Field(min_length=1, max_length=4096)] = "digits"
    """A built-in or well-known name, or a folder, as `--data`."""
    format: str | None = None
    """How a folder is read, where it is not recognized."""
    data_root: str | None = None
    """Where well-known data is looked for."""
    on_bad_sample: Literal["stop", "skip"] = "stop"
    """An image that cannot be decoded or a label out of range: stop, or skip up to 1 % of the samples."""
    on_bad_label: Literal["error", "skip"] = "error"
    """A box, or a value of a mask, that cannot be right: an error, or left out and counted."""
    split: Split = Split()
    """What the data lacks is cut from its training samples, every class in proportion."""
    split_seed: Seed = 0
    """Of the parts that `split` cuts."""
    fit: Literal["stretch", "crop", "letterbox"] = "stretch"
    """How images come to the input's size: stretched, their centre, or whole with grey beside."""
    mean: Channels | None = None
    """By channel, in parts of 255; measured on the training images unless given."""
    std: Spread | None = None
    """By channel, in parts of 255; measured on the training images unless given."""
    augment: Augment = Augment()
    """How training images change."""
    sizes: Annotated[list[Positive], Field(min_length=2, max_length=2)] | None = None
    """Training inputs between these parts of the usual size, for networks that take any: [0.75, 1.25]."""
    sizes_every: Annotated[int, Field(ge=1)] = 10
    """Batches between two draws of a size: Redmon and Farhadi 2016 (arXiv 1612.08242), section 2."""
    mixup: Annotated[float, Field(ge=0, le=10)] = 0.0
    """Beta(a, a) of Zhang et al. 2017 (arXiv 1710.09412), which mixes pairs of images and of classes; 0 mixes none."""
    label_smoothing: Share = 0.0
    """The part of the truth that is spread over all classes: Szegedy et al. 2015 (arXiv 1512.00567), section 7."""
    margin: Annotated[float, Field(ge=0, le=100)] | None = None
    """j of LeCun et al. 1998, equation 9, for heads whose lowest number wins."""
    detect: Detect = Detect()
    """How heads of boxes learn."""
    segment: Segment = Segment()
    """How heads of masks learn."""
    losses: dict[str, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)
    """The weight of the loss of a head, or of all heads of a kind; 1, and 0.3 of training-only outputs."""
    epochs: Epochs = 30
    """Of a phase."""
    batch: Annotated[int, Field(ge=1, le=2**20)] = 32
    """Images of a step."""
    accumulate: Annotated[int, Field(ge=1, le=1024)] = 1
    """In how many pieces a step is computed: less memory, the same batch."""
    optimizer: Optimizer = "adam"
    """Of a phase."""
    lr: Positive = 0.004
    """The highest learning rate of a phase's schedule."""
    momentum: Share = 0.9
    """Of sgd and rmsprop."""
    nesterov: bool = False
    """Nesterov's momentum, of sgd."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """L2 in the gradient for sgd, rmsprop and adam, apart from it for adamw."""
    decay_all: bool = False
    """Whether biases and the parameters of normalizations decay too."""
    schedule: Schedule = "one_cycle"
    """How the rate changes from step to step of a phase."""
    warmup: Annotated[float, Field(ge=0)] = 0.0
    """Epochs in which the rate climbs; one_cycle has a climb of its own."""
    every: Positive = 30
    """Epochs between the stairs of the schedule step."""
    factor: Annotated[float, Field(gt=0, le=1)] = 0.1
    """What a stair of the schedule step multiplies by."""
    decay: Annotated[float, Field(ge=0)] = 0.0
    """Of the schedule inverse: lr / (1 + decay * step)."""
    freeze: Globs = Field(default_factory=list)
    """Paths whose weights, and statistics, stay: `body`, `body.c2`, `*.batchnorm`."""
    rates: dict[str, Positive] = Field(default_factory=dict)
    """What the rate of the weights below a path is multiplied by."""
    phases: Annotated[list[Phase], Field(min_length=1, max_length=64)] | None = None
    """Stretches of training in turn, each with an optimizer of its own."""
    clip: Positive | None = None
    """The largest norm of all gradients together."""
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Averaged weights are judged and kept: a + (1 - ema) (w - a) after every step."""
    patience: Annotated[int, Field(ge=1)] | None = None
    """Epochs without a better one after which training ends."""
    on_nan: Literal["stop", "skip"] = "stop"
    """A loss or gradient that is not finite: stop, or skip the step, at most ten in a row."""
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    """Of the forward pass, by autocast; weights stay float32. float16 scales its loss."""
    channels_last: bool = True
    """Whether maps lie with their channels last, which convolutions prefer."""
    compile: bool = False
    """Whether torch.compile makes the step."""
    checkpoint_minutes: Positive = 10
    """Between checkpoints within an epoch; one stands at the end of each."""
    tensorboard: bool = False
    """Whether the run writes TensorBoard's events beside its own."""
    seed: Seed = 0
    """Of start weights, order, augmentation and dropout."""

    @model_validator(mode="after")
    def _agrees(self) -> Recipe:
        if (self.mean is None) != (self.std is None):
            raise ValueError("mean and std are given together or not at all")
        if self.mean is not None and self.std is not None and len(self.mean) != len(self.std):
            raise ValueError(f"mean has {len(self.mean)} numbers and std {len(self.std)}")
        if self.sizes is not None and self.sizes[0] > self.sizes[1]:
            raise ValueError(f"sizes is a range [least, most], got {self.sizes}")
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
