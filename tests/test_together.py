"""Two processes train as one does: the same batches, nearly the same numbers, one run folder, one voice."""

from __future__ import annotations

import csv
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from cnnspec import recipe
from cnnspec.front import compile_file
from cnnspec_torch import checkpoints
from door import run as command
from door import write
from forked import alive, forked
from stopping import noted, run

SPEC = """\
cnnspec: 1
name: plain
input: {image: [N, 1, 8, 8]}
net:
  c1: image -> conv(8, 3) -> relu -> maxpool(2) -> flatten
  logits: c1 -> dense(10)
  unread: c1 -> dense(3)
outputs: {logits: {}, unread: {when: train}}
heads: {logits: {classify: {}}}
"""
"""Without batch normalization, whose statistics are each process's own, or dropout."""
OPTIONS = ("--device", "cpu", "--epochs", "1", "--set", "recipe.batch=126", "--set", "recipe.checkpoint_minutes=1e-9")
TOGETHER = ("--devices", "2", "--strategy", "ddp")


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Tensor]:
    """The weights after ten steps in one process, whose run is runs/plain-1."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path, SPEC, "plain.yaml")
    assert forked(lambda: sys.exit(run("train", "plain.yaml", *OPTIONS))) == 0
    return weights(Path("runs/plain-1"))


def weights(folder: Path) -> dict[str, Tensor]:
    """Those of the last checkpoint."""
    graph, chosen = compile_file(str(folder / "spec.yaml")), recipe.load(str(folder / "recipe.yaml"))
    position, tensors, _ = checkpoints.load(folder, graph, chosen)
    assert position.step == 10
    return {name: tensor for name, tensor in tensors.items() if name.startswith("net/")}


def two(*args: str, at: str = "-1,0,0", program: tuple[str, ...] = ()) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command of which no process is left when it has ended."""
    command = [sys.executable, *(program or (str(Path(__file__).with_name("stopping.py")),)), *args]
    process = subprocess.Popen(
        command,
        env={**os.environ, "AT": at},
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    out, err = process.communicate(timeout=300)
    assert alive(process.pid) == []
    assert "Traceback" not in err
    return process.returncode, out, err


def close(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.allclose(one[k], other[k], rtol=0, atol=1e-6) for k in one)


def shared(steps: dict[int, list[list[int]]], processes: int) -> bool:
    """Whether the processes have each sample of each step's batch of the order of one process, and each once."""
    return all(
        [sorted(part) for part in parts] == [sorted(batch[rank::processes]) for rank in range(processes)]
        for parts, batch in zip(steps.values(), expected(), strict=True)
    )


def expected() -> list[list[int]]:
    order = np.random.default_rng((0, 0)).permutation(1258).tolist()
    assert sorted(order) == list(range(1258))
    return [order[start : start + 126] for start in range(0, 1258, 126)]


def test_two_processes_train_as_one(alone: dict[str, Tensor]) -> None:
    code, out, err = two("train", "plain.yaml", *OPTIONS, *TOGETHER, program=("-m", "cnnspec"))
    assert code == 0, err
    assert re.fullmatch(r"plain: top1 .* held-out images; epoch 1 of 1, .* in validation, .* s\nruns/plain-2\n", out)
    first, last = err.splitlines()
    assert first == "plain on digits: 1258 training, 180 validation, 359 held out; into runs/plain-2"
    assert last.startswith("epoch 1/1")
    assert sorted(os.listdir("runs")) == ["plain-1", "plain-2"]  # noqa: PTH208
    assert close(weights(Path("runs/plain-2")), alone)
    one, other = (list(csv.DictReader(Path(f"runs/plain-{n}/metrics.csv").read_text().splitlines())) for n in (1, 2))
    for name in ("loss", "validation_loss", "validation_top1", "validation_top5"):
        assert float(one[0][name]) == pytest.approx(float(other[0][name]), abs=2e-6)
    assert one[0].keys() == other[0].keys()
    best, least = (load_file(f"runs/plain-{n}/best.safetensors") for n in (1, 2))
    assert close(best, least)


@pytest.mark.long
def test_a_run_goes_on_with_two_processes_and_with_one_again(
    alone: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shared(noted(Path()), 1)
    Path("seen-0").unlink()
    monkeypatch.setenv("AT", f"0,4,{signal.SIGTERM.value}")
    assert forked(lambda: sys.exit(run("train", "plain.yaml", *OPTIONS, "--out", "run"))) == 143
    Path("seen-0").rename("a")
    code, out, err = two("train", "--resume", "run", *TOGETHER, at=f"1,7,{signal.SIGINT.value}")
    assert (code, out, err.splitlines()[-1]) == (130, "", "interrupted")
    steps = noted(Path())
    assert [*steps] == [5, 6, 7]
    assert [[sorted(part) for part in parts] for parts in steps.values()] == [
        [sorted(batch[rank::2]) for rank in range(2)] for batch in expected()[4:7]
    ]
    for path in Path().glob("seen-*"):
        path.unlink()
    monkeypatch.delenv("AT")
    assert forked(lambda: sys.exit(run("train", "--resume", "run"))) == 0
    assert [*noted(Path())] == [8, 9, 10]
    assert close(weights(Path("run")), alone)


@pytest.mark.long
@pytest.mark.parametrize("process", [0, 1])
def test_where_one_is_killed_the_other_ends(alone: dict[str, Tensor], process: int) -> None:
    code, out, err = two("train", "plain.yaml", *OPTIONS, *TOGETHER, at=f"{process},5,{signal.SIGKILL.value}")
    assert out == ""
    assert code == (-signal.SIGKILL if process == 0 else 4)
    assert "another process of this run has ended at step 5, epoch 1; samples " in err


def test_processes_that_no_one_of_us_started_want_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, SPEC, "plain.yaml")
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    answer = command(capsys, "train", "plain.yaml", *OPTIONS)
    said = "error: processes that are started together need a run folder: --out DIR\n"
    assert (answer.code, answer.err) == (2, said)
