"""`cnnspec train`: what it learns, writes, repeats and refuses."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import cnnspec
from cnnspec import recipe
from cnnspec.diagnostics import MissingError, RunError, SpecError, UsageError
from cnnspec_torch import data, runs, training
from door import TINY, run, write

Capture = pytest.CaptureFixture[str]
QUICK = ("--epochs", "1", "--device", "cpu")


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    return write(tmp_path, TINY, "tiny.yaml")


def test_lenet5_learns_the_digits(capsys: Capture, tmp_path: Path) -> None:
    answer = run(capsys, "train", "lenet5", "--out", str(tmp_path / "run"), "--device", "cpu", "--json")
    lines = [json.loads(line) for line in answer.out.splitlines()]
    assert answer.code == 0
    assert answer.err == ""
    assert [line["event"] for line in lines[:-1]] == ["begin", *["epoch"] * 30, "end"]
    document = lines[-1]
    assert list(document) == ["schema", "ok", "data", "diagnostics"]
    assert (document["schema"], document["ok"], document["diagnostics"]) == ("cnnspec/train@1", True, [])
    assert document["data"]["test_accuracy"] >= 0.98
    assert document["data"]["test_images"] == 359
    assert document["data"]["test_errors"] == round(359 * (1 - document["data"]["test_accuracy"]))


def test_a_run_folder_says_what_was_done(capsys: Capture, spec: str, tmp_path: Path) -> None:
    answer = run(capsys, "train", spec, "--epochs", "2", "--seed", "7", "--device", "cpu", "--set", "recipe.batch=64")
    assert answer.code == 0
    folder = tmp_path / "runs" / "tiny-1"
    assert answer.out.splitlines()[-1] == "runs/tiny-1"
    assert sorted(path.name for path in folder.iterdir()) == sorted(runs.FILES)
    graph, done = cnnspec.compile(spec), recipe.load(str(folder / "recipe.yaml"))
    assert cnnspec.compile(folder / "spec.yaml").hash == graph.hash
    assert (done.epochs, done.seed, done.batch) == (2, 7, 64)
    assert done.mean is not None
    rows = list(csv.DictReader((folder / "metrics.csv").read_text(encoding="utf-8").splitlines()))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert set(rows[0]) == {"epoch", "loss", "validation_loss", "validation_accuracy", "lr", "best", "seconds"}
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [event["event"] for event in events] == ["begin", "epoch", "epoch", "end"]
    environment = json.loads((folder / "environment.json").read_text(encoding="utf-8"))
    assert environment["spec_hash"] == graph.hash
    assert environment["packages"]["torch"] == torch.__version__.partition("+")[0]
    header = runs.read_header(folder / runs.BEST)
    best = min(rows, key=lambda row: float(row["validation_loss"]))
    assert (str(header.epoch), header.hash, header.mean) == (best["epoch"], graph.hash, done.mean)
    assert header.labels == list("0123456789")


def test_talk_is_plain_lines_where_there_is_no_terminal(capsys: Capture, spec: str) -> None:
    answer = run(capsys, "train", spec, *QUICK)
    first, second = answer.err.splitlines()
    assert first == "tiny on digits: 1258 training, 180 validation, 359 held out; into runs/tiny-1"
    assert second.startswith("epoch   1  loss ")


def test_equal_seeds_give_equal_bytes(capsys: Capture, spec: str) -> None:
    files: list[bytes] = []
    for seed in ("1", "1", "2"):
        torch.rand(1)  # the caller's random numbers change nothing
        before = torch.random.get_rng_state()
        assert run(capsys, "train", spec, *QUICK, "--seed", seed).code == 0
        assert torch.equal(before, torch.random.get_rng_state())
        files.append(Path(f"runs/tiny-{len(files) + 1}/best.safetensors").read_bytes())
    assert files[0] == files[1] != files[2]


def test_nothing_is_overwritten_without_force(capsys: Capture, spec: str, tmp_path: Path) -> None:
    write(tmp_path, "mine", "out/notes.txt")
    answer = run(capsys, "train", spec, *QUICK, "--out", "out")
    assert (answer.code, answer.err) == (2, "error: out is not empty\n  help: --force overwrites the run in it\n")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["notes.txt"]
    assert run(capsys, "train", spec, *QUICK, "--out", "out", "--force").code == 0
    assert (tmp_path / "out" / "notes.txt").read_text(encoding="utf-8") == "mine"


REFUSED = [
    (["resnet34"], 2, "error: the data 'digits' has 1 channel, the network's input has 3\n"),
    (
        ["tiny.yaml", "--set", "classes=7"],
        2,
        "error: the data 'digits' has 10 classes, the network's head has 7\n"
        "  help: where the spec has a param for it: --set classes=10\n",
    ),
    (["lenet5", "--recipe", "clasify"], 3, "error: there is no shipped recipe 'clasify'\n  help: did you mean 'class"),
    (["lenet5", "--recipe", "no/such.yaml"], 3, "error: cannot read no/such.yaml: No such file or directory\n"),
    (["lenet5", "--set", "recipe.epoch=3"], 2, "error: --set recipe.epoch=3: unknown key 'epoch'\n  help: did you "),
    (["lenet5", "--seed", "1", "--set", "recipe.seed=2"], 2, "error: --seed 1 and --set recipe.seed=2 differ\n"),
    (["lenet5", "--set", "recipe.mean=[0.5, 0.5]", "--set", "recipe.std=[1, 1]"], 2, "error: the recipe's mean has 2"),
    (["lenet5", "--set", "recipe.split={validation: 0.0001, test: 0.2}"], 4, "error: the validation part of the spl"),
    (["lenet5", "--device", "tpu"], 2, "error: invalid value for '--device': 'tpu' is not one of"),
]


@pytest.mark.parametrize(("args", "code", "text"), REFUSED)
def test_what_does_not_fit_is_named(
    capsys: Capture, spec: str, tmp_path: Path, args: list[str], code: int, text: str
) -> None:
    answer = run(capsys, "train", *args)
    assert (answer.code, answer.out) == (code, "")
    assert answer.err.startswith(text)
    assert code == 4 or not (tmp_path / "runs").exists()


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_named(
    capsys: Capture, spec: str, monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    monkeypatch.setattr(torch.cuda if device == "cuda" else torch.backends.mps, "is_available", lambda: False)
    answer = run(capsys, "train", spec, "--device", device)
    assert (answer.code, answer.err.splitlines()[0]) == (2, f"error: the device '{device}' is not there")
    assert not Path("runs").exists()


def test_more_memory_than_there_is_is_refused(
    capsys: Capture, spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "ram", lambda: 2**20)
    answer = run(capsys, "train", spec, "-o", str(tmp_path / "run"), "--set", "recipe.batch=4096", "--device", "cpu")
    assert answer.code == 4
    assert re.fullmatch(
        r"error: a step of 4096 images would take \d+ bytes at \S.*, this machine has 1048576; the largest node is "
        r"\S+ with \d+ bytes\n  help: --set recipe.batch=N takes fewer images at a time\n",
        answer.err,
    ), answer.err
    assert not (tmp_path / "run").exists()


HEADLESS = TINY.replace("heads: {logits: {classify: {}}}\n", "")
MAPS = """\
cnnspec: 1
name: maps
input: {image: [N, 1, 8, 8]}
net: {masks: "image -> conv(10, 3)"}
outputs: [masks]
heads: {masks: {KIND: {}}}
"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HEADLESS, "error: tiny has 0 classify heads, one is wanted\n"),
        (MAPS.replace("KIND", "segment"), "error: the head 'masks' is of kind segment; only classify is trained yet\n"),
        (MAPS.replace("KIND", "classify"), "error: the head 'masks' reads [N, 10, 8, 8]; classes are [N, classes]\n"),
    ],
)
def test_heads_that_are_not_trained_yet(capsys: Capture, spec: str, tmp_path: Path, text: str, said: str) -> None:
    answer = run(capsys, "train", write(tmp_path, text, "other.yaml"))
    assert (answer.code, answer.err) == (2, said)
    assert not (tmp_path / "runs").exists()


