"""Maps between our names of tensors and a peer's.

A map (specs/names/NAME.PEER.yaml) is data, total and one-to-one: every tensor of both sides stands in it exactly once
or is listed as dropped. Nothing is matched by order or shape.

    peer: torchvision
    specs: [resnet18, resnet34]
    pairs:                                  # ours: the peer's, by module; .weight, .bias ... carry over
      c{s}.stage.unit{u}.conv{k}: layer{s-1}.{u-1}.conv{k}
      body.{part}: features.{part}          # a wildcard that is a table of `parts` stands for its rows
      fc6.conv.weight: {to: classifier.0.weight, reshape: [0, -1]}
    parts: {part: {wide.conv: conv.0.0, deep.conv: conv.1.0}}
    dropped: {ours: [...], peer: [...]}     # our tensors the peer lacks, the peer's that we lack
    older: {norm.{k}: norm{k}}              # names in the peer's older files: its present ones

On our side {u} stands for a number from 1, written as repeats are: nothing (1), _2 (2), or plain digits. On the peer's
side it is reckoned with: {u}, {u-1}, {2*u+3}. A pair that names a tensor may say how the peer's axes lie: `permute`
gives for each of our axes the peer's ([3, 2, 0, 1] for Keras's height, width, in, out), `reshape` the peer's shape
after that, where 0 keeps an axis and -1 takes the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Size, Tensor, nn

from cnnspec import reader, zoo
from cnnspec.diagnostics import Diagnostic, MissingError, RunError, SpecError, UsageError, did_you_mean

SHOWN = 10
_WILDCARD = re.compile(r"\{([^{}]*)\}")
_SUM = re.compile(r"(?:([0-9]+)\*)?([A-Za-z_]\w*)([+-][0-9]+)?")


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Target(_Model):
    """The peer's name of a tensor and how its axes lie."""

    to: str
    permute: tuple[int, ...] | None = None
    reshape: tuple[int, ...] | None = None

    def from_peer(self, value: Tensor, shape: Size) -> Tensor:
        """The peer's tensor as ours, of that shape."""
        if self.permute is None:
            return value.reshape(shape) if self.reshape is not None else value
        axes = self.permute
        if self.reshape is not None:
            value = value.reshape([shape[axes.index(axis)] for axis in range(len(axes))])
        return value.permute(axes)

    def to_peer(self, value: Tensor) -> Tensor:
        """Our tensor as the peer's; raises RunError where the map does not suit its shape."""
        try:
            if self.permute is not None:
                value = value.permute([self.permute.index(axis) for axis in range(len(self.permute))])
            if self.reshape is not None:
                value = value.reshape([size or value.shape[axis] for axis, size in enumerate(self.reshape)])
        except (RuntimeError, ValueError, IndexError):
            laid = f"permute {list(self.permute or ())}, reshape {list(self.reshape or ())}"
            raise RunError(f"{self.to}: {laid} does not suit a tensor of shape {list(value.shape)}") from None
        return value


class _Dropped(_Model):
    ours: tuple[str, ...] = ()
    peer: tuple[str, ...] = ()


class _Document(_Model):
    peer: str
    specs: tuple[str, ...]
    pairs: dict[str, str | Target]
    parts: dict[str, dict[str, str]] = {}
    dropped: _Dropped = _Dropped()
    older: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class _Pattern:
    """One line of a map: what it matches on its left side, and what that becomes."""

    left: re.Pattern[str]
    target: Target
    parts: Mapping[str, Mapping[str, str]]

    def match(self, name: str) -> Target | None:
        """The target of a tensor's name, its last part carried over where the line names a module; None: no match."""
        found = self.left.fullmatch(name)
        if found is None:
            return None
        return self.target.model_copy(update={"to": self._fill(found.groupdict()) + (found["tail"] or "")})

    def _fill(self, values: Mapping[str, str]) -> str:
        def number(wildcard: re.Match[str]) -> str:
            if wildcard[1] in self.parts:
                return self.parts[wildcard[1]][values[wildcard[1]]]
            factor, name, offset = _SUM.fullmatch(wildcard[1]).groups()  # type: ignore[union-attr]  # _pattern checked it
            return str(int(factor or 1) * int(values[name].lstrip("_") or 1) + int(offset or 0))

        return _WILDCARD.sub(number, self.target.to)


def _pattern(left: str, target: Target, parts: Mapping[str, Mapping[str, str]]) -> _Pattern:
    """Raises ValueError for a wildcard that cannot be read."""
    known = _WILDCARD.findall(left)
    if wrong := [name for name in known if not name.isidentifier() or known.count(name) > 1]:
        raise ValueError(f"{{{wrong[0]}}} is no wildcard: a name, once")
    for wildcard in _WILDCARD.findall(target.to):
        reckoned = _SUM.fullmatch(wildcard)
        if not reckoned or reckoned[2] not in known or (reckoned[2] in parts and wildcard != reckoned[2]):
            raise ValueError(f"{{{wildcard}}} is not made of a wildcard of the other side")
    pieces = []
    for at, piece in enumerate(_WILDCARD.split(left)):
        if at % 2 == 0:
            pieces.append(re.escape(piece))
        elif piece in parts:
            pieces.append(f"(?P<{piece}>{'|'.join(map(re.escape, parts[piece]))})")
        else:
            pieces.append(f"(?P<{piece}>_[1-9][0-9]*|[0-9]+|)")
    laid = target.permute is not None or target.reshape is not None
    return _Pattern(re.compile("".join(pieces) + f"(?P<tail>{'' if laid else '[.][A-Za-z_]+|'})"), target, parts)


