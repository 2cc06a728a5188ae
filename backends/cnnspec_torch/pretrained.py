"""Weights by name, by file or by run for a network, or for a spec that it uses; a new last layer on a trained body.

What `--weights` takes:

    imagenet                published weights that the spec names
    FILE                    .safetensors, .pth, .pt; one named as a published file is held to be that file
    RUN                     a run folder
    body=imagenet, body=FILE   those of the spec used in the entry `body`, under its path

All tensors have to be there, under all names and in all shapes; with `new_head` the last layers may have other shapes
and then keep their start weights: that is what another number of classes needs. A last layer is one with weights whose
result meets no other weights on its way to an output.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from cnnspec import hub, zoo
from cnnspec.diagnostics import MissingError, RunError, SpecError, UsageError, did_you_mean
from cnnspec.published import Preprocess, Weights
from cnnspec.wording import call
from cnnspec_torch import runs, tensors
from cnnspec_torch.naming import find_map, listed
from cnnspec_torch.weights import Fitted, Misfit, copy, fit

if TYPE_CHECKING:
    from cnnspec.graph import Graph

SUFFIXES = (".safetensors", ".pth", ".pt")


@dataclass(frozen=True)
class Loaded:
    """What was loaded from where, what keeps its start weights, and what the weights say of images and classes.

    `unused` are tensors of the file that have no place; `labels` is None where the last layers are new.
    """

    source: str
    tensors: int
    misfits: tuple[Misfit, ...] = ()
    new: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    preprocess: Preprocess | None = None
    labels: tuple[str, ...] | None = None
    sizes: Mapping[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        """Empty where all fits."""
        if not self.new and not self.unused:
            return ""
        lines = [f"{self.source}: {self.tensors} tensors loaded"]
        odd = {misfit.name: str(misfit) for misfit in self.misfits}
        if self.new:
            lines.append(f"{len(self.new)} keep their start weights:{listed([odd.get(n, n) for n in self.new])}")
        if self.unused:
            lines.append(f"{len(self.unused)} of the file have no place here:{listed(list(self.unused))}")
        return "\n".join(lines)


NOTHING = Loaded("", 0)


@dataclass(frozen=True)
class _Source:
    """A file of weights, whose names it has, and what is known of it."""

    path: Path
    names: str | Path | None
    entry: Weights | None = None
    header: runs.Header | None = None

    def tensors(self, warn: Callable[[str], None]) -> dict[str, Tensor]:
        data = hub.verified(self.path, self.entry, warn) if self.entry is not None else None
        return tensors.read(self.path, data)


def _warn(text: str) -> None:
    warnings.warn(text, stacklevel=2)


def load(
    model: nn.Module,
    graph: Graph,
    weights: str | Path,
    *,
    names: str | Path | None = None,
    download: bool = False,
    new_head: bool = False,
    warn: Callable[[str], None] = _warn,
    tick: hub.Tick = lambda total: None,
) -> Loaded:
    """Copy weights into a graph's lowered model: all that belong to it or, where anything is wrong, none.

    `weights` is what the module's head lists; `names` says whose names a file has that does not say it, ours unless
    told otherwise. Nothing is downloaded unless `download`. Raises UsageError for an unknown name, MissingError for
    what is not there (with the command to get it), RunError for a damaged file and one of another network.
    """
    text = str(weights)
    prefix, inner = _used(graph, text)
    owner = graph if inner is None else inner
    source = _source(owner, text.partition("=")[2] if inner is not None else text, names, download, warn, tick)
    given = source.tensors(warn)
    if inner is None and source.header is not None:
        _check_spec(source, graph, new_head)
    state = model.state_dict()
    ours = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    with torch.device("meta"):
        whole = None if inner is None else list(inner.lower("torch").state_dict())
    free = last_layers(owner, ours) if new_head or inner is not None else set()
    fitted = _fitted(owner, source, ours, given, whole, free, new_head)
    copy(model, fitted.laid, prefix)
    return _loaded(source, state, fitted, prefix)


def load_published(model: nn.Module, name: str, *, download: bool = False) -> None:
    """Copy published weights into a lowered model, by their name in its spec. Raises as `load` does."""
    found = model.meta["cnnspec"]  # type: ignore[index]
    assert isinstance(found, dict)
    entry = found["weights"][name]
    path = hub.fetch(entry, _warn, lambda total: None) if download else hub.find(entry, _what(name, found["name"]))
    given = tensors.read(path, hub.verified(path, entry, _warn))
    copy(model, fit(model.state_dict(), given, find_map(found["name"], entry.names), str(path)).laid)


def last_layers(graph: Graph, names: Collection[str]) -> set[str]:
    """The tensors among `names` of nodes with weights whose result meets no other weights before an output."""
    weighed = {name.rpartition(".")[0] for name in names} & graph.nodes.keys()
    meets: dict[str, bool] = {}
    for path in reversed(list(graph.nodes)):
        meets[path] = any(user in weighed or meets[user] for user in graph.users[path])
    return {name for name in names if (node := name.rpartition(".")[0]) in weighed and not meets[node]}


def _what(name: str, spec: str) -> str:
    return f"the weights '{name}' of {spec}"


def _used(graph: Graph, text: str) -> tuple[str, Graph | None]:
    """The path and the graph of the used spec that `body=...` means; nothing for other texts."""
    from cnnspec.front import compile_file

    entry, sign, _ = text.partition("=")
    if not sign or Path(text).exists():
        return "", None
    found = [path for path in graph.used if path == entry or path.startswith(f"{entry}.")]
    if len(found) != 1:
        known = ", ".join(graph.used) or "none"
        message = f"'{entry}' holds {len(found)} used specs of {graph.name}, one is wanted"
        raise UsageError(message, did_you_mean(entry, graph.used) or f"its used specs are {known}")
    return f"{found[0]}.", compile_file(graph.used[found[0]])


def _source(
    graph: Graph,
    text: str,
    names: str | Path | None,
    download: bool,
    warn: Callable[[str], None],
    tick: hub.Tick,
) -> _Source:
    path = Path(text)
    if text in graph.weights:
        entry = graph.weights[text]
        if names is not None:
            raise UsageError(f"--names is for a file: {_what(text, graph.name)} say it themselves")
        where = hub.fetch(entry, warn, tick) if download else hub.find(entry, _what(text, graph.name))
        return _Source(where, entry.names, entry)
    if not zoo.is_path(text) and path.suffix not in SUFFIXES and not path.exists():
        known = ", ".join(graph.weights)
        least = f"it has {known}" if known else "give a file: --weights FILE --names PEER"
        raise MissingError(f"{graph.name} has no weights '{text}'", did_you_mean(text, graph.weights) or least)
    path = runs.weights_file(path)
    entry_of = next((one for one in graph.weights.values() if one.name == path.name), None)
    if entry_of is not None and path.is_file() and names in (None, entry_of.names):
        return _Source(path, entry_of.names, entry_of)
    header = runs.find_header(path) if path.suffix == ".safetensors" else None
    return _Source(path, names, None, header)


def _check_spec(source: _Source, graph: Graph, new_head: bool) -> None:
    """Raises RunError where a trained file is of a network that computes something else."""
    from cnnspec.front import compile_text

    assert source.header is not None
    if source.header.hash == graph.hash:
        return
    try:
        other = compile_text(source.header.spec, shown=f"{source.path}:spec")
    except SpecError as error:
        raise RunError(f"{source.path}: the spec in it does not compile: {error.diagnostics[0].message}") from None
    last = {name.rpartition(".")[0] for name in last_layers(graph, _names(graph))} if new_head else set()
    for path in [*other.nodes, *graph.nodes]:
        mine, theirs = (side.nodes.get(path) for side in (graph, other))
        if path in last or (mine and theirs and (mine.op, mine.inputs) == (theirs.op, theirs.inputs)):
            continue
        said = [f"{call(n.op)} of {', '.join(n.inputs)}" if n else "nothing" for n in (theirs, mine)]
        place = f", {graph_place(graph, path)}" if mine and mine.span else ""
        raise RunError(
            f"{source.path} is of another network: its spec has the hash {source.header.hash[:12]}, "
            f"{graph.name} has {graph.hash[:12]}; the first node that differs is {path}{place}: {said[0]} in the "
            f"file, {said[1]} here",
            "a spec that shares the body alone loads it by --weights ENTRY=FILE, where it uses that spec",
        )


def graph_place(graph: Graph, path: str) -> str:
    """`resnet18.yaml:9` of a node."""
    span = graph.nodes[path].span
    return f"{span.source.path}:{span.line}" if span else graph.name


def _names(graph: Graph) -> list[str]:
    types = {path: graph.input_types(node) for path, node in graph.nodes.items()}
    return [f"{path}.{name}" for path, node in graph.nodes.items() for name in node.op.params(*types[path])]


def _fitted(
    graph: Graph,
    source: _Source,
    ours: Mapping[str, Tensor],
    given: Mapping[str, Tensor],
    whole: list[str] | None,
    free: Collection[str],
    new_head: bool,
) -> Fitted:
    places = {path: graph_place(graph, path) for path, node in graph.nodes.items() if node.span}
    found = find_map(graph.name, source.names)
    try:
        return fit(ours, given, found, str(source.path), whole=whole, free=free, places=places)
    except RunError as error:
        last = last_layers(graph, ours)
        if not new_head and last and not free:
            try:
                fitted = fit(ours, given, found, str(source.path), whole=whole, free=last, places=places)
            except RunError:
                raise error from None
            shown = listed([str(one) for one in fitted.misfits])
            message = f"{source.path} has another last layer than {graph.name}:{shown}"
            help = "all else fits; training begins with a new one: cnnspec train SPEC --weights ..."
            raise RunError(message, help) from None
        raise


def _loaded(source: _Source, state: Mapping[str, Tensor], fitted: Fitted, prefix: str) -> Loaded:
    done = {prefix + name for name in fitted.laid}
    new = tuple(name for name in state if name not in done and not name.endswith(".num_batches_tracked"))
    misfits = tuple(Misfit(prefix + m.name, m.shape, m.other, m.other_shape) for m in fitted.misfits)
    how, labels, sizes = None, None, {}
    if source.entry is not None:
        how = source.entry.preprocess
        labels = zoo.labels(source.entry.labels) if source.entry.labels else None
    elif source.header is not None:
        header = source.header
        how, sizes = Preprocess(fit=header.fit, mean=header.mean, std=header.std), header.sizes
        labels = tuple(header.labels)
    whole = not prefix and not misfits
    return Loaded(
        source=str(source.path),
        tensors=len(fitted.laid),
        misfits=misfits,
        new=new,
        unused=tuple(fitted.unused),
        preprocess=how,
        labels=labels if whole else None,
        sizes=sizes if whole else {},
    )