def test_a_loss_that_is_not_finite_stops_the_run(capsys: Capture, spec: str) -> None:
    changes = ("recipe.optimizer=sgd", "recipe.lr=1e20", "recipe.schedule=constant")
    answer = run(capsys, "train", spec, *QUICK, *[text for change in changes for text in ("--set", change)])
    said = answer.err.splitlines()[-2:]
    assert answer.code == 4
    assert said[0].startswith("error: the loss is nan at step ")
    assert said[0].endswith(", epoch 1, learning rate 1e+20")
    assert said[1] == "  help: try a lower rate: --set recipe.lr=1e+19"
    assert not Path("runs/tiny-1/best.safetensors").exists()


@pytest.mark.parametrize("leaving", [KeyboardInterrupt(), SystemExit(143), RunError("the disk is full")])
def test_an_interruption_passes_and_leaves_the_best_so_far(spec: str, tmp_path: Path, leaving: BaseException) -> None:
    def report(event: dict[str, Any]) -> None:
        if event["event"] == "epoch":
            raise leaving

    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(type(leaving)) as caught:
        training.fit(cnnspec.compile(spec), recipe.load("classify"), tmp_path, report, "cpu")
    assert getattr(caught.value, "code", 143) == 143
    assert signal.getsignal(signal.SIGINT) is handler
    assert runs.read_header(tmp_path / runs.BEST).epoch == 1


