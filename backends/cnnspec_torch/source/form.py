"""What one level holds and does, comparable with other levels of its name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from cnnspec.graph import Node
from cnnspec_torch.source.function import MERGES, function
from cnnspec_torch.source.make import ANY, Arg, Each, Make, make
from cnnspec_torch.source.tree import Level, Tree, order

Ref = tuple[str, int]
"""A value inside a level: ("", i) is what it takes i-th, (part, i) what a part gives i-th."""
Slot = tuple[str, ...]
"""Where an argument stands: the names that lead to it, and its role."""


@dataclass(frozen=True)
class Run:
    """Repeats of one step under numbered names, from `start` on.

    By the place of an argument, `steps` says how much a whole number grows from turn to turn, and `each` lists the
    decimals of all turns.
    """

    make: Make
    start: int
    count: int
    steps: Mapping[int, int]
    each: Mapping[int, Each]

    @property
    def args(self) -> tuple[Arg, ...]:
        """The first turn's arguments, what changes from turn to turn, and the number of the last turn."""
        found = []
        for at, arg in enumerate(self.make.args):
            if at in self.each:
                found.append(Arg(f"{arg.role}s", self.each[at]))
            else:
                found.append(replace(arg, value=arg.value if self.count else ANY))
                found.append(Arg(f"{arg.role}+", self.steps.get(at, 0) if self.count > 1 else ANY))
        return (*found, *(() if self.each else (Arg("count", self.start - 1 + self.count),)))

    def agrees(self, other: Run) -> bool:
        mine, others = (run.make.structure for run in (self, other))
        return (mine, self.start, self.each.keys()) == (others, other.start, other.each.keys())


class Only(dict[str, Any]):
    """One module that takes or gives several values, under its name."""


SEQUENTIAL = frozenset(dir(nn.Sequential)) - frozenset(dir(nn.Module))
"""Names that a step of nn.Sequential may not bear."""
Item = Make | Run | dict[str, Any]
"""A module: a call that makes it, repeats of one, or steps in a row by their names."""


@dataclass(frozen=True, eq=False)
class Form:
    level: Level
    items: dict[str, Item]
    flow: dict[str, tuple[Ref, ...]]
    """The parts in the order in which they run, each with what it takes."""
    leaves: dict[str, Node]
    """Parts that are single operators."""
    results: tuple[Ref, ...]
    tags: dict[Ref, str]
    """Names for the values of parts that give several."""
    straight: bool
    """Each part takes what the one before gives, and none has a name of nn.Sequential's own."""


def form_of(tree: Tree, level: Level, classes: Mapping[str, Make]) -> Form:
    """`classes` has what makes each level below, by path, where it is an instance of a class."""
    if level.open:
        return Form(level, _items(tree, level, classes), {}, {}, (), {}, False)
    parts = dict(level.parts())
    running = order(parts, tree.places)
    value: dict[str, Ref] = {path: ("", number) for number, path in enumerate(level.takes)}
    flow: dict[str, tuple[Ref, ...]] = {}
    tags: dict[Ref, str] = {}
    for name in running:
        part = parts[name]
        taken, given = (part.inputs, (part.path,)) if isinstance(part, Node) else (part.takes, part.gives)
        flow[name] = tuple(value[path] for path in taken)
        value |= {path: (name, number) for number, path in enumerate(given)}
        if len(given) > 1:
            tags |= {(name, number): tag for number, tag in enumerate(_tags(given))}
    leaves = {name: part for name, part in parts.items() if isinstance(part, Node)}
    results = tuple(value[path] for path in level.gives)
    straight = _straight(flow, results, leaves) and not any("." in name or name in SEQUENTIAL for name in parts)
    return Form(level, _items(tree, level, classes), flow, leaves, results, tags, straight)


def _straight(flow: Mapping[str, tuple[Ref, ...]], results: tuple[Ref, ...], leaves: Mapping[str, Node]) -> bool:
    last: Ref = ("", 0)
    for name, taken in flow.items():
        if taken != (last,) or (name in leaves and leaves[name].op.op in MERGES):
            return False
        last = (name, 0)
    return results == (last,)


def alone(level: Level) -> bool:
    """Whether the level is but a name for one module that takes or gives several values."""
    lone = [child for child in level.children.values() if isinstance(child, Level) and not child.open]
    several = len(level.takes) > 1 or len(level.gives) > 1
    return level.frame is None and len(lone) == len(level.children) == 1 and several and not level.open


def _tags(paths: tuple[str, ...]) -> list[str]:
    """For each path the first name in it that not all have."""
    split = [path.split(".") for path in paths]
    at = next(at for at, names in enumerate(zip(*split, strict=False)) if len(set(names)) > 1)
    return [names[at] for names in split]


