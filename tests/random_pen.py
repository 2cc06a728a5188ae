"""What random specs are drawn with: choices, numbers, and windows over a tensor, typed by arithmetic of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import gcd, prod
from typing import TypeVar

from hypothesis import strategies as st

from cnnspec.ops import BY_NAME
from cnnspec.tensor import Dim, Size, TensorType

T = TypeVar("T")
Pads = Sequence[tuple[int, int]]
PIXELS, VALUES = 20, 3000
"""The most along one axis, and in one image, at the typical sizes."""


class Misfit(Exception):
    """What was drawn does not fit the tensor; something else is drawn then."""


class Pen:
    """Draws choices (the first is the simplest) and writes numbers down."""

    def __init__(self, draw: st.DrawFn, typical: Mapping[str, int]) -> None:
        self.draw, self.typical = draw, typical

    def pick(self, *choices: T) -> T:
        return self.draw(st.sampled_from(choices))

    def chance(self, n: int) -> bool:
        """One time in n."""
        return self.draw(st.integers(1, n)) == n

    def number(self, value: int) -> str:
        return str(value)

    def numbers(self, values: Sequence[int]) -> str:
        """One for all axes where they are equal, else a list."""
        if len(set(values)) == 1 and not self.chance(4):
            return self.number(values[0])
        return f"[{', '.join(map(self.number, values))}]"

    def axes(self, x: TensorType, *choices: int) -> tuple[int, ...]:
        """One of the choices for all axes, or one for each."""
        one = self.pick(*choices)
        return tuple(self.pick(*choices) for _ in x.spatial) if self.chance(4) else (one,) * len(x.spatial)

    def at(self, size: Size) -> int:
        return size if isinstance(size, int) else size.at(self.typical)

    def checked(self, x: TensorType) -> TensorType:
        """The type itself, if it is positive and small at the typical sizes."""
        sizes = [self.at(size) for size in x.shape[1:]]
        if min(sizes) < 1 or max(sizes[1:], default=1) > PIXELS or prod(sizes) > VALUES:
            raise Misfit
        return x

    def call(self, op: str, **fields: str | None) -> str:
        """`conv(4, kernel=3)`: the first fields by position, the others by keyword, None left out."""
        given = {name: text for name, text in fields.items() if text is not None}
        order = BY_NAME[op].positional
        leading = next((at for at, name in enumerate(order) if name not in given), len(order))
        split = leading - (self.pick(*range(leading + 1)) if self.chance(4) else 0)
        words = [given.pop(name) for name in order[:split]] + [f"{name}={text}" for name, text in given.items()]
        return f"{op}({', '.join(words)})" if words else op


@dataclass(frozen=True)
class Window:
    """Kernel, stride, padding and dilation, as fields in a spec and as numbers for every axis."""

    text: dict[str, str]
    kernel: tuple[int, ...]
    reach: tuple[int, ...]
    stride: tuple[int, ...]
    pads: Pads

    def over(self, x: TensorType, channels: int, *, ceil: bool = False) -> TensorType:
        """How often it fits, counted as torch does."""
        sizes: list[Size] = []
        for n, k, s, (before, after) in zip(x.spatial, self.reach, self.stride, self.pads, strict=True):
            count = (n + (before + after - k + (s - 1 if ceil else 0))) // s + 1
            late = (count - 1) * s - n - before
            sizes.append(count - 1 if ceil and isinstance(late, int) and late >= 0 else count)
        return x.with_spatial(channels, sizes)


def window(pen: Pen, x: TensorType, keep: bool, *, pool: bool = False) -> Window:
    """A random one; with `keep` one that keeps the size. The padding of a pool is at most half its kernel."""
    kernel = pen.axes(x, 3, 1, 2, 4, 5)
    dilation = (1,) * len(kernel) if pool else pen.axes(x, 1, 1, 2)
    reach = tuple(d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True))
    wanted = (1,) * len(kernel) if keep else pen.axes(x, 1, 2, 3)
    stride = tuple(gcd(s, n.factor) if isinstance(n, Dim) else s for s, n in zip(wanted, x.spatial, strict=True))
    odd = all(k % 2 for k in kernel)
    if keep:
        form = pen.pick("half", "same") if odd else "same"
    else:
        form = pen.pick("half" if odd else "same", "same", "valid", "number", "axes", "sides")
    most = min(kernel) // 2 if pool else 2
    text, pads = padding(pen, x, form, reach, stride, most)
    fields = {"kernel": pen.numbers(kernel)}
    if (stride != kernel if pool else set(stride) != {1}) or pen.chance(3):
        fields["stride"] = pen.numbers(stride)
    if form != ("valid" if pool else "half") or pen.chance(3):
        fields["padding"] = text
    if set(dilation) != {1}:
        fields["dilation"] = pen.numbers(dilation)
    return Window(fields, kernel, reach, stride, pads)


def padding(
    pen: Pen, x: TensorType, form: str, reach: Sequence[int], stride: Sequence[int], most: int
) -> tuple[str, Pads]:
    """A padding of a form as text, and its (before, after) for every axis."""
    if form == "half":
        return form, [(e // 2, e // 2) for e in reach]
    if form == "same":
        sizes = map(pen.at, x.spatial)
        totals = [max((-(-n // s) - 1) * s + e - n, 0) for n, s, e in zip(sizes, stride, reach, strict=True)]
        return form, [(total // 2, total - total // 2) for total in totals]
    if form == "number":
        one = pen.pick(*range(most + 1))
        return pen.number(one), [(one, one)] * len(reach)
    if form == "axes":
        each = [pen.pick(*range(most + 1)) for _ in reach]
        return f"[{', '.join(map(pen.number, each))}]", [(p, p) for p in each]
    if form == "sides":
        pairs = [(pen.pick(*range(most + 1)), pen.pick(*range(most + 1))) for _ in reach]
        return f"[{', '.join(f'[{pen.number(b)}, {pen.number(a)}]' for b, a in pairs)}]", pairs
    return "valid", [(0, 0)] * len(reach)


def some(pen: Pen, **fields: str) -> dict[str, str]:
    """Each of the fields, or not."""
    return {name: text for name, text in fields.items() if pen.chance(3)}


def divisor(pen: Pen, *numbers: int) -> int:
    common = gcd(*numbers)
    return pen.pick(*(d for d in range(1, common + 1) if common % d == 0))


def nested(pen: Pen, sizes: Sequence[int]) -> str:
    """Lists of numbers."""
    if not sizes:
        return pen.pick("1", "0", "-2", "0.5")
    return f"[{', '.join(nested(pen, sizes[1:]) for _ in range(sizes[0]))}]"
