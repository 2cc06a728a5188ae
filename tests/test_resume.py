"""A run that was stopped anywhere goes on exactly: the same rows, weights and optimizer as one that was not."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forked import forked
from running import learn, state


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, ...]:
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert forked(lambda: learn(folder)) == 0
    return state(folder)


STEPS = sorted(np.random.default_rng(0).choice(np.arange(1, 40), 10, replace=False).tolist())


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_a_step_a_run_goes_on_exactly(tmp_path: Path, whole: tuple[Any, ...], step: int) -> None:
    folder = tmp_path / "run"
    workers = (0, 1, 2)[STEPS.index(step) % 3]
    assert forked(lambda: learn(folder, at=step, workers=workers)) == -signal.SIGKILL
    if step == 1:  # nothing was written before the first step's end
        (folder / "losses").unlink()
        assert forked(lambda: learn(folder, workers=workers)) == 0
    else:
        assert forked(lambda: learn(folder, resume=True, workers=(workers + 1) % 3)) == 0
    assert state(folder) == whole
    events = [json.loads(line)["event"] for line in (folder / "events.jsonl").read_text().splitlines()]
    assert events.count("resume") == (step > 1)