def test_auxiliary_heads_are_learned_with_a_part_of_the_loss(spec: str, tmp_path: Path) -> None:
    text = TINY.replace("dense(5)", "dense(classes)").replace("training_params: 1479", "training_params: 1524")
    text = text.replace("{logits: {classify: {}}}", "{logits: {classify: {}}, extra: {classify: {}}}")
    graph = cnnspec.compile(write(tmp_path, text))
    training.fit(graph, recipe.load("classify", {"epochs": "1"}), tmp_path, lambda event: None, "cpu")
    start = graph.lower("torch", 0).state_dict()
    weights = load_file(tmp_path / runs.BEST)
    assert set(weights) == set(start)
    assert not torch.equal(weights["extra.dense.weight"], start["extra.dense.weight"])


def test_the_rates_of_a_schedule() -> None:
    assert [training.rate("constant", step, 10) for step in (0, 9)] == [1, 1]
    assert [round(training.rate("cosine", step, 10), 3) for step in (0, 5, 9)] == [1, 0.5, 0.024]
    rates = [training.rate("one_cycle", step, 100) for step in range(100)]
    assert rates[0] == 0.04
    assert (max(rates), rates.index(max(rates))) == (1, 30)
    assert sorted(rates[30:], reverse=True) == rates[30:]
    assert rates[-1] < 0.001
    assert 0 < training.rate("one_cycle", 0, 1) <= 1


def test_the_split_is_whole_fixed_and_in_proportion() -> None:
    _, classes = data.digits()
    parts = data.split(classes, (0.2, 0.1), 0)
    assert [len(part) for part in parts] == [359, 180, 1258]
    assert sorted(np.concatenate(parts).tolist()) == list(range(1797))
    for part, share in zip(parts, (0.2, 0.1, 0.7), strict=True):
        assert np.abs(np.bincount(classes[part]) / np.bincount(classes) - share).max() < 0.01
    assert all(np.array_equal(a, b) for a, b in zip(parts, data.split(classes, (0.2, 0.1), 0), strict=True))
    assert not np.array_equal(parts[0], data.split(classes, (0.2, 0.1), 1)[0])


