"""The constructor of a class: which numbers differ between its instances, and how few arguments give them all."""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from cnnspec_torch.source.make import ANY, Each, Free, Layer, Table

IN = "in_channels"
_INWARD = frozenset({IN, "in_features", "channels", "num_channels", "maps", "groups", "num_parameters"})
_FIXED = frozenset({"kernel", "kernel_size", "padding", "bias"})
_SPARE = (0, 0.0, False)


@dataclass(eq=False)
class Column:
    """One possible argument with its value for every instance; ANY where the call leaves it to the default."""

    name: str
    values: list[Any]
    rank: int
    default: Any = ...
    used: bool = False

    def fits(self, vector: Sequence[Any]) -> bool:
        """Whether the vector is this argument; what the calls leave open becomes its default, if that is one value."""
        open_, met = [], False
        for mine, value in zip(self.values, vector, strict=True):
            if value is ANY:
                continue
            if mine is ANY:
                open_.append(value)
            elif not alike(mine, value):
                return False
            else:
                met = True
        if not met or any(not alike(value, open_[0]) for value in open_):
            return False
        if open_:
            self.values = [open_[0] if mine is ANY else mine for mine in self.values]
            self.default = open_[0]
        return True

    def settle(self) -> None:
        """A default for instances whose value nothing depends on."""
        if any(value is ANY for value in self.values):
            known = next((value for value in self.values if value is not ANY), None)
            spare = next((zero for zero in _SPARE if type(zero) is type(known)), None)
            self.default = spare if self.default is ... else self.default
            self.values = [self.default if value is ANY else value for value in self.values]

    @property
    def type(self) -> str:
        found = dict.fromkeys(_type(value) for value in self.values)
        if {"int", "float"} <= found.keys():
            del found["int"]
        return " | ".join(sorted(found, key=lambda name: (name == "None", name)))


