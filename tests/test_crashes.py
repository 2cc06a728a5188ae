"""Where a process dies while it writes, or the disk is full, the file of before or the new one is there, and whole."""

from __future__ import annotations

import errno
import json
import resource
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping
from itertools import product
from pathlib import Path

import pytest
from torch import Tensor, nn

from cnnspec import durable, recipe
from cnnspec.canonical import resolved_yaml
from cnnspec.diagnostics import RunError
from cnnspec.front import compile_text
from cnnspec_torch import book, checkpoints, runs, tensors, training
from crashing import at, heard
from door import TINY
from forked import die, forked

GRAPH = compile_text(TINY)
RECIPE = recipe.load("classify")


def net(number: int) -> nn.Linear:
    """A network of which each weight is `number`."""
    made = nn.Linear(30, 30)
    for parameter in made.parameters():
        nn.init.constant_(parameter, number)
    return made


def save(folder: Path, number: int) -> None:
    state = {f"net/{name}": tensor for name, tensor in net(number).state_dict().items()}
    checkpoints.save(folder, GRAPH, RECIPE, checkpoints.Position(hash=GRAPH.hash, step=number), state)


def numbers(state: Mapping[str, Tensor]) -> set[int]:
    return {int(number) for tensor in state.values() for number in tensor.flatten().tolist()}


def saved(folder: Path) -> set[int]:
    """The steps that a checkpoint and its numbers say."""
    position, state, skipped = checkpoints.load(folder, GRAPH, RECIPE)
    assert skipped == []
    return {position.step} | numbers(state)


def header(epoch: int, metrics: dict[str, float]) -> runs.Header:
    return runs.Header(
        schema="cnnspec/weights@1", spec=resolved_yaml(GRAPH), hash=GRAPH.hash, head="logits", labels=["0", "1"],
        sizes={}, fit="stretch", mean=[0.5], std=[0.5], epoch=epoch, metrics=metrics,
    )  # fmt: skip


def row(number: int) -> book.Row:
    return {"epoch": number, "loss": 0.5, "validation_loss": 1 / number}


def log(folder: Path, number: int) -> None:
    """An epoch's end: best weights, metrics.csv, events.jsonl."""
    kept = book.Book(folder, lambda event: None, header, ("validation_loss", False))
    position = checkpoints.Position(
        hash=GRAPH.hash, rows=[{**row(one), "best": 1, "seconds": 0.0} for one in range(1, number)]
    )
    kept.epoch(row(number), position, net(number))


def logged(folder: Path) -> set[int]:
    """The epochs that the files say; the log's lines are whole once they are mended."""
    best = numbers(tensors.read(folder / runs.BEST))
    assert best == {runs.read_header(folder / runs.BEST).epoch}
    lines = (folder / "metrics.csv").read_text().splitlines()
    assert lines[0] == "epoch,loss,validation_loss,best,seconds"
    assert [line.split(",")[0] for line in lines[1:]] == [str(one) for one in range(1, len(lines))]
    assert all(len(line.split(",")) == 5 for line in lines)
    durable.mend(folder / "events.jsonl")
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    assert [event["epoch"] for event in events] == [*range(1, len(events) + 1)]
    return best | {len(lines) - 1, len(events)}


KINDS = {"checkpoint": (save, saved), "epoch": (log, logged)}
Kind = tuple[Callable[[Path, int], None], Callable[[Path], set[int]]]


@pytest.fixture(params=["checkpoint", "epoch"])
def kind(request: pytest.FixtureRequest) -> Kind:
    return KINDS[request.param]


