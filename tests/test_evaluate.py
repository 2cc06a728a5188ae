"""`cnnspec train --data` and `cnnspec evaluate`: from folders of images to counted answers."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnspec import evaluating, recipe
from cnnspec.diagnostics import UsageError
from door import TINY, run, write

Capture = pytest.CaptureFixture[str]
QUICK = ("--epochs", "2", "--device", "cpu", "--set", "classes=2")
SPEC = TINY.replace("{params: 1434, training_params: 1479, logits: [N, classes]}", "{params: 1434}")

WITHOUT_TORCH = """
import sys
for name in ("torch", "torchvision", "onnx", "safetensors"):
    sys.modules[name] = None  # importing it fails
from cnnspec.__main__ import main
raise SystemExit(main(sys.argv[1:]))
"""


def shades(folder: Path, number: int = 12) -> None:
    """Dark and light images of several sizes, each with a little noise."""
    random = np.random.default_rng(0)
    for level, name in ((40, "dark"), (200, "light")):
        (folder / name).mkdir(parents=True)
        for index in range(number):
            pixels = random.integers(level - 30, level + 30, (9 + index, 14), np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{index:02}.png")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a spec, the data `shades`, a run on it, and its network as ONNX."""
    from cnnspec.__main__ import main

    folder = tmp_path_factory.mktemp("evaluate")
    spec = write(folder, SPEC, "tiny.yaml")
    shades(folder / "shades")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["train", spec, "--data", "shades/", *QUICK, "--epochs", "2", "-o", "run"]) == 0
        compiling = ["compile", "run/spec.yaml", "--target", "onnx", "--weights", "run/best.safetensors"]
        assert main([*compiling, "-o", "tiny.onnx"]) == 0
    return folder


