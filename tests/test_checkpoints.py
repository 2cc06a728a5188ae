"""A run goes on from the newest checkpoint that verifies, says what it skipped, and never silently begins anew."""

from __future__ import annotations

import json
import re
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from cnnspec import recipe
from cnnspec.diagnostics import CnnspecError, MissingError, RunError, UsageError
from cnnspec.front import compile_text
from cnnspec_torch import checkpoints, runs, signed, tensors, training
from door import TINY, run, write

GRAPH = compile_text(TINY)
RECIPE = recipe.load("classify", {"epochs": "1", "batch": "300", "checkpoint_minutes": "1e-9"})
Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of four steps and a fifth, smaller one; the checkpoints of the last two are kept."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    folder.mkdir()
    training.fit(GRAPH, RECIPE, folder, lambda event: None, training.Machine("cpu"))
    assert names(folder) == ["step-00000004.safetensors", "step-00000005.safetensors"]
    return folder


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "run"))


def unfinished(folder: Path) -> None:
    """As if the run had been killed before its last file."""
    (folder / "report.html").unlink()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / checkpoints.FOLDER).iterdir())


def file(folder: Path, step: int) -> Path:
    return folder / checkpoints.FOLDER / f"step-{step:08d}.safetensors"


def again(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """The same tensors with another document, rightly signed."""
    data = path.read_bytes()
    document = signed.document_of(data)
    assert document is not None
    document.pop("sha256")
    change(document)
    path.write_bytes(signed.encoded(document, load_file(path)))


def header(path: Path, change: Callable[[dict[str, Any], list[str]], None], rest: bytes | None = None) -> None:
    """Another header before the same bytes; `change` gets it and the tensors' names."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    found = json.loads(data[8 : 8 + length])
    change(found, sorted((name for name in found if name != "__metadata__"), key=lambda n: found[n]["data_offsets"]))
    text = json.dumps(found).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + (data[8 + length :] if rest is None else rest))


def of(key: str, value: object) -> Callable[[Path], object]:
    """A change of the second tensor's entry."""
    return lambda path: header(path, lambda found, names: found[names[1]].update({key: value}))


def moved(first: int, second: int) -> Callable[[Path], object]:
    def shift(found: dict[str, Any], names: list[str]) -> None:
        begin, end = found[names[1]]["data_offsets"]
        found[names[1]]["data_offsets"] = [begin + first, end + second]

    return lambda path: header(path, shift)


def twice(path: Path) -> None:
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    text = b'{"net/c1.conv.bias":{},' + data[9 : 8 + length]
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])


def cut(part: float | int) -> Callable[[Path], object]:
    def change(path: Path) -> None:
        data = path.read_bytes()
        path.write_bytes(data[: part if isinstance(part, int) else int(len(data) * part)])

    return change


def flipped(path: Path) -> None:
    """One bit of the last tensor."""
    data = bytearray(path.read_bytes())
    data[-3] ^= 4
    path.write_bytes(bytes(data))


def other_spec(path: Path) -> None:
    other = compile_text(TINY.replace("conv(16, 3, 2", "conv(16, 5, 2").split("expect:")[0])

    def change(document: dict[str, Any]) -> None:
        from cnnspec.canonical import resolved_yaml

        document["spec"] = resolved_yaml(other)
        document["position"]["hash"] = other.hash

    again(path, change)


def poisoned(path: Path) -> None:
    found = load_file(path)
    document = signed.document_of(path.read_bytes())
    found["net/c1.conv.bias"][0] = torch.nan
    save_file(found, path, {signed.KEY: json.dumps(document)})


