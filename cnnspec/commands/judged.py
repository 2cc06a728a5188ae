"""Trained networks judged on data, as `evaluate` and `report` ask for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnspec.commands.progress import bar
from cnnspec.diagnostics import MissingError, UsageError

if TYPE_CHECKING:
    from cnnspec.datasets import Found, Wanted
    from cnnspec.evaluating import Evaluation
    from cnnspec.judges import Judge, Network
    from cnnspec.predicting import Preparation
    from cnnspec.recipe import Recipe


@dataclass(frozen=True)
class Wish:
    """What to judge on; None leaves it to the run's recipe, or the shipped one."""

    data: str | None = None
    format: str | None = None
    root: str | None = None
    split: str = "test"
    on_bad_sample: str | None = None
    on_bad_label: str | None = None
    batch: int = 64
    backend: str = "torch"
    bounds: Sequence[tuple[str, float]] = ()


@dataclass(frozen=True)
class Judged:
    """A network, its judges, the data it was judged on, what came of it, and warnings about the data."""

    name: str
    hash: str
    network: Network
    judges: Sequence[Judge]
    data: str
    evaluation: Evaluation
    warnings: list[str]


def judged(target: Path, wish: Wish) -> Judged:
    """Judge a run, a weights file or an ONNX file.

    Raises MissingError, RunError and UsageError as networks, data and judges do; UsageError for bounds on metrics that
    the network does not have, before anything is read.
    """
    from cnnspec import datasets, evaluating, judges
    from cnnspec.datasets import classes
    from cnnspec.datasets.splitting import chosen

    recipe = recipe_of(target)
    if wish.data is None and not target.is_dir():
        raise UsageError(f"{target} does not say what to evaluate on", "--data NAME|DIR")
    name, digest, network = _network(target, wish.backend)
    asked = judges.of(network, recipe.detect)
    for metric, _ in wish.bounds:
        evaluating.known(name, metric, evaluating.names(asked))
    kinds = evaluating.kinds(asked)
    found = _found(wish, recipe, network, kinds)
    found = classes.matched(found, network.labels) if network.labels else found
    parts = chosen(found, wish.split, recipe.split.model_dump(), recipe.split_seed)
    wanted = _wanted(wish, recipe, network, kinds, found)
    with bar("reading") as tick:
        loaded = datasets.load(found.name, parts, wanted, found.faults, tick)
    with bar("evaluating") as tick:
        result = evaluating.evaluate(network, asked, list(loaded.parts.values()), wish.batch, tick)
    return Judged(name, digest, network, asked, found.name, result, [*found.notes, *loaded.warnings])


def recipe_of(target: Path) -> Recipe:
    """The recipe of a run, which says what was held out; else the shipped one."""
    from cnnspec import recipe

    file = target / "recipe.yaml"
    return recipe.load(str(file)) if file.is_file() else recipe.Recipe()


def _found(wish: Wish, recipe: Recipe, network: Network, kinds: frozenset[str]) -> Found:
    from cnnspec import datasets

    own = wish.data in (None, recipe.data)  # what the recipe says of its own data holds of that alone
    format = wish.format or (recipe.format if own else None)
    root = wish.root or (recipe.data_root if own else None)
    where = Path(root) if root is not None else None
    return datasets.find(wish.data or recipe.data, network.preparation.channels, format, kinds, where)


def _wanted(wish: Wish, recipe: Recipe, network: Network, kinds: frozenset[str], found: Found) -> Wanted:
    from cnnspec.datasets import Wanted

    how = network.preparation
    return Wanted(
        how.channels,
        how.height,
        how.width,
        how.fit if kinds == {"classes"} and _plain(how) else None,
        len(network.labels) or found.classes,
        (wish.on_bad_sample or recipe.on_bad_sample) == "skip",
        kinds,
        (wish.on_bad_label or recipe.on_bad_label) == "skip",
    )


def _plain(how: Preparation) -> bool:
    """Whether images are brought to the input's size as `datasets.load` does it."""
    return how.resize is None and how.interpolation == "bilinear" and how.antialias


def _network(path: Path, backend: str) -> tuple[str, str, Network]:
    """A network with its name and hash. Raises MissingError and RunError as `predict` does."""
    if path.suffix == ".onnx":
        _onnx(path)
        from cnnspec_onnx.evaluation import network
        from cnnspec_onnx.session import Session

        session = Session(path)
        return session.name, session.card.hash, network(session)
    try:
        from cnnspec_torch import evaluation, prediction
    except ModuleNotFoundError as error:
        raise MissingError(f"evaluate needs {error.name}", "pip install 'cnnspec[predict]'") from None
    if backend == "torch":
        found = evaluation.from_file(path)
        return found.graph.name, found.graph.hash, found
    _onnx(path)
    from cnnspec_onnx.in_memory import lowered

    file = prediction.read(path)
    header, graph = file.header, file.graph
    weights: Any = file.module().state_dict()
    made = lowered(graph, weights, file.preparation, header.labels, header.sizes, str(file.path))
    return graph.name, graph.hash, made


def _onnx(path: Path) -> None:
    try:
        import cnnspec_onnx.session  # noqa: F401
    except ModuleNotFoundError as error:
        help = "pip install 'cnnspec[onnx]'"
        raise MissingError(f"evaluate needs {error.name} to run {path} by onnxruntime", help) from None