def _items(tree: Tree, level: Level, classes: Mapping[str, Make]) -> dict[str, Item]:
    items: dict[str, Item] = Only() if alone(level) else {}
    for name, child in level.children.items():
        if isinstance(child, Level):
            items[name] = classes[child.path] if child.path in classes else _items(tree, child, classes)
            continue
        types = tree.graph.input_types(child)
        if child.op.op not in MERGES and not (level.open and function(child.op, types)):
            items[name] = make(child.op, types, _base(name), tree.free.get(child.path))
    return items


def slots(items: Mapping[str, Item], at: Slot = ()) -> Iterator[tuple[Slot, Arg]]:
    for name, item in items.items():
        if isinstance(item, dict):
            yield from slots(item, (*at, name))
        else:
            yield from (((*at, name, arg.role), arg) for arg in item.args)


def names(items: Mapping[str, Item], at: Slot = ()) -> Iterator[Slot]:
    for name, item in items.items():
        yield (*at, name)
        if isinstance(item, dict):
            yield from names(item, (*at, name))


def merged(one: dict[str, Item], other: dict[str, Item]) -> dict[str, Item] | None:
    """Items that hold both, where one has all names of the other in the same order and common ones agree."""
    longer, shorter = (one, other) if len(one) >= len(other) else (other, one)
    if [name for name in longer if name in shorter] != list(shorter):
        return None
    result: dict[str, Item] = type(longer)()
    for name, item in longer.items():
        mine = item
        if name in shorter:
            found = _agreed(item, shorter[name])
            if found is None:
                return None
            mine = found
        result[name] = mine
    return result


def _agreed(one: Item, other: Item) -> Item | None:
    if isinstance(one, dict) and isinstance(other, dict):
        return merged(one, other)
    if isinstance(one, Make) and isinstance(other, Make):
        return one if one.structure == other.structure else None
    if isinstance(one, Run) and isinstance(other, Run):
        return (one if one.count >= other.count else other) if one.agrees(other) else None
    return None


def repeated(several: list[dict[str, Item]], least: int) -> list[dict[str, Item]]:
    """Steps in a row, of one instance each, with repeats as Runs where every instance has them alike."""
    for base in dict.fromkeys(_base(name) for items in several for name in items):
        groups = [_group(items, base) for items in several]
        if any(group is None for group in groups) or max(len(group or ()) for group in groups) < least:
            continue
        found = [group or [] for group in groups]
        for start in (1, 2):
            if any(len(group) < start - 1 for group in found):
                continue
            each = {at for group in found for at in _decimals(group[start - 1 :])}
            runs = [_run(group[start - 1 :], start, each) for group in found]
            made = [run for run in runs if run is not None]
            if len(made) == len(runs):
                most = max(made, key=lambda run: run.count)
                several = [
                    _with_run(items, base, run if run.count else replace(run, make=most.make), start)
                    for items, run in zip(several, made, strict=True)
                ]
                break
    return several


def _base(name: str) -> str:
    return re.sub(r"_\d+$", "", name)


def _group(items: Mapping[str, Item], base: str) -> list[Make] | None:
    """All steps of one name, where they follow one another; None where they do not or are no calls of one callee."""
    chosen = [name for name in items if _base(name) == base]
    wanted = [base if number == 1 else f"{base}_{number}" for number in range(1, len(chosen) + 1)]
    every = list(items)
    if chosen != wanted or (chosen and every[every.index(base) :][: len(chosen)] != chosen):
        return None
    makes = [item for name in chosen if isinstance(item := items[name], Make)]
    same = len(makes) == len(chosen) and len({item.structure for item in makes}) <= 1
    return makes if same and not any(item.callee.startswith("nn.") for item in makes) else None


def _decimals(makes: list[Make]) -> set[int]:
    """Places of arguments that are decimals, and not the same in all turns."""
    columns = enumerate(zip(*([arg.value for arg in make.args] for make in makes), strict=True))
    return {at for at, values in columns if len(set(values)) > 1 and all(isinstance(value, float) for value in values)}


def _run(makes: list[Make], start: int, each: set[int]) -> Run | None:
    """The steps as a Run; None where what is no decimal does not grow evenly."""
    steps: dict[int, int] = {}
    listed = {at: Each(make.args[at].value for make in makes) for at in each}
    if not makes:
        return Run(Make(""), start, 0, steps, listed)
    first, second = makes[0], makes[min(1, len(makes) - 1)]
    for at, (a, b) in enumerate(zip(first.args, second.args, strict=True)):
        whole = type(a.value) is int and type(b.value) is int
        steps[at] = b.value - a.value if whole else 0
        for turn, one in enumerate(makes):
            value, grown = one.args[at].value, a.value + turn * steps[at] if whole else a.value
            if at not in each and (type(value), value) != (type(grown), grown):
                return None
    return Run(first, start, len(makes), steps, listed)


def _with_run(items: Mapping[str, Item], base: str, run: Run, start: int) -> dict[str, Item]:
    result: dict[str, Item] = {}
    for name, item in items.items():
        if _base(name) != base:
            result[name] = item
        elif name == base:
            if start == 2:
                result[name] = item
            result[f"{base}_{start}" if start == 2 else base] = run
    return result
