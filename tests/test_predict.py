"""`cnnspec predict`: from a run, from one weights file, and from a spec; and what it says of files that are broken."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image

import cnnspec
from cnnspec import recipe, vision
from cnnspec.datasets.digits import digits
from cnnspec.diagnostics import CnnspecError
from cnnspec_torch import prediction, runs, training
from door import TINY, run, write

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one epoch, and beside it a held-out digit as a file."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    folder.mkdir()
    graph = cnnspec.compile(write(folder.parent, TINY, "tiny.yaml"))
    training.fit(graph, recipe.load("classify", {"epochs": "1"}), folder, lambda event: None, training.Machine("cpu"))
    Image.fromarray(digits()[0][0][..., 0]).save(folder.parent / "digit.png")
    return folder


@pytest.fixture(autouse=True)
def beside_the_run(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trained.parent)


@pytest.mark.parametrize("target", ["run", "./run/", "run/best.safetensors"])
def test_a_run_and_its_file_predict_alike(capsys: Capture, target: str) -> None:
    answer = run(capsys, "predict", target, "digit.png", "--top-k", "3", "--json")
    (image,) = answer.document["data"]["images"]
    assert (answer.code, answer.err) == (0, "")
    assert answer.document["schema"] == "cnnspec/predict@1"
    assert (image["image"], image["size"], image["input"], image["output"]) == (
        "digit.png",
        [8, 8],
        [1, 1, 8, 12],
        [1, 10],
    )
    assert [guess["label"] for guess in image["top"]] == [str(guess["number"]) for guess in image["top"]]
    assert image["top"] == due(Path("run/best.safetensors"))[:3]


def due(file: Path) -> list[dict[str, Any]]:
    """The same, step by step: the network, its weights, the image as the header says, softmax."""
    graph = cnnspec.compile("tiny.yaml")
    model, header = graph.lower("torch").eval(), runs.read_header(file)
    model.load_state_dict(safetensors.torch.load_file(file))
    pixels = vision.resize(vision.load("digit.png", 1), 8, 12)
    scores = model(torch.from_numpy(vision.normalize(pixels, header.mean, header.std))[None])["logits"][0]
    ranked = scores.softmax(0).sort(descending=True)
    pairs = zip(ranked.indices.tolist(), ranked.values.tolist(), strict=True)
    return [{"number": n, "label": str(n), "probability": pytest.approx(p, rel=1e-5), "id": None} for n, p in pairs]


def test_one_file_is_enough(capsys: Capture, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = str(trained.parent / "digit.png")
    (tmp_path / "alone.safetensors").write_bytes((trained / runs.BEST).read_bytes())
    monkeypatch.chdir(tmp_path)
    answer = run(capsys, "predict", "alone.safetensors", image, image, "--top-k", "1")
    lines = answer.out.splitlines()
    assert len(lines) == 4
    assert lines[0].startswith(f"{image}  8 x 8, [1, 1, 8, 12] -> [1, 10] in ")
    assert lines[1] == lines[3]
    assert lines[1].lstrip()[-1].isdigit()


def test_more_classes_than_there_are_gives_all_of_them(capsys: Capture) -> None:
    top = run(capsys, "predict", "run", "digit.png", "--top-k", "99", "--json").document["data"]["images"][0]["top"]
    assert sorted(guess["number"] for guess in top) == list(range(10))
    assert sum(guess["probability"] for guess in top) == pytest.approx(1, abs=1e-5)


def test_an_untrained_network_says_so(capsys: Capture) -> None:
    answer = run(capsys, "predict", "tiny.yaml", "digit.png")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == (
        "error: tiny.yaml is untrained\n  help: --weights FILE loads weights, --random predicts with random ones\n"
    )
    answer = run(capsys, "predict", "tiny.yaml", "digit.png", "--random", "--top-k", "1")
    assert (answer.code, answer.err) == (0, "tiny has random weights: what it says means nothing\n")
    assert run(capsys, "predict", "tiny.yaml", "digit.png", "--random", "--json").document["data"]["random"] is True


def test_a_spec_with_weights_prepares_images_as_the_weights_were_trained(capsys: Capture) -> None:
    answer = run(capsys, "predict", "tiny.yaml", "digit.png", "--weights", "run/best.safetensors", "--json")
    assert answer.document["data"]["images"][0]["top"] == due(Path("run/best.safetensors"))[:3]
    assert answer.document["data"]["random"] is False


def test_sizes_and_preparation_can_be_given(capsys: Capture) -> None:
    options = ("--at", "h=4,w=5", "--fit", "crop", "--mean", "0.5", "--std", "0.25", "--set", "classes=7")
    answer = run(capsys, "predict", "tiny.yaml", "digit.png", "--random", *options, "--json")
    assert answer.document["data"]["images"][0]["input"] == [1, 1, 16, 20]
    assert answer.document["data"]["images"][0]["output"] == [1, 7]


WRONG = [
    (["run", "nope.png"], 3, "error: cannot read nope.png: No such file or directory\n"),
    (["run", "tiny.yaml"], 4, "error: tiny.yaml: no image in a known format (PNG, JPEG, WEBP, BMP, PPM)\n"),
    (["nowhere/run", "digit.png"], 3, "error: there is no file or folder nowhere/run\n"),
    (["nowhere.safetensors", "digit.png"], 3, "error: there is no file nowhere.safetensors\n"),
    (["..", "digit.png"], 3, "error: .. is no run folder: there is no best.safetensors in it\n"),
    (["run", "digit.png", "--random"], 2, "error: --random is for a spec; run says it itself\n"),
    (["run", "digit.png", "--mean", "0.5"], 2, "error: --mean is for a spec; run says it itself\n"),
    (["tiny.yaml", "digit.png", "--random", "--weights", "a.pt"], 2, "error: tiny.yaml cannot have --weights and --ra"),
    (["tiny.yaml", "digit.png", "--weights", "a.pt"], 3, "error: there is no file a.pt\n"),
    (
        ["tiny.yaml", "digit.png", "--random", "--mean", "0.5,0.5,0.5"],
        2,
        "error: mean and std hold 3 and 1 numbers, the",
    ),
    (
        ["tiny.yaml", "digit.png", "--random", "--std", "0"],
        2,
        "error: --std wants numbers as 0.485,0.456,0.406, got '0'",
    ),
    (
        ["tiny.yaml", "digit.png", "--random", "--mean", "nan"],
        2,
        "error: --mean wants numbers as 0.485,0.456,0.406, go",
    ),
    (["tiny.yaml", "digit.png", "--random", "--at", "z=3"], 2, "error: 'z' is no symbol of tiny"),
    (
        ["run", "digit.png", "--overlap", "0.5"],
        2,
        "error: --confidence and --overlap are for boxes to choose from; tiny gives classes\n",
    ),
    (["run", "digit.png", "--top-k", "0"], 2, "error: invalid value for '--top-k'"),
]


@pytest.mark.parametrize(("args", "code", "text"), WRONG)
def test_what_cannot_be_done_is_named(capsys: Capture, args: list[str], code: int, text: str) -> None:
    answer = run(capsys, "predict", *args)
    assert (answer.code, answer.out) == (code, "")
    assert answer.err.startswith(text)


def changed(change: Callable[[dict[str, Any]], None]) -> Callable[[bytes], bytes]:
    """A weights file whose header was changed after the fact."""

    def edit(whole: bytes) -> bytes:
        (length,) = struct.unpack("<Q", whole[:8])
        outer = json.loads(whole[8 : 8 + length])
        header = json.loads(outer["__metadata__"]["cnnspec"])
        change(header)
        outer["__metadata__"]["cnnspec"] = json.dumps(header)
        text = json.dumps(outer).encode()
        return struct.pack("<Q", len(text)) + text + whole[8 + length :]

    return edit


def other_spec(header: dict[str, Any]) -> None:
    header["spec"] = header["spec"].replace("filters: 8", "filters: 4")


def broken_spec(header: dict[str, Any]) -> None:
    header["spec"] = "cnnspec: 1\nnet: !!python/object:os.system {}\n"


BROKEN = [
    (lambda whole: b"", "a.safetensors (0 bytes) is no whole safetensors file: "),
    (lambda whole: whole[:100], "a.safetensors (100 bytes) is no whole safetensors file: "),
    (lambda whole: whole[:-1], "a.safetensors ("),
    (lambda whole: struct.pack("<Q", 2**60) + whole[8:], "a.safetensors ("),
    (lambda whole: safetensors.torch.save({"w": torch.ones(1)}), "a.safetensors does not say which network it bel"),
    (changed(other_spec), "a.safetensors: the spec in it has the hash "),
    (changed(broken_spec), "a.safetensors: the spec in it does not compile: tags are not allowed"),
    (changed(lambda h: h.update(hash="0" * 64)), "a.safetensors: the spec in it has the hash "),
    (changed(lambda h: h.update(schema="cnnspec/weights@2")), "a.safetensors: the header is damaged, or newer than "),
    (changed(lambda h: h.update(extra=1)), "a.safetensors: the header is damaged, or newer than this cnnspec: 'extra'"),
    (
        changed(lambda h: h.update(std=[0.0])),
        "a.safetensors: the header is damaged, or newer than this cnnspec: 'std.0",
    ),
    (
        changed(lambda h: h.update(mean=[0.1, 0.2])),
        "a.safetensors: its labels, sizes, mean and std do not fit its netw",
    ),
    (
        changed(lambda h: h.update(std=[0.1, 0.2])),
        "a.safetensors: its labels, sizes, mean and std do not fit its netwo",
    ),
    (
        changed(lambda h: h.update(labels=["a"])),
        "a.safetensors: its labels, sizes, mean and std do not fit its network",
    ),
    (changed(lambda h: h.update(head="extra")), "a.safetensors: its labels, sizes, mean and std do not fit its networ"),
    (changed(lambda h: h.update(sizes={"h": 9999, "w": 9999})), "a.safetensors: its labels, sizes, mean and std do no"),
    (changed(lambda h: h.update(sizes={"h": 0})), "a.safetensors: h = 0 is too small: tiny wants h >= 1"),
    (changed(lambda h: h.update(sizes={"zzz": 1})), "a.safetensors: 'zzz' is no symbol of tiny"),
]


@pytest.mark.parametrize(("edit", "text"), BROKEN)
def test_a_broken_weights_file_is_named(
    capsys: Capture, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edit: Any, text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.safetensors").write_bytes(edit((trained / runs.BEST).read_bytes()))
    answer = run(capsys, "predict", "a.safetensors", str(trained.parent / "digit.png"))
    assert (answer.code, answer.out) == (4, "")
    assert answer.err.removeprefix("error: ").startswith(text)


def test_weights_that_are_nan_are_refused(capsys: Capture, trained: Path, tmp_path: Path) -> None:
    tensors = safetensors.torch.load_file(trained / runs.BEST)
    tensors["logits.dense.bias"][3] = float("nan")
    runs.write_weights(tmp_path / "a.safetensors", tensors, runs.read_header(trained / runs.BEST))
    answer = run(capsys, "predict", str(tmp_path / "a.safetensors"), "digit.png")
    assert answer.code == 4
    assert "logits.dense.bias (for logits.dense.bias): 1 of 10, the first at [3]" in answer.err


def test_a_byte_cut_or_flipped_gives_a_prediction_or_a_named_error(trained: Path, tmp_path: Path) -> None:
    whole, random, file = (trained / runs.BEST).read_bytes(), np.random.default_rng(0), tmp_path / "a.safetensors"
    (length,) = struct.unpack("<Q", whole[:8])
    for at in [*range(8), *random.integers(8, 8 + length, 60).tolist()]:
        flipped = bytearray(whole)
        flipped[at] ^= int(random.integers(1, 256))
        for bytes in (flipped, whole[:at]):
            file.write_bytes(bytes)
            try:
                prediction.from_file(file)("digit.png", 1)
            except CnnspecError:
                continue


def test_the_lowest_score_wins_where_the_head_says_so(capsys: Capture, trained: Path) -> None:
    write(trained.parent, TINY.replace("{classify: {}}", "{classify: {lowest: true}}"), "lowest.yaml")
    tops = []
    for spec in ("tiny.yaml", "lowest.yaml"):
        answer = run(capsys, "predict", spec, "digit.png", "--random", "--top-k", "10", "--json")
        tops.append([guess["number"] for guess in answer.document["data"]["images"][0]["top"]])
    assert tops[0] == tops[1][::-1]