def test_the_order_is_the_epoch_s_and_the_seed_s() -> None:
    order = data.Order(10, 4, seed=3, shift=2)
    first = list(order)
    assert sorted(position for batch in first for position in batch.positions) == list(range(10))
    assert first == list(data.Order(10, 4, seed=3, shift=2))
    order.set_epoch(1)
    assert first != list(order)
    assert [batch.positions for batch in data.Order(10, 4)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert moves(first) == moves(data.Order(10, 5, seed=3, shift=2))  # whatever the batches are


def moves(batches: Iterable[data.Batch]) -> dict[int, tuple[int, int]]:
    return dict(pair for one in batches for pair in zip(one.positions, one.moves or (), strict=True))


@pytest.mark.parametrize(("number", "batch", "sizes"), [(9, 4, [4, 4]), (8, 4, [4, 4]), (1, 4, [1]), (3, 1, [1, 1, 1])])
def test_no_batch_of_one_is_left_over_in_training(number: int, batch: int, sizes: list[int]) -> None:
    order = data.Order(number, batch, seed=0)
    assert [len(one.positions) for one in order] == sizes
    assert len(order) == len(sizes)
    assert sum(len(one.positions) for one in data.Order(number, batch)) == number


def test_moved_images_take_in_black() -> None:
    images = np.arange(1, 7, dtype=np.uint8).reshape(1, 2, 3, 1).repeat(2, axis=0)
    moved = data.moved(images, np.array([[0, 1], [-1, 0]]))
    assert moved[0, ..., 0].tolist() == [[0, 1, 2], [0, 4, 5]]
    assert moved[1, ..., 0].tolist() == [[4, 5, 6], [0, 0, 0]]


WRONG = [
    ("recipe: 2\n", "r.yaml:1:9: error[recipe]: 'recipe' should be 1, got 2"),
    ("epochs: many\n", "r.yaml:1:9: error[recipe]: 'epochs' should be a valid integer, got many"),
    ("epochs: 0\n", "r.yaml:1:9: error[recipe]: 'epochs' should be greater than or equal to 1, got 0"),
    ("lr: .nan\n", "r.yaml:1:5: error[recipe]: 'lr' should be a finite number, got nan"),
    ("split: {tset: 0.1}\n", "r.yaml:1:9: error[recipe]: unknown key 'split.tset'"),
    ("phases: [1]\n", "r.yaml:1:1: error[recipe]: unknown key 'phases'"),
    ("split: {validation: 0.5, test: 0.5}\n", "r.yaml:1:1: error[recipe]: validation 0.5 and test 0.5 leave nothing"),
    ("mean: [0.5]\n", "r.yaml:1:1: error[recipe]: mean and std are given together or not at all"),
    ("epochs: 3\nepochs: 4\n", "r.yaml:2:1: error[yaml.duplicate]: 'epochs' stands twice: here and in line 1"),
]


@pytest.mark.parametrize(("text", "said"), WRONG)
def test_a_wrong_recipe_is_told_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, text, "r.yaml")
    with pytest.raises(SpecError) as caught:
        recipe.load("./r.yaml")
    assert str(caught.value).removeprefix("./").startswith(said)


def test_the_shipped_recipe_is_the_default_and_reloads(tmp_path: Path) -> None:
    shipped = recipe.load("classify")
    assert shipped == recipe.Recipe()
    changed = recipe.load("classify", {"mean": "[0.1]", "std": "[0.2]", "lr": "1e-5", "split.test": "0.3"})
    assert recipe.load(write(tmp_path, changed.text())) == changed
    with pytest.raises(MissingError):
        recipe.load("../recipes/classify")
    with pytest.raises(UsageError, match="'batch' holds no keys"):
        recipe.load("classify", {"batch.size": "3"})


def test_a_file_is_durable_before_its_name_appears(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def synced(descriptor: int) -> None:
        done.append("folder" if Path(f"/proc/self/fd/{descriptor}").resolve() == tmp_path else "file")
        fsync(descriptor)

    def renamed(path: Path, target: Path) -> Path:
        done.append("rename")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", renamed)
    runs.write(tmp_path / "a", b"new")
    assert done == ["file", "rename", "folder"]


def test_a_full_disk_is_named_and_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_bytes(b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match=r"cannot write .*a: No space left on device; 3 bytes are needed, \d+ bytes are"):
        runs.write(tmp_path / "a", b"new")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", b"old")]


@pytest.mark.parametrize(("name", "folder"), [("net", "net-4"), ("../n\x1b[31m", "___n__31m-1"), ("", "run-1")])
def test_run_folders_count_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, folder: str) -> None:
    monkeypatch.chdir(tmp_path)
    for taken in ("net-1", "net-3", "net-x", "network-9"):
        (tmp_path / "runs" / taken).mkdir(parents=True)
    assert runs.new_folder(name) == Path("runs") / folder
    assert (tmp_path / "runs" / folder).is_dir()
