"""The page on a run, written as it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnspec import evaluating, judges, runs
from cnnspec.diagnostics import MissingError, RunError, UsageError
from cnnspec.drawing import examples, run_page
from cnnspec.durable import write
from cnnspec.predicting import Preparation
from cnnspec_torch import evaluation

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import nn

    from cnnspec.graph import Graph
    from cnnspec.recipe import Recipe
    from cnnspec_torch.data import Data

BATCH = 64


def report(
    folder: Path,
    graph: Graph,
    module: nn.Module,
    recipe: Recipe,
    given: Data,
    size: tuple[int, int],
    labels: Sequence[str],
) -> None:
    """Write report.html into a run folder: the best network, in `module`, judged on the images held out.

    Raises RunError where it cannot be written.
    """
    how = Preparation(len(given.mean), *size, recipe.fit, given.mean, given.std)
    network = evaluation.of(graph, module.eval(), how, labels)
    try:
        asked = judges.of(network, recipe.detect)
        result = evaluating.evaluate(network, asked, [given.test], BATCH)
        text = run_page.page(runs.read(folder), result, examples.of(network, asked, result))
    except (MissingError, RunError, UsageError) as error:
        text = run_page.page(runs.read(folder), None, (), f"The network was not judged: {error.message}")
    write(folder / runs.PAGE, text.encode())
