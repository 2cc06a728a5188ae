"""`cnnspec train`: what it learns, writes, repeats and refuses."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import cnnspec
from cnnspec import recipe
from cnnspec.diagnostics import RunError
from cnnspec_torch import room, runs, training
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
    assert document["data"]["test"]["top1"] >= 0.98
    assert document["data"]["test_images"] == 359


def test_a_run_folder_says_what_was_done(capsys: Capture, spec: str, tmp_path: Path) -> None:
    answer = run(capsys, "train", spec, "--epochs", "2", "--seed", "7", "--device", "cpu", "--set", "recipe.batch=64")
    assert answer.code == 0
    folder = tmp_path / "runs" / "tiny-1"
    assert answer.out.splitlines()[-1] == "runs/tiny-1"
    there = {*runs.FILES, runs.LOCK, "checkpoints"}
    assert {path.name for path in folder.iterdir()} == there
    graph, done = cnnspec.compile(spec), recipe.load(str(folder / "recipe.yaml"))
    assert cnnspec.compile(folder / "spec.yaml").hash == graph.hash
    assert (done.epochs, done.seed, done.batch) == (2, 7, 64)
    assert done.mean is not None
    rows = list(csv.DictReader((folder / "metrics.csv").read_text(encoding="utf-8").splitlines()))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    judged = {"validation_loss", "validation_top1", "validation_top5"}
    assert set(rows[0]) == {"epoch", "loss", *judged, "lr", "images_per_second", "waiting", "best", "seconds"}
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [event["event"] for event in events] == ["begin", "epoch", "epoch", "end"]
    environment = json.loads((folder / "environment.json").read_text(encoding="utf-8"))
    assert environment["spec_hash"] == graph.hash
    assert environment["packages"]["torch"] == torch.__version__.partition("+")[0]
    also = ("torchvision", "torchmetrics", "faster-coco-eval", "onnxruntime")
    assert {name: environment["packages"][name] for name in also} == {name: version(name) for name in also}
    header = runs.read_header(folder / runs.BEST)
    best = min(rows, key=lambda row: float(row["validation_loss"]))
    assert (str(header.epoch), header.hash, header.mean) == (best["epoch"], graph.hash, done.mean)
    assert header.labels == list("0123456789")


def test_talk_is_plain_lines_where_there_is_no_terminal(capsys: Capture, spec: str) -> None:
    answer = run(capsys, "train", spec, *QUICK)
    first, second = answer.err.splitlines()
    assert first == "tiny on digits: 1258 training, 180 validation, 359 held out; into runs/tiny-1"
    assert second.startswith("epoch 1/1  loss ")


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


OWN_EPOCHS = (
    "changes nothing: the phases of the recipe have epochs of their own, 5, 40\n"
    "  help: --set 'recipe.phases=[{epochs: N, ...}, ...]' gives others, or a recipe of your own\n"
)
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
    (["lenet5", "--recipe", "transfer", "--epochs", "3"], 2, f"error: --epochs 3 {OWN_EPOCHS}"),
    (["lenet5", "--recipe", "transfer", "--set", "recipe.epochs=3"], 2, f"error: --set recipe.epochs=3 {OWN_EPOCHS}"),
    (
        ["tiny.yaml", "--set", "recipe.freeze=[body]"],
        2,
        "error: freeze: no parameter lies below 'body'\n  help: it has c1, c2, extra, logits\n",
    ),
    (["tiny.yaml", "--set", "recipe.freeze=['*']"], 2, "error: freeze ['*'] leaves nothing to train\n"),
    (
        ["tiny.yaml", "--set", "recipe.rates={body: 0.1}"],
        2,
        "error: rates: no parameter lies below 'body'\n  help: it has c1, c2, extra, logits\n",
    ),
    (
        ["lenet5", "--set", "recipe.phases=[{epochs: 1}, {freeze: [hed]}]"],
        2,
        "error: freeze: no parameter lies below 'hed'\n",
    ),
    (
        ["plain.yaml", "--set", "recipe.sizes=[0.5, 1]"],
        2,
        "error: recipe.sizes is for inputs of any size, that of tiny is 8 x 12\n",
    ),
    (["lenet5", "--set", "recipe.mean=[0.5, 0.5]", "--set", "recipe.std=[1, 1]"], 2, "error: the recipe's mean has 2"),
    (["lenet5", "--set", "recipe.split={validation: 0.0001, test: 0.2}"], 4, "error: the validation part of the spl"),
    (["lenet5", "--device", "tpu"], 2, "error: invalid value for '--device': 'tpu' is not one of"),
]


@pytest.mark.parametrize(("args", "code", "text"), REFUSED)
def test_what_does_not_fit_is_named(
    capsys: Capture, spec: str, tmp_path: Path, args: list[str], code: int, text: str
) -> None:
    write(tmp_path, TINY.replace("4*h, 4*w", "8, 12").replace("typical: {h: 2, w: 3}\n", ""), "plain.yaml")
    answer = run(capsys, "train", *args)
    assert (answer.code, answer.out) == (code, "")
    assert answer.err.startswith(text)
    assert code == 4 or not (tmp_path / "runs").exists()


def test_a_run_that_never_began_leaves_no_folder(capsys: Capture, spec: str, tmp_path: Path) -> None:
    answer = run(capsys, "train", spec, *QUICK, "--weights", "imagenet")
    assert (answer.code, answer.err.startswith("error: tiny has no weights 'imagenet'\n")) == (3, True)
    assert [*(tmp_path / "runs").iterdir()] == []
    (tmp_path / "mine").mkdir()
    assert run(capsys, "train", spec, *QUICK, "--weights", "imagenet", "-o", "mine").code == 3
    assert (tmp_path / "mine").is_dir()


def test_epochs_are_of_the_phases_that_leave_them_out(capsys: Capture, spec: str) -> None:
    phases = ("--set", "recipe.phases=[{epochs: 1, lr: 0.01}, {lr: 0.001}]")
    answer = run(capsys, "train", spec, "--epochs", "2", *phases, "--device", "cpu", "--set", "recipe.batch=600")
    assert answer.code == 0
    assert " of 3, " in answer.out


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
    monkeypatch.setattr(room, "ram", lambda: 2**20)
    answer = run(capsys, "train", spec, "-o", str(tmp_path / "run"), "--set", "recipe.batch=4096", "--device", "cpu")
    assert answer.code == 4
    assert re.fullmatch(
        r"error: a step of 4096 images would take \d+ bytes at \S.*, this machine has 1048576; the largest nodes are "
        r"\S+ with \d+, \S+ with \d+, \S+ with \d+ bytes\n  help: --set recipe.batch=\d+ should fit\n",
        answer.err,
    ), answer.err
    assert not (tmp_path / "run").exists()


HEADLESS = TINY.replace("heads: {logits: {classify: {}}}\n", "")


def test_a_network_without_heads_cannot_be_trained(capsys: Capture, spec: str, tmp_path: Path) -> None:
    answer = run(capsys, "train", write(tmp_path, HEADLESS, "other.yaml"))
    assert answer.code == 2
    assert answer.err.startswith(
        "error: tiny has no head to learn by\n  help: heads: {OUTPUT: {classify: {}}} in the spec says what"
    )
    assert not (tmp_path / "runs").exists()


def test_a_loss_that_is_not_finite_stops_the_run(capsys: Capture, spec: str) -> None:
    changes = ("recipe.optimizer=sgd", "recipe.lr=1e20", "recipe.schedule=constant")
    answer = run(capsys, "train", spec, *QUICK, *[text for change in changes for text in ("--set", change)])
    said = answer.err.splitlines()[-2:]
    assert answer.code == 4
    assert said[0].startswith("error: the loss is nan at step ")
    assert re.search(r", epoch 1, learning rate 1e\+20; it begins at \w.+; samples \d+, .+, \.\.\.$", said[0]), said[0]
    assert said[1] == "  help: try a lower rate: --set recipe.lr=1e+19"
    assert not Path("runs/tiny-1/best.safetensors").exists()


@pytest.mark.parametrize("leaving", [KeyboardInterrupt(), SystemExit(143), RunError("the disk is full")])
def test_an_interruption_passes_and_leaves_the_best_so_far(spec: str, tmp_path: Path, leaving: BaseException) -> None:
    def report(event: dict[str, Any]) -> None:
        if event["event"] == "epoch":
            raise leaving

    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(type(leaving)) as caught:
        training.fit(cnnspec.compile(spec), recipe.load("classify"), tmp_path, report, training.Machine("cpu"))
    assert getattr(caught.value, "code", 143) == 143
    assert signal.getsignal(signal.SIGINT) is handler
    assert runs.read_header(tmp_path / runs.BEST).epoch == 1


def test_auxiliary_heads_are_learned_with_a_part_of_the_loss(spec: str, tmp_path: Path) -> None:
    text = TINY.replace("dense(5)", "dense(classes)").replace("training_params: 1479", "training_params: 1524")
    text = text.replace("{logits: {classify: {}}}", "{logits: {classify: {}}, extra: {classify: {}}}")
    graph = cnnspec.compile(write(tmp_path, text))
    training.fit(graph, recipe.load("classify", {"epochs": "1"}), tmp_path, lambda event: None, training.Machine("cpu"))
    start = graph.lower("torch", 0).state_dict()
    weights = load_file(tmp_path / runs.BEST)
    assert set(weights) == set(start)
    assert not torch.equal(weights["extra.dense.weight"], start["extra.dense.weight"])


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
