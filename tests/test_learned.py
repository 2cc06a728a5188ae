"""What the built-in scenes teach in minutes, by the benchmark's own command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

LEARNED = Path(__file__).parent.parent / "benchmarks" / "learned.py"


@pytest.mark.long
@pytest.mark.parametrize(
    ("work", "least"),
    [
        ("digits-located", {"digit_top1": 0.85, "box_iou": 0.6}),
        ("digits-scenes", {"map50": 0.9}),
        ("digits-masks", {"mean_iou": 0.8}),
    ],
)
def test_scenes_are_learned(work: str, least: dict[str, float]) -> None:
    command = [sys.executable, str(LEARNED), "--only", work, "--seeds", "1", "--json"]
    every_core = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=every_core)
    (row,) = json.loads(done.stdout)["rows"]
    assert {name: row["means"][name] for name in least if row["means"][name] < least[name]} == {}
