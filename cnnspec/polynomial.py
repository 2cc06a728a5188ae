"""Polynomials in the symbols of sizes, with whole coefficients: counts before the sizes are chosen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod

from cnnspec.tensor import Dim, Size

Monomial = tuple[str, ...]
"""A product of symbols, each as often as it stands in it, sorted: `h*h*w`."""


@dataclass(frozen=True)
class Polynomial:
    """A sum of whole numbers times products of symbols: `terms` has no 0."""

    terms: Mapping[Monomial, int]

    @staticmethod
    def of(size: Size | Polynomial) -> Polynomial:
        if isinstance(size, Polynomial):
            return size
        if isinstance(size, Dim):
            return _kept({(size.symbol,): size.factor, (): size.offset})
        return _kept({(): size})

    def __add__(self, other: int | Polynomial) -> Polynomial:
        return _kept(_sum([*self.terms.items(), *Polynomial.of(other).terms.items()]))

    __radd__ = __add__

    def __mul__(self, other: Size | Polynomial) -> Polynomial:
        others = Polynomial.of(other).terms.items()
        pairs = ((tuple(sorted((*a, *b))), m * n) for a, m in self.terms.items() for b, n in others)
        return _kept(_sum(pairs))

    __rmul__ = __mul__

    def __floordiv__(self, divisor: int) -> Polynomial:
        """The exact quotient; the divisor divides every coefficient."""
        assert all(number % divisor == 0 for number in self.terms.values()), f"{divisor} does not divide {self}"
        return Polynomial({monomial: number // divisor for monomial, number in self.terms.items()})

    def at(self, values: Mapping[str, int]) -> int:
        """The number at these values of the symbols."""
        return sum(number * prod(values[symbol] for symbol in monomial) for monomial, number in self.terms.items())

    def __str__(self) -> str:
        """`9408*N*h^2 - 3*N*h + 4`, the highest powers first."""
        ordered = sorted(self.terms.items(), key=lambda term: (-len(term[0]), term[0]))
        text = "".join(f" {'-' if number < 0 else '+'} {_term(abs(number), symbols)}" for symbols, number in ordered)
        return "0" if not text else f"-{text[3:]}" if text.startswith(" -") else text[3:]


def product(sizes: Iterable[Size]) -> Polynomial:
    result = Polynomial.of(1)
    for size in sizes:
        result = result * size
    return result


def _term(number: int, symbols: Monomial) -> str:
    powers = [name if power == 1 else f"{name}^{power}" for name, power in Counter(symbols).items()]
    return "*".join([str(number), *powers] if number != 1 or not powers else powers)


def _sum(terms: Iterable[tuple[Monomial, int]]) -> dict[Monomial, int]:
    total: dict[Monomial, int] = {}
    for monomial, number in terms:
        total[monomial] = total.get(monomial, 0) + number
    return total


def _kept(terms: Mapping[Monomial, int]) -> Polynomial:
    return Polynomial({monomial: number for monomial, number in terms.items() if number})
