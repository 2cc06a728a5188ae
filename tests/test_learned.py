"""What the built-in scenes teach in minutes, by the benchmark's own command."""

from __future__ import annotations

import json
import os
import runpy
import shlex
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

import cnnspec
from cnnspec import recipe
from cnnspec_torch import suiting

LEARNED = Path(__file__).parent.parent / "benchmarks" / "learned.py"
WORKS: dict[str, str] = runpy.run_path(str(LEARNED))["WORKS"]
USUAL = {"digits-located": "locate", "digits-scenes": "detect", "digits-masks": "segment"}


@pytest.mark.parametrize("work", WORKS)
def test_the_recipes_suit_their_networks(monkeypatch: pytest.MonkeyPatch, work: str) -> None:
    monkeypatch.chdir(LEARNED.parent / "specs")
    spec, *options = shlex.split(WORKS[work])
    given = [*pairwise(options)]
    (name,) = [value for option, value in given if option == "--recipe"] or [USUAL[work]]
    changes = [value.removeprefix("recipe.").partition("=") for option, value in given if option == "--set"]
    chosen = recipe.load(name, {key: value for key, _, value in changes})
    assert suiting.needed(cnnspec.compile(spec), chosen).classes > 1


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
