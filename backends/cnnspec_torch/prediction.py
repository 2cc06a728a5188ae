"""From an image file to ranked classes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from cnnspec import vision
from cnnspec.dense import Network, classes_of, dense_head, naming
from cnnspec.diagnostics import MissingError, RunError, SpecError, UsageError
from cnnspec.predicting import Prediction, Preparation, likeliest
from cnnspec.published import Preprocess
from cnnspec_torch import pretrained, runs
from cnnspec_torch.weights import load_weights

if TYPE_CHECKING:
    from cnnspec.graph import Graph
    from cnnspec.vision import Floats, Pixels


SHORT = 10**8
"""MACs of a batch, about 10 ms of one core forward, below which one thread runs it."""


@dataclass(frozen=True)
class Predictor:
    """A network in evaluation mode with what its images need and what its classes are called."""

    graph: Graph
    module: nn.Module
    head: str
    labels: tuple[str, ...]
    preparation: Preparation

    def __call__(self, path: str, k: int) -> Prediction:
        """The k likeliest classes of an image file. Raises as `predicting.likeliest` does."""
        return likeliest(self, path, k)

    @torch.inference_mode()
    def scores(self, images: Pixels) -> Floats:
        """[n, classes] of a batch of pixels [n, h, w, c], larger for likelier classes."""
        batch = torch.from_numpy(self.preparation.normalize(images))
        with threads(self.graph, len(images)):
            found: Floats = head_scores(self.module(batch), self.graph, self.head).numpy()
        return found


@contextlib.contextmanager
def threads(graph: Graph, batch: int) -> Iterator[None]:
    """One thread where a step is short: several would wait for each other longer than they work."""
    before = torch.get_num_threads()
    if graph.cost(batch=batch).macs < SHORT:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def head_scores(outputs: Tensor | Mapping[str, Tensor], graph: Graph, head: str) -> Tensor:
    """What a classify head reads, larger for likelier classes; `outputs` as the module returned them."""
    spec = graph.heads[head]
    scores = outputs if isinstance(outputs, Tensor) else outputs[spec.of[0]]
    return -scores if spec.lowest else scores


def classify_head(graph: Graph) -> tuple[str, int]:
    """Name and number of classes of the one head that classifies. Raises UsageError where there is none or several."""
    graph = graph.inference()
    heads = [name for name, head in graph.heads.items() if head.kind == "classify"]
    if len(heads) != 1:
        help = "--features NODE --save DIR writes what a node gives; cnnspec show lists the nodes"
        raise UsageError(f"{graph.name} has {len(heads)} classify heads, one is wanted", None if graph.heads else help)
    nodes = {output.name: output.node for output in graph.outputs}
    type = graph.nodes[nodes[graph.heads[heads[0]].of[0]]].type
    if type.rank != 2:
        raise UsageError(f"the head '{heads[0]}' reads {type}; classes are [N, classes]")
    return heads[0], type.channels


def input_size(graph: Graph) -> tuple[int, int, int]:
    """Channels, height and width of a graph's one image, at concrete sizes. Raises UsageError for other inputs."""
    if len(graph.inputs) != 1 or graph.nodes[graph.inputs[0]].type.rank != 4:
        found = ", ".join(f"{name} {graph.nodes[name].type}" for name in graph.inputs)
        raise UsageError(f"{graph.name} takes {found}; one image [N, C, H, W] is wanted")
    _, channels, height, width = graph.nodes[graph.inputs[0]].type.concrete
    return channels, height, width


def from_file(path: Path) -> Predictor:
    """The classifier of a weights file that training wrote, or of the run folder that holds one.

    Raises as `opened`, and UsageError for a network of boxes or masks.
    """
    found = opened(path)
    if isinstance(found, Network):
        raise UsageError(f"{path} finds {'masks' if found.kind == 'segment' else 'boxes'}; classes are wanted here")
    return found


def opened(path: Path) -> Predictor | Network:
    """The same for every network that is predicted with; those of boxes or masks are a `cnnspec.dense.Network`.

    Raises MissingError, and RunError where the file is damaged or holds another network than it says.
    """
    file = read(path)
    header, graph, how = file.header, file.graph, file.preparation
    try:
        dense = dense_head(graph)
        head, classes = (naming(graph, dense), classes_of(graph, dense)) if dense else classify_head(graph)
    except UsageError as error:
        raise RunError(f"{file.path}: {error.message}") from None
    if head != header.head or classes != len(header.labels):
        raise _misfit(file.path)
    module = file.module()
    if dense:
        return _dense(graph, module, how, header.labels)
    return Predictor(graph, module, head, tuple(header.labels), how)


