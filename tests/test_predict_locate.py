"""One box an image: what predict says of it, by a run and by ONNX, with the class beside it and without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import cnnspec
from cnnspec import recipe, vision
from cnnspec_torch import runs, training
from door import run, write

Capture = pytest.CaptureFixture[str]
BOTH = """\
cnnspec: 1
name: both
input: {image: [N, 3, 16, 24]}
net:
  body: image -> conv(4, 3, 2) -> relu -> flatten
  logits: body -> dense(2)
  box: body -> dense(4)
outputs: [logits, box]
heads: {logits: {classify: {labels: [dark, light]}}, box: {locate: {}}}
"""
ALONE = BOTH.replace("  logits: body -> dense(2)\n", "").replace("[logits, box]", "[box]")
ALONE = ALONE.replace("logits: {classify: {labels: [dark, light]}}, ", "").replace("name: both", "name: alone")


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of one grey rectangle, and a run of each network on them."""
    folder = tmp_path_factory.mktemp("located")
    random, rows = np.random.default_rng(0), ["image,label,x1,y1,x2,y2,part"]
    (folder / "data").mkdir()
    for number in range(12):
        left, top = random.integers(0, 30, 2).tolist()
        image = np.zeros((48, 60, 3), np.uint8)
        image[top : top + 15, left : left + 20] = (90, 200)[number % 2]
        Image.fromarray(image).save(folder / "data" / f"{number}.png")
        part = ("train", "train", "val", "test")[number % 4] if number > 3 else "train"
        rows.append(f"{number}.png,{('dark', 'light')[number % 2]},{left},{top},{left + 20},{top + 15},{part}")
    write(folder / "data", "\n".join(rows) + "\n", "labels.csv")
    for name, text in (("both", BOTH), ("alone", ALONE)):
        graph = cnnspec.compile(write(folder, text, f"{name}.yaml"))
        changes = {"data": f"{folder}/data", "epochs": "1", "batch": "4", "losses": "{}", "augment": "{}"}
        (folder / name).mkdir()
        machine = training.Machine("cpu", workers=0)
        training.fit(graph, recipe.load("locate", changes), folder / name, lambda event: None, machine)
    return folder


def due(folder: Path, name: str, file: str) -> tuple[list[float], int]:
    """Corners in pixels of the image and the class, step by step."""
    header = runs.read_header(folder / name / "best.safetensors")
    module = cnnspec.compile(folder / f"{name}.yaml").lower("torch").eval()
    cnnspec.load_weights(module, folder / name / "best.safetensors", names=None)
    image = vision.load(folder / file, 3)
    small = vision.resize(image, 16, 24)
    outputs = module(torch.from_numpy(vision.normalize(small, header.mean, header.std))[None])
    numbers = outputs["box"][0] if isinstance(outputs, dict) else outputs[0]
    centre, half = numbers[:2], numbers[2:].clamp(min=0).square() / 2
    size = torch.tensor([60, 48, 60, 48])
    corners = (torch.cat([centre - half, centre + half]) * size).clamp(min=0).minimum(size).tolist()
    return corners, int(outputs["logits"][0].argmax()) if isinstance(outputs, dict) else 0


@pytest.mark.parametrize("name", ["both", "alone"])
def test_a_run_and_onnx_say_where_it_is(
    capsys: Capture, here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(here)
    options = ("--target", "onnx", "--weights", f"{name}/best.safetensors", "--fit", "stretch", "--no-verify")
    model = str(tmp_path / f"{name}.onnx")
    header = runs.read_header(Path(f"{name}/best.safetensors"))
    shift = [f"--{key}={','.join(map(str, value))}" for key, value in (("mean", header.mean), ("std", header.std))]
    answer = run(capsys, "compile", f"./{name}.yaml", *options, *shift, "-o", model)
    assert answer.code == 0, answer.err
    corners, number = due(here, name, "data/3.png")
    for target in (name, model):
        answer = run(capsys, "predict", target, "data/3.png", "--json")
        assert answer.code == 0, answer.err
        data: dict[str, Any] = answer.document["data"]
        assert data["kind"] == "locate"
        (box,) = data["images"][0]["boxes"]
        assert box["corners"] == pytest.approx(corners, abs=1e-3)
        assert (box["number"], box["label"]) == (number, ("dark", "light")[number] if name == "both" else "")
    answer = run(capsys, "predict", name, "data/3.png", "--save", str(tmp_path / "drawn"))
    assert answer.code == 0, answer.err
    assert vision.load(tmp_path / "drawn" / "3.png", 3).shape == (48, 60, 3)
    answer = run(capsys, "predict", name, "data/3.png", "--confidence", "0.5")
    said = f"error: --confidence and --overlap are for boxes to choose from; {name} gives one box\n"
    assert (answer.code, answer.err) == (2, said)
    answer = run(capsys, "predict", name, "data/3.png", "--top-k", "2")
    assert (answer.code, answer.err) == (2, f"error: --top-k is for classes to rank; {name} gives one box\n")