WRONG: dict[str, tuple[Callable[[Path], object], str]] = {
    "no byte": (cut(0), "(0 bytes): is no whole checkpoint: it ends after 0 bytes, the length of its header takes 8"),
    "one byte": (cut(1), "(1 bytes): is no whole checkpoint: it ends after 1 bytes, the length of its header takes 8"),
    "a hundred": (cut(100), "(100 bytes): is no whole checkpoint: its header is said to have "),
    "half": (cut(0.5), " bytes): is no whole checkpoint: its tensors take "),
    "all but one": (cut(-1), " bytes): is no whole checkpoint: its tensors take "),
    "a bit": (flipped, ": what is in it has the SHA-256 "),
    "a long header": (lambda p: p.write_bytes(struct.pack("<Q", 2**60) + p.read_bytes()[8:]), "the limit is 16777216"),
    "an overlap": (moved(-4, -4), "begins at byte "),
    "a hole": (moved(4, 4), "begins at byte "),
    "another size": (moved(0, 4), "its offsets "),
    "a shape too large": (of("shape", [2**30, 2**30]), "; the limit is 2^40 numbers"),
    "a key twice": (twice, "is no whole checkpoint: 'net/c1.conv.bias' stands twice in its header"),
    "an unknown type": (of("dtype", "F12"), "is of the unknown dtype F12"),
    "bytes behind": (lambda p: p.write_bytes(p.read_bytes() + b"more"), " are there"),
    "another spec": (other_spec, "; they first differ at c2.conv"),
    "a newer version": (
        lambda path: again(path, lambda document: document["position"].update(schema="cnnspec/checkpoint@2")),
        ": is of the schema cnnspec/checkpoint@2, this cnnspec reads cnnspec/checkpoint@1",
    ),
    "a key too many": (
        lambda path: again(path, lambda document: document["position"].update(mood=1)),
        ": its header is damaged: 'position.mood': Extra inputs are not permitted",
    ),
    "weights of another program": (
        lambda path: save_file({"a": torch.ones(3)}, path),
        ": is of the schema none, this cnnspec reads cnnspec/checkpoint@1",
    ),
    "text": (lambda path: path.write_text("a checkpoint, they say"), "is no whole checkpoint: its header is said to"),
    "a changed number": (poisoned, ": what is in it has the SHA-256 "),
}


@pytest.mark.parametrize(("change", "said"), WRONG.values(), ids=WRONG)
def test_a_bad_checkpoint_is_skipped_with_its_reason(
    folder: Path, capsys: Capture, change: Callable[[Path], object], said: str
) -> None:
    unfinished(folder)
    change(file(folder, 5))
    answer = run(capsys, "train", "--resume", str(folder), "--device", "cpu")
    warning = answer.err.splitlines()[0]
    assert answer.code == 0
    assert warning.startswith(f"warning: skipped: {file(folder, 5)}")
    assert said in warning
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    assert {"event": "resume", "epoch": 1, "step": 4} in events
    change(file(folder, 5))  # written anew by now
    change(file(folder, 4))
    with pytest.raises(RunError) as caught:
        checkpoints.load(folder, GRAPH, chosen(folder))
    first, *reasons = caught.value.message.splitlines()
    assert (caught.value.exit_code, first) == (4, f"no checkpoint in {folder} can be used")
    assert all(reason.startswith(f"  {file(folder, step)}") for reason, step in zip(reasons, (5, 4), strict=True))
    assert all(said in reason for reason in reasons)


