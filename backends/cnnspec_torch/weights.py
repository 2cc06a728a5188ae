"""Weights from a file or a published one into a lowered model, and back, through a map of names where the peer has
its own (cnnspec_torch.naming)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from cnnspec.diagnostics import RunError, nearest
from cnnspec_torch import tensors
from cnnspec_torch.naming import NameMap, Target, find_map, listed

COUNTER = ".num_batches_tracked"
"""A counter that files written before PyTorch 0.4.1 lack; without it the model keeps its own."""


@dataclass(frozen=True)
class Misfit:
    """A tensor that the file has in another shape."""

    name: str
    shape: tuple[int, ...]
    other: str
    other_shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.name} is {list(self.shape)}, {self.other} in the file {list(self.other_shape)}"


@dataclass(frozen=True)
class Fitted:
    """Tensors of a file laid out as ours, by our names; what does not fit; the file's that have no place."""

    laid: dict[str, Tensor] = field(default_factory=dict)
    misfits: list[Misfit] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)


def load_weights(
    model: nn.Module,
    weights: str | Path | Mapping[str, Tensor],
    names: str | Path | None = "torchvision",
    *,
    download: bool = False,
) -> None:
    """Copy weights into the model: all of them or, where anything is wrong, none.

    `weights` is a .safetensors, .pth or .pt file, a state dict, or the name of published weights of the model's spec
    (`imagenet`), which say themselves whose names they have; `download` fetches those that are not on this machine.
    `names` says whose names a file has: a peer's, those of a map (a path, or the name of a shipped one), or our own
    (None). Floating types are converted to the model's. Raises MissingError where there is no file or map, RunError
    where the file cannot be read, names, shapes or kinds of type differ, or a number is NaN or infinite.
    """
    if isinstance(weights, str) and weights in _published(model):
        from cnnspec_torch import pretrained

        pretrained.load_published(model, weights, download=download)
        return
    given, what = (
        (weights, "the state dict") if isinstance(weights, Mapping) else (tensors.read(Path(weights)), str(weights))
    )
    copy(model, fit(model.state_dict(), given, find_map(model, names), what).laid)


def _published(model: nn.Module) -> Collection[str]:
    found: Collection[str] = getattr(model, "meta", {}).get("cnnspec", {}).get("weights", ())
    return found


def fit(
    ours: Mapping[str, Tensor],
    given: Mapping[str, Tensor],
    found: NameMap | None,
    what: str,
    *,
    whole: Iterable[str] | None = None,
    free: Collection[str] = (),
    places: Mapping[str, str] | None = None,
) -> Fitted:
    """Our tensors as the file has them, once all is proved.

    `whole` are the names that the file has to have where those are more than ours; `free` the tensors whose shape may
    differ; `places` say where a node was written. Raises RunError for names, other shapes, types and numbers.
    """
    due = list(ours if whole is None else whole)
    targets = found.peer_of(due) if found else {name: Target(to=name) for name in due}
    named = found.present(given) if found else {name: name for name in given}
    there = {now: given[name] for name, now in named.items()}
    if len(there) < len(named):
        raise RunError(f"{what} has tensors twice, under older and present names")
    _check_names(targets, there, what)
    inside = {name: target for name, target in targets.items() if name in ours}
    fitted = _laid(ours, inside, there, what, free, places or {})
    fitted.unused.extend(target.to for name, target in targets.items() if name not in ours and target.to in there)
    _check_numbers(fitted.laid, inside, what)
    return fitted


def copy(model: nn.Module, laid: Mapping[str, Tensor], prefix: str = "") -> None:
    """Copy tensors into the model's, all of which fit."""
    ours = model.state_dict()
    with torch.no_grad():
        for name, value in laid.items():
            ours[prefix + name].copy_(value)


def export_weights(model: nn.Module, names: str | Path | None = "torchvision") -> dict[str, Tensor]:
    """The model's weights as a state dict under the peer's names, which the peer loads; tensors are copies."""
    found = find_map(model, names)
    ours = model.state_dict()
    targets = found.peer_of(ours) if found else {name: Target(to=name) for name in ours}
    return {target.to: target.to_peer(ours[name]).detach().clone() for name, target in targets.items()}


def _check_names(targets: Mapping[str, Target], there: Mapping[str, Tensor], what: str) -> None:
    due = {target.to: name for name, target in targets.items()}
    missing = [name for name in due if name not in there and not name.endswith(COUNTER)]
    unexpected = [name for name in there if name not in due]
    if not missing and not unexpected:
        return
    lines = []
    if missing:
        near = ((name, nearest(name, unexpected)) for name in missing)
        shown = [f"{name} (for {due[name]})" + (f", it has {other}" if other else "") for name, other in near]
        lines.append(f"{len(missing)} missing:{listed(shown)}")
    if unexpected:
        near = ((name, nearest(name, missing)) for name in unexpected)
        shown = [name + (f", wanted is {other}" if other else "") for name, other in near]
        lines.append(f"{len(unexpected)} unexpected:{listed(shown)}")
    raise RunError(f"{what} does not have the model's tensors\n" + "\n".join(lines))


def _laid(
    ours: Mapping[str, Tensor],
    targets: Mapping[str, Target],
    there: Mapping[str, Tensor],
    what: str,
    free: Collection[str],
    places: Mapping[str, str],
) -> Fitted:
    """The peer's tensors laid out as ours, by our names; raises RunError with every shape and type that differs."""
    fitted, faults = Fitted(), []
    for name, target in targets.items():
        if target.to not in there:
            continue  # a counter
        value, own = there[target.to], ours[name]
        due = target.to_peer(own).shape
        if value.shape == due and value.is_floating_point() == own.is_floating_point():
            fitted.laid[name] = target.from_peer(value, own.shape)
        elif name in free and value.is_floating_point() == own.is_floating_point():
            fitted.misfits.append(Misfit(name, tuple(own.shape), target.to, tuple(value.shape)))
        else:
            place = places.get(name.rpartition(".")[0])
            known = f"{name} is {list(own.shape)} {_kind(own)}{f' ({place})' if place else ''}"
            known += f", which wants {target.to} to be {list(due)}"
            faults.append(f"{known}; it is {list(value.shape)} {_kind(value)}")
    if faults:
        raise RunError(f"{len(faults)} tensors of {what} do not fit the model's:{listed(faults)}")
    return fitted


def _kind(value: Tensor) -> str:
    return str(value.dtype).removeprefix("torch.")


def _check_numbers(laid: Mapping[str, Tensor], targets: Mapping[str, Target], what: str) -> None:
    faults = []
    for name, value in laid.items():
        bad = ~torch.isfinite(value)
        if count := int(bad.sum()):
            first = [int(index) for index in bad.nonzero()[0]]
            faults.append(f"{targets[name].to} (for {name}): {count} of {value.numel()}, the first at {first}")
    if faults:
        raise RunError(f"{what} holds numbers that are NaN or infinite; nothing was loaded:{listed(faults)}")
