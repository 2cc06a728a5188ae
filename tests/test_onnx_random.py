"""Random specs as ONNX, plain and optimized: shapes that onnx infers, onnxruntime beside torch."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from cnnspec.diagnostics import RunError, SpecError
from cnnspec.front import compile_text
from cnnspec_onnx.model import OLDEST
from cnnspec_onnx.verify import verify
from random_specs import specs

FAST, LONG = 40, 1_000


def explored(count: int, optimized: bool) -> None:
    verified = 0

    @settings(
        max_examples=count,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        phases=[Phase.generate],  # shrinking takes many minutes,
        database=None,
        derandomize=count == FAST,
    )
    @given(specs())
    def once(text: str) -> None:
        nonlocal verified
        try:
            verify(compile_text(text), OLDEST, optimized)
        except (SpecError, RunError):  # an unused input; numbers out of range
            return
        verified += 1

    once()
    assert verified > count * 0.9


@pytest.mark.parametrize("optimized", [False, True], ids=["plain", "optimized"])
def test_random_specs(optimized: bool) -> None:
    explored(FAST, optimized)


@pytest.mark.long
@pytest.mark.parametrize("optimized", [False, True], ids=["plain", "optimized"])
def test_many_random_specs(optimized: bool) -> None:
    explored(LONG, optimized)
