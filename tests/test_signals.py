"""A signal lets a run finish its step, write a checkpoint and leave; a second one ends it at once. Nothing is lost."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cnnspec import recipe
from cnnspec.diagnostics import RunError
from cnnspec.front import compile_file
from cnnspec_torch import batches, book, checkpoints, network
from cnnspec_torch.tasks.classify import Classify
from crashing import heard
from door import TINY, write
from forked import alive, forked
from running import learn, losses, state

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, ...]:
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert forked(lambda: learn(folder)) == 0
    return state(folder)


def wake() -> None:
    """Signals as a shell leaves them, whatever the tests were started by."""
    for number in CODES:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


def stopped(folder: Path, number: int, times: int = 1) -> int:
    """How a run ends that gets a signal in its sixth step."""

    def work() -> None:
        wake()
        learn(folder, at=6, does=send(number, times))

    return forked(work)


def send(number: int, times: int = 1, to: Callable[[], int] = os.getpid) -> Callable[[], None]:
    def does() -> None:
        for _ in range(times):
            os.kill(to(), number)

    return does


@contextmanager
def before_call(of: Any, name: str, number: int, does: Callable[[], None]) -> Iterator[None]:
    """Do something before the call of a function of that number, counted from 1."""
    function, calls = getattr(of, name), 0

    def counted(*args: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == number:
            does()
        return function(*args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(of, name, counted)
        yield


@contextmanager
def in_writing(number: int, does: Callable[[], None]) -> Iterator[None]:
    """Do something while checkpoint `number` is written."""
    left = number

    def step(name: str, path: Path) -> None:
        nonlocal left
        left -= (name, path.parent.name) == ("write", checkpoints.FOLDER)
        if not left:
            left = -1
            does()

    with heard(step, 10**6):
        yield


POINTS: list[tuple[str, Callable[[Callable[[], None]], Any], int]] = [
    ("a step", lambda does: before_call(network, "pieces", 17, does), 0),
    ("validation", lambda does: before_call(Classify, "update", 2, does), 0),
    ("a checkpoint", lambda does: in_writing(20, does), 0),
    ("reading", lambda does: before_call(batches.Samples, "load", 20, does), 0),
    ("reading in a worker", lambda does: before_call(batches.Samples, "load", 8, does), 2),
    ("an epoch's end", lambda does: before_call(book.Book, "epoch", 2, does), 0),
    ("the test", lambda does: before_call(Classify, "update", 4, does), 0),
]


SELDOM = ("reading", "an epoch's end", "the test")
AT = [
    pytest.param(number, id=row[0], marks=[pytest.mark.long] if row[0] in SELDOM else [])
    for number, row in enumerate(POINTS)
]


@pytest.mark.parametrize("at", AT)
def test_a_signal_ends_a_run_after_its_step_and_it_goes_on_exactly(
    tmp_path: Path, whole: tuple[Any, ...], at: int
) -> None:
    folder = tmp_path / "run"
    _, point, workers = POINTS[at]
    number = [*CODES][at % 3]

    def work() -> None:
        wake()
        os.setpgid(0, 0)
        main = os.getpid()
        (tmp_path / "group").write_text(str(main))
        with point(send(number, to=lambda: main)):
            learn(folder, workers=workers)

    assert forked(work) == CODES[number]
    assert alive(int((tmp_path / "group").read_text())) == []
    assert not list(folder.rglob("*.tmp"))
    assert forked(lambda: learn(folder, resume=True)) == 0
    assert state(folder) == whole


@pytest.mark.parametrize("number", CODES)
def test_each_signal_has_its_code_and_keeps_the_step(tmp_path: Path, number: signal.Signals) -> None:
    assert stopped(tmp_path, number) == CODES[number]
    assert [*losses(tmp_path)] == [str(step) for step in range(1, 7)]
    assert newest(tmp_path) == 6


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    assert stopped(tmp_path, signal.SIGINT, 2) == 130
    assert newest(tmp_path) == 5


def test_a_second_signal_in_the_midst_of_a_checkpoint_leaves_the_one_before(tmp_path: Path) -> None:
    def work() -> None:
        wake()
        with in_writing(6, send(signal.SIGTERM)):
            learn(tmp_path, at=6, does=send(signal.SIGTERM))

    assert forked(work) == 143
    assert newest(tmp_path) == 5
    assert not list(tmp_path.rglob("*.tmp"))


def newest(folder: Path) -> int:
    graph, chosen = compile_file(str(folder / "spec.yaml")), recipe.load(str(folder / "recipe.yaml"))
    return checkpoints.load(folder, graph, chosen)[0].step


def test_a_signal_that_is_ignored_is_no_signal(tmp_path: Path, whole: tuple[Any, ...]) -> None:
    def work() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
        learn(tmp_path / "run", at=6, does=send(signal.SIGHUP, 3))

    assert forked(work) == 0
    assert state(tmp_path / "run") == whole


def test_ctrl_c_on_the_command_line(tmp_path: Path) -> None:
    write(tmp_path, TINY, "tiny.yaml")
    options = ["--epochs", "1000", "--workers", "1", "--device", "cpu", "--out", "run"]
    command = [sys.executable, "-m", "cnnspec", "train", "tiny.yaml", *options, "--set", "recipe.augment={rotate: 5}"]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )
    while not (tmp_path / "run" / "metrics.csv").exists() and process.poll() is None:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers too
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert err.splitlines()[-1] == "interrupted"
    assert "Traceback" not in err
    assert alive(process.pid) == []
    assert newest(tmp_path / "run") > 0
    events = [json.loads(line) for line in (tmp_path / "run" / "events.jsonl").read_text().splitlines()]
    assert events[-1]["event"] == "epoch"


FATES = {
    signal.SIGKILL: r"the data worker [0-9, ]+ was killed by signal: Killed at step 7, epoch 1; "
    r"samples \d+, .*, \.\.\.; often the memory or /dev/shm is full",
    signal.SIGSTOP: r"no data worker answered for 3 s at step (7|8|9), epoch 1; samples \d+, .*, \.\.\.; "
    r"one may hang or have been stopped",
}


@pytest.mark.parametrize("fate", FATES)
def test_a_worker_that_dies_or_hangs_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fate: signal.Signals
) -> None:
    monkeypatch.setattr(batches, "TIMEOUT", 3)
    workers: list[int] = []

    def strike() -> None:
        for child in multiprocessing.active_children():
            assert child.pid is not None
            workers.append(child.pid)
            os.kill(child.pid, fate)

    def work() -> None:
        with pytest.raises(RunError, match=FATES[fate]) as caught:
            learn(tmp_path, at=6, does=strike, workers=1)
        assert caught.value.help == "--workers 0 reads in this process"
        assert workers
        for worker in workers:
            with pytest.raises(ProcessLookupError):
                os.kill(worker, 0)

    assert forked(work) == 0
    assert newest(tmp_path) in (6, 7, 8)
