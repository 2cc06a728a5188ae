"""Passes over a graph: plain functions Graph -> Graph, one a file, in the order they run."""

from __future__ import annotations

from collections.abc import Callable

from cnnspec.graph import Graph
from cnnspec.passes.advice import advice as advice
from cnnspec.passes.bounds import bounds
from cnnspec.passes.prune import prune

PASSES: tuple[Callable[[Graph], Graph], ...] = (prune, bounds)