@dataclass(frozen=True, slots=True)
class NameMap:
    """A map that was read and checked; `peer_of` applies it."""

    path: str
    peer: str
    specs: tuple[str, ...]
    pairs: tuple[_Pattern, ...] = ()
    dropped_ours: tuple[_Pattern, ...] = ()
    dropped_peer: tuple[_Pattern, ...] = ()
    older: tuple[_Pattern, ...] = ()

    @classmethod
    def read(cls, path: str | Path) -> NameMap:
        """Raises MissingError where there is no file, SpecError with every fault in it."""
        try:
            source = reader.read_file(path)
        except OSError as error:
            raise MissingError(f"cannot read {path}: {error.strerror}") from None
        root, found = reader.read(source)
        if found:
            raise SpecError(found)
        try:
            document = _Document.model_validate(_tuples(reader.to_python(root)))
        except ValidationError as error:
            faults = [(fault["loc"], fault["msg"]) for fault in error.errors()]
            raise SpecError([_fault(root, *fault) for fault in faults]) from None

        def patterns(where: tuple[str, ...], lines: Iterable[tuple[str, str | Target]]) -> tuple[_Pattern, ...]:
            made = []
            for left, target in lines:
                given = target if isinstance(target, Target) else Target(to=target)
                try:
                    made.append(_pattern(left, given, document.parts))
                except ValueError as error:
                    found.append(_fault(root, (*where, left), str(error)))
            return tuple(made)

        made = cls(
            path=str(path),
            peer=document.peer,
            specs=document.specs,
            pairs=patterns(("pairs",), document.pairs.items()),
            dropped_ours=patterns(("dropped", "ours"), ((name, "") for name in document.dropped.ours)),
            dropped_peer=patterns(("dropped", "peer"), ((name, "") for name in document.dropped.peer)),
            older=patterns(("older",), document.older.items()),
        )
        if found:
            raise SpecError(found)
        return made

    def peer_of(self, names: Iterable[str]) -> dict[str, Target]:
        """Our tensors' names to the peer's, dropped ones left out; raises RunError where the map is not one-to-one."""
        targets: dict[str, Target] = {}
        faults = []
        for name in names:
            found = [target for pattern in self.pairs if (target := pattern.match(name))]
            dropped = any(pattern.match(name) for pattern in self.dropped_ours)
            if len(found) + dropped != 1:
                faults.append(f"{name} stands {len(found) + dropped} times")
            elif found:
                targets[name] = found[0]
        back: dict[str, str] = {}
        for name, target in targets.items():
            if (other := back.setdefault(target.to, name)) != name:
                faults.append(f"{other} and {name} are both {target.to}")
        if faults:
            raise RunError(f"{self.path} does not give every tensor one name:{listed(faults)}")
        return targets

    def present(self, names: Iterable[str]) -> dict[str, str]:
        """The peer's present names of the tensors of a file, by the file's; dropped ones are left out."""
        renamed = {name: next((t.to for p in self.older if (t := p.match(name))), name) for name in names}
        return {name: now for name, now in renamed.items() if not any(p.match(now) for p in self.dropped_peer)}


def _tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def _fault(root: reader.Mapping, loc: tuple[int | str, ...], message: str) -> Diagnostic:
    return Diagnostic("names.map", f"{'.'.join(map(str, loc))}: {message}", reader.locate(root, loc))


def listed(lines: list[str]) -> str:
    more = [f"... and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    return "".join(f"\n  {line}" for line in [*lines[:SHOWN], *more])


def shipped_maps() -> Iterator[NameMap]:
    for path in sorted((zoo.folder() / "names").glob("*.yaml")):
        yield NameMap.read(path)


def find_map(model: nn.Module | str | None, names: str | Path | None) -> NameMap | None:
    """The map at a path, of a shipped map's name (`resnet.torchvision`) or of a peer; None where the names are ours.

    `model` is a lowered model or the name of its spec. Raises MissingError where none is shipped for the spec and that
    peer.
    """
    if names is None:
        return None
    if isinstance(names, Path) or zoo.is_path(names):
        return NameMap.read(names)
    if (shipped := zoo.folder() / "names" / f"{names}.yaml").is_file():
        return NameMap.read(shipped)
    spec = getattr(model, "meta", {}).get("cnnspec", {}).get("name") if isinstance(model, nn.Module) else model
    maps = list(shipped_maps())
    if spec is None:
        help = "give the map of names as a path, or by its name (resnet.torchvision)"
        raise UsageError("the model does not say which spec it is", help)
    for found in maps:
        if found.peer == names and spec in found.specs:
            return found
    least = "give a map of your own as a path, or names=None where the names are ours"
    help = did_you_mean(names, {found.peer for found in maps} - {names}) or least
    raise MissingError(f"there is no map of names between {spec} and {names}", help)
