"""How far a module's output is from another's."""

from __future__ import annotations

from torch import Tensor

CLOSE = 1e-5
"""The largest difference allowed between two modules in single precision, as a part of an output's largest value."""


def part(due: Tensor, found: Tensor) -> float:
    """The largest difference as a part of the largest value that is due."""
    return float((due - found).abs().max() / due.abs().max().clamp(min=1e-30))
