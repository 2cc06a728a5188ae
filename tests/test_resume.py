"""A run that was stopped anywhere goes on exactly: the same rows, weights and optimizer as one that was not."""

from __future__ import annotations

import json
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import cnnspec
from cnnspec import recipe
from cnnspec.graph import Graph
from cnnspec_torch import checkpoints, signed, training
from door import write
from forked import die, forked
from running import TIMES, learn, state


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


BODY = "x: image -> conv(8, 3, 2) -> batchnorm -> relu -> conv(16, 3, 2) -> batchnorm -> relu"
HEADS = {
    "locate": ("digits-located", "box: x -> global_avgpool -> dense(4)", "{box: {locate: {}}}"),
    "segment": ("digits-masks", "masks: x -> conv(11, 1) -> upsample(4, mode='bilinear')", "{masks: {segment: {}}}"),
}
"""Besides `detect`, which is tried with a shipped network."""


def spec_of(kind: str) -> str:
    _, line, heads = HEADS[kind]
    text = f"cnnspec: 1\nname: small\ninput: {{image: [N, 1, 32, 32]}}\nnet:\n  {BODY}\n  {line}\n"
    return text + f"outputs: [{line.partition(':')[0]}]\nheads: {heads}\n"


@pytest.mark.long
@pytest.mark.parametrize("kind", [*HEADS, "detect"])
def test_other_heads_go_on_exactly_too(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "run"
    if kind == "detect":
        graph = replace(cnnspec.compile("yolo-small", classes=10, width=4), typical={"h": 4, "w": 4})
    else:
        graph = cnnspec.compile(write(tmp_path, spec_of(kind)))
    data = "digits-scenes" if kind == "detect" else HEADS[kind][0]
    chosen = recipe.load(kind, {"data": data, "epochs": "2", "batch": "200", "checkpoint_minutes": "1e-9"})

    def work(at: int = 0, resume: bool = False) -> None:
        torch.set_num_threads(1)
        folder.mkdir(exist_ok=True)
        machine = training.Machine("cpu", workers=1 + resume)
        training.fit(
            graph, chosen, folder, lambda event: die() if event.get("step") == at else None, machine, resume=resume
        )

    assert forked(work) == 0
    whole = (folder / "best.safetensors").read_bytes(), digest(folder, graph)
    shutil.rmtree(folder)
    assert forked(lambda: work(at=3)) == -signal.SIGKILL
    assert forked(lambda: work(at=7, resume=True)) == -signal.SIGKILL
    assert forked(lambda: work(resume=True)) == 0
    assert ((folder / "best.safetensors").read_bytes(), digest(folder, graph)) == whole


def digest(folder: Path, graph: Graph) -> tuple[str, Any]:
    """Of the last checkpoint's tensors, and the rows without their times."""
    position, tensors, skipped = checkpoints.load(folder, graph, recipe.load(str(folder / "recipe.yaml")))
    assert skipped == []
    rows = [{key: value for key, value in row.items() if key not in TIMES} for row in position.rows]
    return signed.digest(sorted(tensors.items())), rows
