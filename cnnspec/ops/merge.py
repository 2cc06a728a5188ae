"""Several tensors into one. Shapes must agree; only `scale` spreads."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, final

from cnnspec.ops.base import AbstractOp, Kept
from cnnspec.ops.window import axis_name
from cnnspec.tensor import ShapeError, TensorType, equal


class AbstractElementwise(AbstractOp):
    """Two tensors or more of one shape, merged value by value."""

    operands: ClassVar[tuple[str, ...] | None] = None

    def infer(self, *xs: TensorType) -> TensorType:
        _agree(self.op, xs, range(xs[0].rank))
        return xs[0]

    def other(self, y: TensorType, *xs: TensorType) -> int:
        return y.elements * (len(xs) - 1)


@final
class Add(AbstractElementwise):
    """y = x1 + x2 + ..., all of one shape. He et al. 2015 (arXiv 1512.03385), section 3.2, equation 1."""

    op: ClassVar[str] = "add"
    overwrites: ClassVar[bool] = True

    def passes(self) -> bool:
        return True


@final
class Maximum(AbstractElementwise):
    """y = max(x1, x2, ...) value by value, all of one shape. Goodfellow et al. 2013 (arXiv 1302.4389), section 3."""

    op: ClassVar[str] = "maximum"
    keeps: ClassVar[Kept] = frozenset({"x"})


@final
class Multiply(AbstractElementwise):
    """y = x1 * x2 * ... value by value, all of one shape; `scale` is the one that spreads a gate.

    Hochreiter and Schmidhuber 1997 (Neural Computation 9), section 4: the product of a value and its gate.
    """

    op: ClassVar[str] = "multiply"
    keeps: ClassVar[Kept] = frozenset({"x"})

    def kept(self, needs: tuple[bool, ...]) -> tuple[int, ...]:
        return factors(needs)


@final
class Concat(AbstractOp):
    """The maps of x1, then those of x2, ...: all sizes but axis 1 agree. Szegedy et al. 2014 (1409.4842), section 4."""

    op: ClassVar[str] = "concat"
    operands: ClassVar[tuple[str, ...] | None] = None

    def infer(self, *xs: TensorType) -> TensorType:
        _agree(self.op, xs, [axis for axis in range(xs[0].rank) if axis != 1])
        return xs[0].with_spatial(sum(x.channels for x in xs), xs[0].spatial)

    def passes(self) -> bool:
        return True


@final
class Scale(AbstractOp):
    """y[n, c, i, j] = x[n, c, i, j] * gate[n, c]; the gate is [N, C] or [N, C, 1, 1].

    Hu et al. 2017 (arXiv 1709.01507), section 3.2, equation 4.
    """

    op: ClassVar[str] = "scale"
    operands: ClassVar[tuple[str, ...] | None] = ("x", "gate")
    keeps: ClassVar[Kept] = frozenset({"x"})

    def infer(self, *xs: TensorType) -> TensorType:
        x, gate = xs
        flat = TensorType(x.shape[:2])
        spread = x.with_spatial(x.channels, (1,) * (x.rank - 2))
        if gate not in (flat, spread):
            wanted = f"{flat} or {spread}" if x.rank > 2 else f"{flat}"
            message = f"the gate of scale must be {wanted}, one value per map of x, got {gate}"
            raise ShapeError(message, help="global_avgpool gives one value per map" if gate.rank > 2 else None)
        return x

    def kept(self, needs: tuple[bool, ...]) -> tuple[int, ...]:
        return factors(needs)

    def other(self, y: TensorType, *xs: TensorType) -> int:
        return y.elements


def factors(needs: tuple[bool, ...]) -> tuple[int, ...]:
    """The factors that a product keeps: each is the slope of the others."""
    return tuple(i for i in range(len(needs)) if any(needs[:i] + needs[i + 1 :]))


def _agree(op: str, xs: tuple[TensorType, ...], axes: Iterable[int]) -> None:
    """Raise ShapeError unless every operand has the first one's sizes along the axes."""
    first = xs[0]
    if any(x.rank != first.rank for x in xs):
        raise ShapeError(f"operands of {op} differ in the number of axes")
    differ: dict[str, None] = {}
    undecided: dict[str, str] = {}
    for x in xs[1:]:
        for axis in axes:
            verdict = equal(first.shape[axis], x.shape[axis])
            if verdict is False:
                differ[_name(first, axis)] = None
            elif verdict is not True:
                undecided[_name(first, axis)] = str(verdict)
    if differ:
        raise ShapeError(f"operands of {op} differ in {_joined(differ)}")
    if undecided:
        values = next(iter(undecided.values()))
        raise ShapeError(
            f"operands of {op} agree in {_joined(undecided)} only for some values, such as {values}",
            help="sizes that hold a symbol must be identical; sizes that must agree want one symbol",
        )


def _name(x: TensorType, axis: int) -> str:
    return axis_name(x, axis - 2) if axis >= 2 else ("batch", "channels")[axis]


def _joined(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
