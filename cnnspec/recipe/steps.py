"""How a phase of training steps: its length, what it trains, with which optimizer and at what rates."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import Field

from cnnspec.recipe.base import Strict

Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, lt=1)]
Globs = Annotated[list[Annotated[str, Field(min_length=1, max_length=256)]], Field(max_length=256)]
Epochs = Annotated[int, Field(ge=1, le=100_000)]
Optimizer = Literal["adam", "adamw", "rmsprop", "sgd"]
Schedule = Literal["constant", "cosine", "inverse", "one_cycle", "step"]


class Phase(Strict):
    """A stretch of epochs with an optimizer of its own; what it leaves out is the recipe's."""

    epochs: Epochs | None = None
    freeze: Globs | None = None
    rates: dict[str, Positive] | None = None
    optimizer: Optimizer | None = None
    lr: Positive | None = None
    momentum: Share | None = None
    nesterov: bool | None = None
    weight_decay: Annotated[float, Field(ge=0)] | None = None
    decay_all: bool | None = None
    schedule: Schedule | None = None
    warmup: Annotated[float, Field(ge=0)] | None = None
    every: Positive | None = None
    factor: Annotated[float, Field(gt=0, le=1)] | None = None
    decay: Annotated[float, Field(ge=0)] | None = None


class Stage(Strict):
    """A phase with every value in place."""

    epochs: Epochs
    freeze: Globs
    rates: dict[str, Positive]
    optimizer: Optimizer
    lr: Positive
    momentum: float
    nesterov: bool
    weight_decay: float
    decay_all: bool
    schedule: Schedule
    warmup: float
    every: float
    factor: float
    decay: float

    def rate(self, step: int, steps: int) -> float:
        """The part of `lr` that step 0 .. steps - 1 of the phase uses, `steps` for all of its epochs.

        one_cycle climbs in a straight line from 1/25 over the first 30 % of the steps and falls by a cosine towards 0:
        Smith and Topin 2018, Super-Convergence (arXiv 1708.07120), without the cycle of the momentum. `warmup` epochs
        climb in a straight line before any other schedule, as Goyal et al. 2017 (arXiv 1706.02677), section 2.2. step
        multiplies by `factor` after `every` epochs. inverse is 1 / (1 + decay * step), Keras's decay.
        """
        each = steps / self.epochs
        if self.schedule == "one_cycle":
            climb, low = 0.3 * steps, 0.04
        else:
            climb, low = min(self.warmup * each, steps), 0.0
        if step < climb:
            return low + (1 - low) * (step + (low == 0)) / (climb + (low == 0))
        if self.schedule in ("one_cycle", "cosine"):
            return 0.5 * (1 + math.cos(math.pi * (step - climb) / max(steps - climb, 1)))
        if self.schedule == "step":
            return float(self.factor ** int(step / (self.every * each)))
        return 1 / (1 + self.decay * step) if self.schedule == "inverse" else 1.0


def stage(recipe: Any, phase: Phase) -> Stage:
    """A phase with the recipe's values for what it leaves out."""
    own = phase.model_dump(exclude_none=True)
    return Stage(**{name: own.get(name, getattr(recipe, name)) for name in Stage.model_fields})