@dataclass(frozen=True)
class File:
    """A weights file that training wrote: what it says of itself, its graph, and what its images need."""

    path: Path
    header: runs.Header
    graph: Graph
    preparation: Preparation

    def module(self) -> nn.Module:
        """The network in evaluation mode."""
        module = _module(self.graph, 0)
        load_weights(module, self.path, names=None)
        return module


def read(path: Path) -> File:
    """A weights file, or that of a run folder. Raises MissingError, and RunError where it is damaged."""
    from cnnspec.front import compile_text

    file = runs.weights_file(path)
    if path.is_dir() and not file.is_file():
        raise MissingError(f"{path} is no run folder: there is no {runs.BEST} in it")
    header = runs.read_header(file)
    try:
        graph = compile_text(header.spec, shown=f"{file}:spec")
    except SpecError as error:
        raise RunError(f"{file}: the spec in it does not compile: {error.diagnostics[0].message}") from None
    if graph.hash != header.hash:
        raise RunError(f"{file}: the spec in it has the hash {graph.hash[:12]}, the file says {header.hash[:12]}")
    try:
        channels, height, width = input_size(graph.at(**header.sizes))
    except UsageError as error:
        raise RunError(f"{file}: {error.message}") from None
    if not channels == len(header.mean) == len(header.std) or height * width > vision.PIXELS:
        raise _misfit(file)
    how = Preparation(channels, height, width, header.fit, header.mean, header.std)
    return File(file, header, graph, how)


def _misfit(file: Path) -> RunError:
    return RunError(f"{file}: its labels, sizes, mean and std do not fit its network")


def _dense(graph: Graph, module: nn.Module, how: Preparation, labels: Sequence[str] | None) -> Network:
    from cnnspec_torch.dense_prediction import network

    return network(graph, module, how, labels)


@dataclass(frozen=True)
class Body:
    """A network in evaluation mode with what its images need, whatever its outputs mean."""

    graph: Graph
    module: nn.Module
    preparation: Preparation
    labels: tuple[str, ...]
    """Those that the weights bring."""


def body(
    graph: Graph,
    *,
    weights: str | Path | None,
    sizes: Mapping[str, int],
    seed: int = 0,
    change: Callable[[Preprocess], Preprocess] = lambda how: how,
    **loading: Any,
) -> Body:
    """A compiled spec with weights as `pretrained.load` takes them, `loading` being its options, or with start weights.

    Images are prepared as the weights say, after `change`; where they say nothing, they are stretched and seen in
    parts of 255. Raises RunError where a part of the network would keep its start weights.
    """
    module = _module(graph, seed)
    loaded = pretrained.load(module, graph, weights, **loading) if weights is not None else pretrained.NOTHING
    if loaded.new:
        help = "train it first: cnnspec train SPEC --weights ..."
        raise RunError(
            f"{len(loaded.new)} tensors of {graph.name} are not in {loaded.source}: {loaded.new[0]} ...", help
        )
    known = {name: size for name, size in loaded.sizes.items() if name in graph.symbols}
    channels, height, width = input_size(graph.at(**{**known, **sizes}))
    how = Preparation.of(change(loaded.preprocess or Preprocess()), channels, height, width)
    return Body(graph, module, how, loaded.labels or ())


def predictor(of: Body) -> Predictor | Network:
    """What a body's head says. Raises UsageError where no head, or more than one, can be read."""
    graph = of.graph
    if dense_head(graph):
        return _dense(graph, of.module, of.preparation, of.labels)
    head, classes = classify_head(graph)
    labels = graph.heads[head].labels or of.labels
    labels = labels if len(labels) == classes else tuple(map(str, range(classes)))
    return Predictor(graph, of.module, head, labels, of.preparation)


def from_graph(graph: Graph, **options: Any) -> Predictor | Network:
    """The predictor of a compiled spec; `options` are those of `body`. Raises as `body` and `predictor` do."""
    head = dense_head(graph)
    if head is None:
        classify_head(graph)  # before anything is loaded
    return predictor(body(graph, **options))


def _module(graph: Graph, seed: int) -> nn.Module:
    module: Any = graph.lower("torch", seed)  # whole, so that a run's training-only weights have their place
    assert isinstance(module, nn.Module)
    return module.eval()