def test_every_flipped_bit_is_found(folder: Path) -> None:
    path = file(folder, 5)
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    random = np.random.default_rng(0)
    places = [*range(64), *random.integers(64, 8 * (8 + length), 60), *random.integers(0, 8 * len(data), 60)]
    for place in map(int, places):
        bad = bytearray(data)
        bad[place // 8] ^= 1 << place % 8
        path.write_bytes(bytes(bad))
        position, _, skipped = checkpoints.load(folder, GRAPH, chosen(folder))
        assert position.step == 4, place
        assert len(skipped) == 1
        assert skipped[0].startswith(str(path))


def chosen(folder: Path) -> recipe.Recipe:
    return recipe.load(str(folder / "recipe.yaml"))


def nothing(folder: Path) -> None:
    shutil.rmtree(folder / checkpoints.FOLDER)


def empty(folder: Path) -> None:
    nothing(folder)
    (folder / checkpoints.FOLDER).mkdir()


def beside(folder: Path) -> None:
    """Only what killed processes left."""
    for step in (4, 5):
        file(folder, step).rename(folder / checkpoints.FOLDER / f".step-{step:08d}.safetensors.{step}.tmp")


@pytest.mark.parametrize("change", [nothing, empty, beside])
def test_without_a_checkpoint_it_does_not_begin_anew(
    folder: Path, capsys: Capture, change: Callable[[Path], object]
) -> None:
    unfinished(folder)
    change(folder)
    answer = run(capsys, "train", "--resume", str(folder), "--device", "cpu")
    assert (answer.code, answer.out) == (3, "")
    assert answer.err == (
        f"error: there is no checkpoint in {folder}: looked for {folder}/checkpoints/step-*.safetensors\n"
        f"  help: cnnspec train SPEC -o {folder} --force begins it anew\n"
    )


def test_the_newest_is_the_one_of_the_highest_step(folder: Path) -> None:
    long = file(folder, 123456789)
    shutil.copy(file(folder, 4), long)
    again(long, lambda document: document["position"].update(step=123456789))
    shutil.copy(file(folder, 4), folder / checkpoints.FOLDER / "step-99999999999.backup")
    assert checkpoints.load(folder, GRAPH, chosen(folder))[0].step == 123456789


def test_one_of_a_newer_version_is_not_thrown_away(folder: Path) -> None:
    again(file(folder, 5), lambda document: document["position"].update(schema="cnnspec/checkpoint@2", step=900))
    newer = file(folder, 5).rename(file(folder, 900))
    training.fit(GRAPH, chosen(folder), folder, lambda event: None, training.Machine("cpu"), resume=True)
    assert newer.exists()
    assert names(folder) == [f"step-{step:08d}.safetensors" for step in (4, 5, 900)]


def test_a_run_that_has_ended_is_told_and_left_as_it_is(folder: Path, capsys: Capture) -> None:
    def there() -> dict[Path, tuple[bytes, int]]:
        files = (path for path in folder.rglob("*") if path.is_file())
        return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}

    before = there()
    answer = run(capsys, "train", "--resume", str(folder), "--device", "cpu")
    assert (answer.code, answer.err) == (0, f"{folder} is finished, there is nothing to go on with\n")
    assert re.fullmatch(
        r"tiny: top1 .*%, top5 .*% on 359 held-out images; epoch 1 of 1, top1 .*%, top5 .*% in validation, .* s\n.*\n",
        answer.out,
    )
    told = run(capsys, "train", "--resume", str(folder), "--device", "cpu", "--json")
    data = told.document["data"]
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    assert (told.code, told.err, data["finished_before"], data["test"]) == (0, "", True, events[-1]["test"])
    assert data["validation"] == {name: events[1][f"validation_{name}"] for name in ("loss", "top1", "top5")}
    assert there() == before


def unsaid(folder: Path) -> None:
    """Killed before it could say its end."""
    lines = (folder / "events.jsonl").read_text().splitlines(keepends=True)
    (folder / "events.jsonl").write_text("".join(lines[:-1]))


def torn(folder: Path) -> None:
    with (folder / "events.jsonl").open("a") as file:
        file.write('{"event": "res')


@pytest.mark.parametrize("change", [unfinished, unsaid, torn])
def test_a_run_without_its_whole_end_goes_on_to_it(
    folder: Path, capsys: Capture, change: Callable[[Path], object]
) -> None:
    change(folder)
    before = (folder / "best.safetensors").read_bytes(), (folder / "metrics.csv").read_bytes()
    answer = run(capsys, "train", "--resume", str(folder), "--device", "cpu", "--json")
    assert answer.code == 0
    data = json.loads(answer.out.splitlines()[-1])["data"]
    assert (data["test_images"], data["epoch"], data["finished_before"]) == (359, 1, False)
    assert (folder / "report.html").is_file()
    assert before == ((folder / "best.safetensors").read_bytes(), (folder / "metrics.csv").read_bytes())