def fresh(folder: Path, kind: Kind) -> Path:
    """A folder where the first has been written."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for number in (0, 1) if kind[0] is save else (1,):  # of two checkpoints the older goes when a third is there
        kind[0](folder, number)
    return folder


def holds(folder: Path, kind: Kind) -> set[int]:
    """What there is after a fault: of each file the old or the new one, and the second can be written then."""
    found = kind[1](folder)
    assert found <= {1, 2}
    if kind[0] is save:
        assert len(found) == 1  # no mix
    for place in (folder, folder / checkpoints.FOLDER):
        durable.sweep(place)
        assert not list(place.glob(".*"))
    return found


def killed_at_every_step(folder: Path, kind: Kind, piece: int) -> int:
    """Kill the process that writes before each of its steps in turn; gives how many there are."""
    for number in range(10_000):
        place = fresh(folder, kind)

        def work(step: int = number, place: Path = place) -> None:
            with heard(at(step, die), piece):
                kind[0](place, 2)

        code = forked(work)
        assert code in (0, -signal.SIGKILL)
        assert (holds(place, kind) == {2}) >= (code == 0)
        if code == 0:
            return number
    raise AssertionError("it never ends")


def cut_short(folder: Path, kind: Kind, sizes: list[int]) -> int:
    """Let no file grow beyond a size: the process is killed in the middle of a write, or told that it failed."""
    for size, kills in zip(sizes, [True, False] * len(sizes), strict=False):
        place = fresh(folder, kind)

        def work(size: int = size, kills: bool = kills, place: Path = place) -> None:
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL if kills else signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
            with pytest.raises(RunError, match="File too large; "):
                kind[0](place, 2)
            assert not list(place.rglob(".*.tmp"))

        assert forked(work) == (-signal.SIGXFSZ if kills else 0)
        assert 1 in holds(place, kind)
    return len(sizes)


def largest(folder: Path) -> int:
    return max(path.stat().st_size for path in folder.rglob("*.safetensors"))


def test_a_kill_while_it_writes_leaves_the_old_or_the_new(tmp_path: Path, kind: Kind) -> None:
    size = largest(fresh(tmp_path / "a", kind))
    assert killed_at_every_step(tmp_path / "a", kind, size // 3) >= 9
    cut_short(tmp_path / "a", kind, [*range(0, size, size // 7)])


@pytest.mark.long
def test_a_kill_at_any_of_a_thousand_points_leaves_the_old_or_the_new(tmp_path: Path, kind: Kind) -> None:
    size = largest(fresh(tmp_path / "a", kind))
    points = killed_at_every_step(tmp_path / "a", kind, -(-size // 600))
    points += cut_short(tmp_path / "a", kind, [*range(0, size, -(-size // 500))])
    assert points >= 1000


FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("again", [False, True])
def test_a_disk_that_is_full_at_any_step_is_named(tmp_path: Path, kind: Kind, again: bool) -> None:
    def full() -> None:
        raise FULL

    for number in range(100):
        place = fresh(tmp_path / "a", kind)
        with heard(at(number, full, again), 10**6):
            try:
                kind[0](place, 2)
            except RunError as error:
                said = error.message
            else:
                said = ""
        if not said:
            assert holds(place, kind) == {2}
            if not again or number > 20:
                break
            continue
        assert said.startswith(f"cannot write {place}/")
        assert "No space left on device; " in said
        assert said.split("; ")[1].split(" ")[1:4] == ["bytes", "are", "needed,"]
        assert again or not list(place.rglob(".*.tmp"))
        holds(place, kind)
    assert number >= 5


def test_all_files_of_a_run_are_durable_before_their_names_appear(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    steps: list[tuple[str, Path]] = []
    with heard(lambda name, path: steps.append((name, path))):
        where = runs.new_folder("tiny", folder)
        training.fit(
            GRAPH,
            recipe.load("classify", {"epochs": "2", "batch": "400", "checkpoint_minutes": "1e-9"}),
            where,
            lambda event: None,
            training.Machine("cpu"),
        )
    dirty: dict[Path, bool] = {}
    due: list[Path] = []  # folders whose new names are not durable yet
    seen = {folder / runs.LOCK}
    for name, path in steps:
        if name == "write":
            assert due == []
            dirty[path] = True
            seen |= {path} if path.suffix == ".jsonl" else set()
        elif name == "fsync":
            due = [one for one in due if one != path]
            dirty[path] = False
        elif name == "rename":
            assert dirty[path] is False, path
            seen.add(path.with_name(path.name[1:].rsplit(".", 2)[0]))
            due.append(path.parent)
        elif name == "mkdir" and path.parent != path:
            due += [path.parent] if path in (folder, folder / "checkpoints") and path.parent not in due else []
    assert due == []
    assert not any(dirty.values())
    assert {path for path in folder.rglob("*") if path.is_file()} <= seen


def after_power_cuts(before: dict[str, bytes], steps: list[tuple[str, Path]], new: bytes) -> Iterator[dict[str, bytes]]:
    """The folders that a power cut may leave while one file is written: changes of names that are not durable yet are
    there or not, in any combination, and of bytes that are not durable none, half or all.

    After Pillai et al. 2014, All File Systems Are Not Created Equal.
    """
    durable_names, names, synced = before, list[tuple[str, Path]](), False
    for name, path in [*steps, ("end", Path())]:
        contents = [new] if synced else [b"", new[: len(new) // 2], new]
        for content, there in product(contents, product([False, True], repeat=len(names))):
            yield _named(durable_names, [one for one, is_there in zip(names, there, strict=True) if is_there], content)
        if name == "fsync" and path.is_dir():
            durable_names, names = _named(durable_names, names, new), []
        elif name == "fsync":
            synced = True
        elif name in ("open", "rename", "unlink"):
            names.append((name, path))


def _named(before: dict[str, bytes], changes: list[tuple[str, Path]], content: bytes) -> dict[str, bytes]:
    names = dict(before)
    for change, path in changes:
        if change == "unlink":
            names.pop(path.name, None)
        elif change == "open":
            names[path.name] = content
        else:
            names.pop(path.name, None)
            names[path.name[1:].rsplit(".", 2)[0]] = content
    return names


def test_a_power_cut_leaves_a_checkpoint_that_loads(tmp_path: Path) -> None:
    for number in (1, 2):
        save(tmp_path, number)
    folder = tmp_path / checkpoints.FOLDER
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    steps: list[tuple[str, Path]] = []
    with heard(lambda name, path: steps.append((name, path))):
        save(tmp_path, 3)
    assert [name for name, _ in steps if name != "write"] == ["open", "fsync", "rename", "fsync", "unlink"]
    new = (folder / "step-00000003.safetensors").read_bytes()
    states = [*after_power_cuts(before, steps, new)]
    assert len(states) > 20
    for state in states:
        shutil.rmtree(folder)
        folder.mkdir()
        for name, data in state.items():
            (folder / name).write_bytes(data)
        assert saved(tmp_path) in ({2}, {3})


def test_a_run_that_would_fill_the_disk_is_refused_before_it_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 1,479 numbers of training, two moments each, 64 of statistics and a counter: 3 x (1479 x 3 + 64) + 1479 + 64
    need = 4 * (3 * (3 * 1479 + 32) + 1479 + 32) + 8 * 4
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=need - 1))
    with pytest.raises(RunError) as caught:
        training.fit(GRAPH, RECIPE, tmp_path, lambda event: None, training.Machine("cpu"))
    said = f"the checkpoints and weights of this run take {need} bytes; in {tmp_path} {need - 1} are free"
    assert caught.value.message == said
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=need))
    checkpoints.check_room(tmp_path, GRAPH.lower("torch", 0), RECIPE)
