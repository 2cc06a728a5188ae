"""Sizes and tensor types. A size is an integer, or affine in one symbol: `32*h + 4`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import gcd, prod

from cnnspec import limits


class ShapeError(ValueError):
    """A shape rule does not hold. The compiler adds the position and the operands' facts."""

    def __init__(self, message: str, *, help: str | None = None, facts: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.message, self.help, self.facts = message, help, tuple(facts)


@dataclass(frozen=True, slots=True)
class Dim:
    """factor * symbol + offset, where symbol stands for an integer of at least 1; factor is never 0."""

    factor: int
    symbol: str
    offset: int = 0

    def __str__(self) -> str:
        head = {1: self.symbol, -1: f"-{self.symbol}"}.get(self.factor, f"{self.factor}*{self.symbol}")
        if self.offset == 0:
            return head
        return f"{head} {'+' if self.offset > 0 else '-'} {abs(self.offset)}"

    def __add__(self, other: Size) -> Size:
        if isinstance(other, int):
            return Dim(self.factor, self.symbol, self.offset + other)
        if other.symbol != self.symbol:
            raise ShapeError(f"{self} and {other} hold two symbols; a size holds one")
        return affine(self.factor + other.factor, self.symbol, self.offset + other.offset)

    __radd__ = __add__

    def __neg__(self) -> Dim:
        return Dim(-self.factor, self.symbol, -self.offset)

    def __sub__(self, other: Size) -> Size:
        return self + -other

    def __rsub__(self, other: Size) -> Size:
        return -self + other

    def __mul__(self, other: int) -> Size:
        return affine(self.factor * other, self.symbol, self.offset * other)

    __rmul__ = __mul__

    def __floordiv__(self, divisor: int) -> Size:
        self._must_divide(divisor)
        return affine(self.factor // divisor, self.symbol, self.offset // divisor)

    def __mod__(self, divisor: int) -> Size:
        self._must_divide(divisor)
        return self.offset % divisor

    def _must_divide(self, divisor: int) -> None:
        if self.factor % divisor:
            need = abs(self.factor * divisor // gcd(self.factor, divisor))
            raise ShapeError(
                f"{divisor} does not divide the factor of {self.symbol} in {self}",
                help=f"declare the input so that this size is a multiple of {need}*{self.symbol}"
                if self.offset == 0
                else f"declare the input with a larger factor of {self.symbol}",
            )

    def least(self) -> int:
        """The smallest value of the symbol, at least 1, that makes the size positive (factor > 0)."""
        return max(1, -((self.offset - 1) // self.factor))

    def at(self, values: Mapping[str, int]) -> int:
        return self.factor * values[self.symbol] + self.offset


Size = int | Dim


def affine(factor: int, symbol: str, offset: int) -> Size:
    return Dim(factor, symbol, offset) if factor else offset


def equal(a: Size, b: Size) -> bool | str:
    """True if identical, False if no symbol values of at least 1 make the sides equal, else the values that decide."""
    if a == b:
        return True
    if isinstance(a, int) and isinstance(b, int):
        return False
    if isinstance(a, Dim) and isinstance(b, Dim) and a.symbol != b.symbol:
        return _equal_two(a, b)
    difference = a - b
    if isinstance(difference, int):
        return False
    value, rest = divmod(-difference.offset, difference.factor)
    return f"{difference.symbol} = {value}" if rest == 0 and value >= 1 else False


def _equal_two(a: Dim, b: Dim) -> bool | str:
    """Least positive solution of a.factor * u - b.factor * v = b.offset - a.offset, by the modular inverse."""
    rest, common = b.offset - a.offset, gcd(a.factor, b.factor)
    if rest % common:
        return False
    step_u, step_v = abs(b.factor) // common, a.factor // common * (1 if b.factor > 0 else -1)
    u = rest // common * pow(a.factor // common, -1, step_u) % step_u or step_u  # u repeats by step_u, v then by step_v
    v = (a.factor * u - rest) // b.factor
    if v < 1 and step_v > 0:
        turns = -((v - 1) // step_v)
        u, v = u + turns * step_u, v + turns * step_v
    return f"{a.symbol} = {u}, {b.symbol} = {v}" if v >= 1 else False


def less(a: Size, b: Size) -> bool | str:
    """a < b: True or False where it is so for all symbol values of at least 1, else the value that decides."""
    if isinstance(a, Dim) and isinstance(b, Dim) and a.symbol != b.symbol:
        return f"{a.symbol} and {b.symbol}"
    difference = a - b
    if isinstance(difference, int):
        return difference < 0
    first = difference.factor + difference.offset < 0  # at symbol = 1
    if difference.factor > 0:
        if not first:
            return False
        return f"{difference.symbol} = {-(difference.offset // difference.factor)}"
    if first:
        return True
    return f"{difference.symbol} = {difference.offset // -difference.factor + 1}"


@dataclass(frozen=True)
class TensorType:
    """The sizes of a tensor: batch first, then channels, then the spatial axes."""

    shape: tuple[Size, ...]

    def __str__(self) -> str:
        return f"[{', '.join(map(str, self.shape))}]"

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def channels(self) -> int:
        """Axis 1, always a plain number: the language declares it so and operators keep it so."""
        size = self.shape[1]
        assert isinstance(size, int)
        return size

    @property
    def spatial(self) -> tuple[Size, ...]:
        return self.shape[2:]

    @cached_property
    def elements(self) -> int:
        """Number of elements of a concrete type."""
        return prod(self.concrete)

    @property
    def concrete(self) -> tuple[int, ...]:
        assert all(isinstance(size, int) for size in self.shape), f"{self} is symbolic"
        return self.shape  # type: ignore[return-value]

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(s.symbol for s in self.shape if isinstance(s, Dim)))

    def at(self, values: Mapping[str, int]) -> TensorType:
        """The concrete type at given symbol values."""
        return TensorType(tuple(s.at(values) if isinstance(s, Dim) else s for s in self.shape))

    def with_spatial(self, channels: int, sizes: Iterable[Size]) -> TensorType:
        return TensorType((self.shape[0], channels, *sizes))

    def check_limits(self) -> None:
        """Raise ShapeError where a fixed size is out of range."""
        fixed = 1
        for size in self.shape:
            if isinstance(size, int):
                if not 1 <= size <= limits.DIMENSION:
                    raise ShapeError(f"the result would be {self}: a size is from 1 to {limits.DIMENSION}")
                fixed *= size
            elif size.factor < 0 or size.factor > limits.DIMENSION or abs(size.offset) > limits.DIMENSION:
                raise ShapeError(f"the result would be {self}: the size {size} is out of range")
        if fixed > limits.ELEMENTS:
            raise ShapeError(f"the result would be {self}: {fixed} elements, the limit is {limits.ELEMENTS}")