def test_a_changed_recipe_or_data_is_refused_by_its_key(folder: Path) -> None:
    def go_on(changed: recipe.Recipe) -> None:
        training.fit(GRAPH, changed, folder, lambda event: None, training.Machine("cpu"), resume=True)

    with pytest.raises(UsageError) as caught:
        go_on(chosen(folder).model_copy(update={"lr": 0.5}))
    assert caught.value.message == "recipe.lr is 0.5, the run began with 0.004"
    assert caught.value.help == f"a run goes on as it began; {file(folder, 5)} holds its recipe"
    again(file(folder, 5), lambda document: document["position"].update(samples=1200))
    with pytest.raises(RunError) as other:
        go_on(chosen(folder))
    assert other.value.message == "the run began with 1200 samples to train on, 1258 are there now"


OPTIONS = [["--recipe", "classify"], ["--set", "recipe.lr=1"], ["--epochs", "3"], ["--seed", "1"], ["--data", "digits"]]
OPTIONS += [["--force"], ["--out", "x"], ["--on-bad-sample", "skip"], ["--weights", "a.safetensors"]]


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option[0])
def test_options_that_would_change_a_run_are_refused(folder: Path, capsys: Capture, option: list[str]) -> None:
    answer = run(capsys, "train", "--resume", str(folder), *option)
    said = f"error: {option[0]} would change the run; --resume goes on as {folder}/recipe.yaml says\n"
    assert (answer.code, answer.err) == (2, said)


def test_another_spec_beside_it_is_refused_by_its_first_difference(folder: Path, capsys: Capture) -> None:
    path = write(folder.parent, TINY.replace("conv(16, 3, 2", "conv(16, 5, 2").split("expect:")[0], "other.yaml")
    answer = run(capsys, "train", path, "--resume", str(folder))
    assert answer.code == 2
    assert f", the run's spec {GRAPH.hash[:12]}; they first differ at c2.conv\n" in answer.err


def lost(folder: Path) -> None:
    (folder / runs.BEST).unlink()


def older(folder: Path) -> None:
    header = runs.read_header(folder / runs.BEST)
    old = header.model_copy(update={"epoch": 0})
    runs.write_weights(folder / runs.BEST, load_file(folder / runs.BEST), old)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lost, "the best weights so far are lost: there is no file "),
        (lambda folder: flipped(folder / runs.BEST), "what is in it has the SHA-256 "),
        (older, "best.safetensors has the weights of epoch 0, the best so far is 1"),
    ],
)
def test_best_weights_that_are_not_there_are_named(folder: Path, change: Callable[[Path], object], said: str) -> None:
    change(folder)
    with pytest.raises(CnnspecError, match=said):
        training.fit(GRAPH, chosen(folder), folder, lambda event: None, training.Machine("cpu"), resume=True)


def test_weights_changed_on_disk_are_not_predicted_with(folder: Path, capsys: Capture) -> None:
    flipped(folder / runs.BEST)
    answer = run(capsys, "evaluate", str(folder))
    assert answer.code == 4
    assert f"{folder / runs.BEST}" in answer.err
    assert "what is in it has the SHA-256 " in answer.err
    with pytest.raises(RunError, match="SHA-256"):
        tensors.read(folder / runs.BEST)


def test_a_folder_of_nothing_is_no_run(tmp_path: Path, capsys: Capture) -> None:
    answer = run(capsys, "train", "--resume", str(tmp_path))
    assert (answer.code, answer.err) == (3, f"error: {tmp_path} is no run folder: there is no spec.yaml in it\n")
    with pytest.raises(MissingError):
        checkpoints.load(tmp_path, GRAPH, RECIPE)