class Arguments:
    """The arguments of one class, found as its slots ask for expressions."""

    def __init__(
        self,
        channels: Sequence[Sequence[int]],
        results: Sequence[int],
        given: Sequence[dict[str, Any]],
        taken: Iterable[str],
    ) -> None:
        """For every instance: the channels of what it takes, those of its result, and what its call gave by name."""
        self.taken, self.results = set(taken), list(results)
        self.columns: list[Column] = []
        for number, inward in enumerate(zip(*channels, strict=True), 1):
            self._add(IN if number == 1 else f"{IN}_{number}", list(inward), 0)
        for name in dict.fromkeys(name for args in given for name in args):
            values = [_plain(args[name]) if name in args else ANY for args in given]
            if not any(value is None for value in values):
                self._add(name, values, 1)

    def expression(self, slot: Sequence[str], vector: Sequence[Any], default: Any) -> str | Any:
        """The text of an expression of the arguments, or the one value that the slot has in all instances."""
        role = slot[-1]
        known = [value for value in vector if value is not ANY]
        if not known:
            return default if default is not ... else 0
        if any(isinstance(value, Free) for value in known):
            return self._free(known)
        if all(alike(value, known[0]) for value in known):
            return self._namesake(role, vector) or Constant(known[0])
        return self._direct(role, vector) or self._reckoned(role, vector) or self._new(slot, vector, default)

    def _free(self, known: Sequence[Any]) -> str:
        """The argument for a number that may be any; the spec's own is its default."""
        free = next(value for value in known if isinstance(value, Free))
        column = next((column for column in self.columns if column.default == free), None)
        if column is None:
            column = self._add(free.name, [free] * len(self.results), 3)
            column.default, column.used = free, True
        return column.name

    def _namesake(self, role: str, vector: Sequence[Any]) -> str | None:
        """An argument of the call, where some instances lack the slot and it is the others' one value: best the one of
        the slot's own name, and never one for a kernel."""
        if ANY not in vector or role in _FIXED:
            return None
        given = [column for column in self.columns if column.rank == 1 and ANY not in column.values]
        for column in sorted(given, key=lambda column: column.name != role):
            if len(set(column.values)) > 1 and column.fits(vector):
                column.used = True
                return column.name
        return None

    def _ordered(self, role: str) -> list[Column]:
        return sorted(self.columns, key=lambda column: (column.rank == 0) != (role in _INWARD))

    def _direct(self, role: str, vector: Sequence[Any]) -> str | None:
        for column in self._ordered(role):
            if column.fits(vector):
                column.used = True
                return column.name
        return None

    def _reckoned(self, role: str, vector: Sequence[Any]) -> str | None:
        if not _counts(vector, vector):
            return None
        whole = [column for column in self._ordered(role) if _counts(column.values, vector)]
        if role == "count" and (less := self._less(whole, vector)):
            return less
        if ANY in vector:  # few instances agree with many factors
            return self._product(whole, vector) or self._multiple(whole, role, vector)
        return self._multiple(whole, role, vector) or self._product(whole, vector)

    def _less(self, columns: list[Column], vector: Sequence[Any]) -> str | None:
        """One less than an argument: the repeats behind a first step of another kind."""
        for column in columns:
            if all(b is ANY or a - 1 == b for a, b in zip(column.values, vector, strict=True)):
                column.used = True
                return f"{column.name} - 1"
        return None

    def _multiple(self, columns: list[Column], role: str, vector: Sequence[Any]) -> str | None:
        for column in columns:
            pairs = [(a, b) for a, b in zip(column.values, vector, strict=True) if b is not ANY]
            a, b = max(pairs)
            factor = Fraction(b, a) if a else Fraction(0)
            if factor.denominator == 1 and factor > 1 and all(y == factor * x for x, y in pairs):
                column.used = True
                return f"{factor} * {column.name}"
            divisor = 2 if role == "padding" else factor.denominator if factor.numerator == 1 else 0
            exact = role == "padding" or all(x % divisor == 0 for x, _ in pairs if divisor)
            if divisor > 1 and exact and all(y == x // divisor for x, y in pairs):
                column.used = True
                return f"{column.name} // {divisor}"
        return None

    def _product(self, columns: list[Column], vector: Sequence[Any]) -> str | None:
        plain = [column for column in self.columns if all(type(value) is int for value in column.values)]
        for number, one in enumerate(plain):
            for other in plain[number + 1 :]:
                rows = zip(one.values, other.values, vector, strict=True)
                varied = one in columns or other in columns
                if varied and all(c is ANY or a * b == c for a, b, c in rows):
                    one.used = other.used = True
                    return f"{one.name} * {other.name}" if one.rank else f"{other.name} * {one.name}"
        return None

    def _new(self, slot: Sequence[str], vector: Sequence[Any], default: Any) -> str:
        role = slot[-1].rstrip("+")
        idle = [column for column in self.columns if column.name == role and any(map(_word, column.values))]
        if idle:  # `padding=half` of a call: the layer's own numbers take its place
            self.columns.remove(idle[0])
            self.taken.remove(role)
        column = self._add(role if role not in self.taken else "_".join(slot[-2:]).rstrip("+"), list(vector), 2)
        column.used = True
        if default is not ... and any(alike(value, default) for value in vector):
            column.default = default
        return column.name

    def _add(self, name: str, values: list[Any], rank: int) -> Column:
        name = f"{name.lower()}_" if hasattr(builtins, name.lower()) else name.lower()
        free, number = name, 2
        while free in self.taken:
            free, number = f"{name}_{number}", number + 1
        self.taken.add(free)
        self.columns.append(Column(free, values, rank))
        return self.columns[-1]

    def condition(self, name: str, present: Sequence[bool]) -> str:
        """A test of the arguments that holds for just those instances that have an optional part."""
        absent = [not one for one in present]
        for find, wanted, negate in (
            (self._together, list(present), False),
            (self._together, absent, True),
            (self._single, list(present), False),
            (self._single, absent, True),
        ):
            found = find(wanted)
            if found is not None:
                for column in found[0]:
                    column.used = True
                joined = (" and " if negate else " or ").join(found[1])
                return (
                    joined.replace(" != ", " == ")
                    if negate and " != " in joined
                    else f"not {joined}"
                    if negate
                    else joined
                )
        column = self._add(f"with_{name}", list(present), 2)
        column.used = True
        return column.name

    def _together(self, wanted: list[bool]) -> tuple[list[Column], list[str]] | None:
        """`stride != 1 or in_channels != filters`: that the shape changes, where it is just this."""
        strides = [column for column in self.columns if column.name == "stride" and ANY not in column.values]
        tests = [([column], f"{column.name} != 1", [value != 1 for value in column.values]) for column in strides]
        first = [column for column in self.columns if column.rank == 0][:1]
        for column in first:
            for other, text in self._result():
                changes = [a != b for a, b in zip(column.values, self.results, strict=True)]
                tests.append(([column, other], f"{column.name} != {text}", changes))
                break
        sound = [test for test in tests if _sound(test[2], wanted)]
        if not any(len(test[0]) == 2 for test in sound):
            return None
        if [any(row) for row in zip(*(test[2] for test in sound), strict=True)] != wanted:
            return None
        return [column for test in sound for column in test[0]], [test[1] for test in sound]

    def _result(self) -> Iterator[tuple[Column, str]]:
        """The channels of the result as an argument or a multiple of one."""
        for column in self.columns:
            if column.rank and all(type(value) is int and value for value in column.values):
                factors = {Fraction(b, a) for a, b in zip(column.values, self.results, strict=True)}
                if len(factors) == 1 and (factor := factors.pop()).denominator == 1:
                    yield column, column.name if factor == 1 else f"{factor} * {column.name}"

    def _single(self, wanted: list[bool]) -> tuple[list[Column], list[str]] | None:
        """One argument that is a boolean, or a number that is not 1 or not the channels that come in."""
        known = [column for column in self.columns if ANY not in column.values]
        for column in known:
            if column.values == wanted and all(isinstance(value, bool) for value in column.values):
                return [column], [column.name]
        whole = [column for column in known if all(type(value) is int for value in column.values)]
        inward = next((column for column in whole if column.rank == 0), None)
        for column in (column for column in whole if column.rank):
            if [value != 1 for value in column.values] == wanted:
                return [column], [f"{column.name} != 1"]
            if inward and [a != b for a, b in zip(column.values, inward.values, strict=True)] == wanted:
                return [column, inward], [f"{column.name} != {inward.name}"]
        return None

    def settled(self) -> list[Column]:
        """The arguments in the order of the signature."""
        used = [column for column in self.columns if column.used]
        for column in used:
            column.settle()
        return sorted(used, key=lambda column: (column.default is not ..., column.rank))


@dataclass(frozen=True)
class Constant:
    """What a slot holds in every instance."""

    value: Any


def _word(value: Any) -> bool:
    return isinstance(value, str)


def alike(a: Any, b: Any) -> bool:
    return type(a) is type(b) and bool(a == b)


def _sound(test: Sequence[bool], wanted: Sequence[bool]) -> bool:
    return any(test) and all(not said or true for said, true in zip(test, wanted, strict=True))


def _counts(values: Sequence[Any], vector: Sequence[Any], least: int = 2) -> bool:
    """Whether these are whole numbers, and not all the same, wherever the vector has a value."""
    met = [value for value, asked in zip(values, vector, strict=True) if asked is not ANY]
    return all(type(value) is int for value in met) and len(set(met)) >= least


def _plain(value: Any) -> Any:
    """An argument of a block as an operator gets it; None for what is no plain value."""
    if isinstance(value, Fraction):
        return float(value)
    if isinstance(value, tuple):
        items = tuple(_plain(item) for item in value)
        return None if None in items else items[0] if items and len(set(items)) == 1 else items
    return value if isinstance(value, bool | int | str) else None


def _type(value: Any) -> str:
    if isinstance(value, Layer | Free):
        return "type[nn.Module]" if isinstance(value, Layer) else "int"
    if isinstance(value, Each):
        return "tuple[float, ...]"
    if isinstance(value, Table):
        return "Tensor" if value.after else "tuple[Any, ...]"
    if isinstance(value, tuple):
        inner = {_type(item) for item in value}
        return f"tuple[{', '.join(_type(item) for item in value)}]" if len(value) <= 3 else f"tuple[{inner.pop()}, ...]"
    return "None" if value is None else type(value).__name__
