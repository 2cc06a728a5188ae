"""A recipe says how to train: a YAML file read as strictly as a spec, checked by pydantic models."""

from __future__ import annotations

from cnnspec.recipe.augment import Augment as Augment
from cnnspec.recipe.file import load as load
from cnnspec.recipe.model import Recipe as Recipe
from cnnspec.recipe.steps import Stage as Stage
from cnnspec.recipe.written import written as written
