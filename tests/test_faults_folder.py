"""What a run writes and who else wants it: a folder that goes or is taken, a reader that leaves, what is recorded."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from cnnspec import recipe
from cnnspec.diagnostics import RunError, UsageError
from cnnspec.front import compile_text
from cnnspec_torch import runs, training
from door import TINY, write
from forked import forked
from running import learn, losses

GRAPH = compile_text(TINY)


def test_a_folder_that_is_deleted_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "run"

    def work() -> None:
        with pytest.raises(RunError) as caught:
            learn(folder, at=6, does=lambda: shutil.rmtree(folder))
        said = f"cannot write {folder}/checkpoints: No such file or directory; 0 bytes are needed, the folder is gone"
        assert caught.value.message == said

    assert forked(work) == 0


def test_a_second_process_is_refused_with_the_first_ones_number(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert forked(lambda: learn(folder, at=6)) < 0
    before = sorted(path for path in folder.rglob("*"))
    said = f"{folder} is in use by process {os.getpid()} on {platform.node()}"

    def second() -> None:
        for tries in (lambda: learn(folder, resume=True), lambda: runs.new_folder("small", folder, force=True)):
            with pytest.raises(UsageError) as caught:
                tries()
            assert caught.value.message == said

    with runs.locked(folder):
        assert forked(second) == 0
    assert sorted(path for path in folder.rglob("*")) == before
    assert forked(lambda: learn(folder, resume=True)) == 0  # the lock of one that is gone holds no one up
    assert len(losses(folder)) == 39


@pytest.mark.long
def test_a_reader_that_goes_away_stops_no_run(tmp_path: Path) -> None:
    write(tmp_path, TINY, "tiny.yaml")
    command = [sys.executable, "-m", "cnnspec", "train", "tiny.yaml", "--epochs", "3", "--device", "cpu", "--json"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    assert json.loads(process.stdout.readline())["event"] == "begin"
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait() == 0
    events = [json.loads(line) for line in (tmp_path / "runs" / "tiny-1" / "events.jsonl").read_text().splitlines()]
    assert [event["event"] for event in events] == ["begin", "epoch", "epoch", "epoch", "end"]


@pytest.mark.parametrize("deterministic", [False, True])
def test_threads_and_determinism_are_recorded_and_kept(tmp_path: Path, deterministic: bool) -> None:
    counted: list[tuple[int, bool]] = []

    def report(event: dict[str, Any]) -> None:
        if event["event"] == "step":
            counted.append((torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()))
            if len(counted) == 3:
                raise RunError("enough")

    machine = training.Machine("cpu", workers=0, deterministic=deterministic)
    chosen = recipe.load("classify", {"epochs": "1", "batch": "100", "checkpoint_minutes": "1e-9"})
    before = torch.get_num_threads()
    with pytest.raises(RunError, match="enough"):
        training.fit(GRAPH, chosen, tmp_path, report, machine)
    environment = json.loads((tmp_path / "environment.json").read_text())
    assert (environment["threads"], environment["deterministic"]) == (1, deterministic)
    packages = {**environment["packages"], "torch": "1.0"}
    del packages["torchmetrics"]  # as in a run of an older cnnspec
    changed = {**environment, "threads": 2, "packages": packages}
    (tmp_path / "environment.json").write_text(json.dumps(changed))
    events: list[dict[str, Any]] = []

    def both(event: dict[str, Any]) -> None:
        events.append(event)
        report(event)

    training.fit(GRAPH, chosen, tmp_path, both, machine, resume=True)
    assert set(counted) == {(1, deterministic), (2, deterministic)}
    now = environment["packages"]["torch"]
    said = f"the run began with torch 1.0, it goes on with {now}: its numbers may differ"
    assert [event["message"] for event in events if event["event"] == "warning"] == [said]
    assert torch.get_num_threads() == before
    assert not torch.are_deterministic_algorithms_enabled()