@pytest.fixture
def here(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_run_on_a_folder_says_so(capsys: Capture, here: Path) -> None:
    answer = run(capsys, "train", "./tiny.yaml", "--data", "shades/", *QUICK)
    assert answer.code == 0, answer.err
    assert "tiny on shades/: 16 training, 4 validation, 4 held out; into runs/tiny-1\n" in answer.err
    assert recipe.load("runs/tiny-1/recipe.yaml").data == "shades/"


def test_bad_data_leaves_no_run(capsys: Capture, here: Path) -> None:
    (here / "shades/dark/x.jpg").write_text("text", encoding="utf-8")
    answer = run(capsys, "train", "./tiny.yaml", "--data", "shades/", *QUICK)
    assert (answer.code, answer.out) == (4, "")
    assert (
        "error: shades/dark/x.jpg: no image in a known format (PNG, JPEG, WEBP, BMP, PPM) (sample 8 of train)\n"
        in answer.err
    )
    assert not Path("runs").exists()


def test_warnings_are_said_and_strictly_errors(capsys: Capture, here: Path) -> None:
    (here / "shades/dark/notes.txt").write_text("text", encoding="utf-8")
    for number in range(110):
        shutil.copy("shades/light/03.png", f"shades/light/{number + 20}.png")
    (here / "shades/dark/x.jpg").write_text("text", encoding="utf-8")
    args = ("train", "./tiny.yaml", "--data", "shades/", *QUICK, "--on-bad-sample", "skip")
    answer = run(capsys, *args, "--json")
    assert answer.code == 0, answer.err
    events = [json.loads(line) for line in answer.out.splitlines()]
    first, second, *rest = [one["message"] for one in events if one.get("event") == "warning"]
    assert first == "1 file is left out, no image by its name: shades/dark/notes.txt"
    assert second.startswith("1 of 135 samples are left out; the first: shades/dark/x.jpg: no image in a known")
    assert [text.split(" is in training too")[0].split(" are in")[0] for text in rest] == [
        "1 image of validation",
        "1 image of test",
    ]
    strict = run(capsys, *args, "--strict")
    assert strict.code == 4
    assert strict.err.startswith(f"error: warnings about the data shades\n  {first}\n  {second}\n")


def test_a_run_is_evaluated_on_its_own_data(capsys: Capture, here: Path) -> None:
    answer = run(capsys, "evaluate", "run", "--json")
    assert answer.code == 0, answer.err
    data = answer.document["data"]
    assert (data["name"], data["data"], data["split"], data["images"]) == ("tiny", "shades", "test", 4)
    (head,) = data["heads"]
    confusion = np.array(head["confusion"])
    assert data["metrics"] == head["metrics"] == {"top1": confusion.trace() / 4}
    assert confusion.sum(1).tolist() == [2, 2]
    end = json.loads((here / "run/events.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    assert end["test"]["top1"] == confusion.trace() / 4


def test_a_run_keeps_what_it_held_out(capsys: Capture, here: Path) -> None:
    changes = ("--set", "recipe.split={validation: 0.25, test: 0.5}", "--set", "recipe.split_seed=3")
    assert run(capsys, "train", "./tiny.yaml", "--data", "shades/", *QUICK, *changes, "-o", "other").code == 0
    end = json.loads(Path("other/events.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    for data in ((), ("--data", "shades/")):
        found = run(capsys, "evaluate", "other", *data, "--json").document["data"]
        assert (found["images"], found["metrics"]["top1"]) == (12, pytest.approx(end["test"]["top1"], abs=1e-6))


@pytest.mark.parametrize("fit", ["stretch", "crop", "letterbox"])
def test_images_that_training_crops_are_judged_as_the_recipe_fits_them(capsys: Capture, here: Path, fit: str) -> None:
    changes = ("--set", "recipe.augment={crop: [0.5, 1.0]}", "--set", f"recipe.fit={fit}")
    answer = run(capsys, "train", "./tiny.yaml", "--data", "shades/", *QUICK, *changes, "-o", "other")
    assert answer.code == 0, answer.err
    end = json.loads(Path("other/events.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    found = run(capsys, "evaluate", "other", "--json").document["data"]
    assert found["metrics"] == pytest.approx({"top1": end["test"]["top1"]}, abs=1e-6)
    assert "was not judged" not in Path("other/report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("split", ["train", "validation", "test", "all"])
def test_run_file_and_onnx_agree(capsys: Capture, here: Path, split: str) -> None:
    found = []
    for target in ("run", "run/best.safetensors", "tiny.onnx"):
        answer = run(capsys, "evaluate", target, "--data", "shades/", "--split", split, "--json", "--batch", "5")
        assert answer.code == 0, answer.err
        data = answer.document["data"]
        found.append((data["images"], data["metrics"], data["heads"]))
    assert found[0] == found[1] == found[2]
    assert found[0][0] == {"train": 16, "validation": 4, "test": 4, "all": 24}[split]


def test_onnx_files_need_no_torch(capsys: Capture, here: Path) -> None:
    args = ("evaluate", "tiny.onnx", "--data", "shades/", "--split", "all", "--json")
    done = subprocess.run([sys.executable, "-c", WITHOUT_TORCH, *args], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == run(capsys, *args).out


def test_classes_without_names_are_taken_in_order(capsys: Capture, here: Path) -> None:
    note = "the network knows no class by these names; they are taken in their order: dark is 0, light is 1"
    compiling = ("compile", "./tiny.yaml", "--set", "classes=2", "--target", "onnx", "-o", "plain.onnx")
    assert run(capsys, *compiling).code == 0
    assert run(capsys, "evaluate", "plain.onnx", "--data", "shades/").err == f"warning: {note}\n"


def test_the_table_has_every_class(capsys: Capture, here: Path) -> None:
    for number in range(3):
        Path(f"shades/light/{number:02}.png").rename(f"shades/dark/x{number}.png")
    data = run(capsys, "evaluate", "run", "--split", "all", "--json").document["data"]
    first, second, heading, *rows = run(capsys, "evaluate", "run", "--split", "all").out.splitlines()
    assert first == "tiny on shades, all: 24 images"
    assert second == f"top1 {data['metrics']['top1']:.2%}"
    assert heading.split() == ["class", "images", "right", "recall", "precision"]
    assert [row.split()[:2] for row in rows] == [["dark", "15"], ["light", "9"]]
    for row, one in zip(rows, data["heads"][0]["classes"], strict=True):
        assert row.split()[2:] == [str(one["right"]), f"{one['recall']:.2%}", f"{one['precision']:.2%}"]


def test_the_metric_below_a_bound_is_exit_1(capsys: Capture, here: Path) -> None:
    shutil.move("shades/dark", "dark")
    shutil.move("shades/light", "shades/dark")  # all labels wrong
    shutil.move("dark", "shades/light")
    right = run(capsys, "evaluate", "run", "--split", "all", "--json").document["data"]["metrics"]["top1"]
    args = ("evaluate", "run", "--split", "all", "--fail-under")
    assert run(capsys, *args, f"top1>={right}").code == 0
    low = run(capsys, *args, "top1 >= 1.0", "--fail-under", "top1>=0")
    assert low.code == 1
    assert low.out.splitlines()[-1] == f"top1 is {right:.4f}, less than 1"
    document = run(capsys, *args, "top1>=1", "--json").document
    assert document["ok"] is False
    assert document["data"]["fail_under"] == [{"metric": "top1", "least": 1.0, "value": right}]


def test_warnings_of_the_data_are_said(capsys: Capture, here: Path) -> None:
    (here / "shades/dark/notes.txt").write_text("text", encoding="utf-8")
    note = "1 file is left out, no image by its name: shades/dark/notes.txt"
    assert run(capsys, "evaluate", "run").err == f"warning: {note}\n"
    diagnostics = run(capsys, "evaluate", "run", "--json").document["diagnostics"]
    assert [(one["severity"], one["message"]) for one in diagnostics] == [("warning", note)]


BOUND = "error: --fail-under wants METRIC>=NUMBER as 'top1>=0.99', from 0 to 1, got "
REFUSED = [
    (["nowhere/"], 3, "error: there is no file or folder nowhere/\n"),
    (["run", "--data", "nowhere/"], 3, "error: there is no folder nowhere/\n"),
    (["tiny.onnx"], 2, "error: tiny.onnx does not say what to evaluate on\n  help: --data NAME|DIR\n"),
    (
        ["run", "--fail-under", "top3>=1"],
        2,
        "error: --fail-under: tiny has no metric 'top3'\n"
        "  help: did you mean 'top1'? its metrics are top1, each from 0 to 1\n",
    ),
    (["run", "--fail-under", "top1>=99"], 2, BOUND + "'top1>=99'\n"),
    (["run", "--fail-under", "top1>=."], 2, BOUND + "'top1>=.'\n"),
    (["run", "--fail-under", "top1=1"], 2, BOUND + "'top1=1'\n"),
    (
        ["run", "--fail-under", "loss>=0.9"],
        2,
        "error: --fail-under: tiny has no metric 'loss'\n  help: its metrics are top1, each from 0 to 1\n",
    ),
    (["tiny.onnx", "--backend", "torch"], 2, "error: --backend torch cannot run tiny.onnx: it is an ONNX file\n"),
    (
        ["run", "--data", "digits"],
        2,
        "error: digits: the class '0' is none of the network's\n  help: it knows dark, light\n",
    ),
    (["shades"], 3, "error: shades is no run folder: there is no best.safetensors in it\n"),
]


@pytest.mark.parametrize(("args", "code", "text"), REFUSED)
def test_what_cannot_be_evaluated_is_named(capsys: Capture, here: Path, args: list[str], code: int, text: str) -> None:
    answer = run(capsys, "evaluate", *args)
    assert (answer.code, answer.out) == (code, "")
    assert answer.err.startswith(text)


def test_an_option_and_the_recipe_may_not_differ(capsys: Capture, here: Path) -> None:
    answer = run(capsys, "train", "./tiny.yaml", "--data", "shades/", "--set", "recipe.data=digits")
    assert (answer.code, answer.err) == (2, "error: --data shades/ and --set recipe.data=digits differ\n")


@pytest.mark.parametrize("path", ["a b/", "x: y/", "#/", "1.5", "C:\\d", "é/'\"", "true/", "./-"])
def test_any_path_survives_in_a_recipe(tmp_path: Path, path: str) -> None:
    changed = recipe.load("classify", {"data": recipe.written(path)})
    assert changed.data == path
    assert recipe.load(write(tmp_path, changed.text())) == changed


@pytest.mark.parametrize("text", ["top1>0.9", "top1>=", "top1>=-1", "top1>=1.1", "top1>=0.9x", "", "x"])
def test_other_bounds_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        evaluating.least(text)
