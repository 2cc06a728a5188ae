"""`compile --target onnx` and `predict FILE.onnx`: the same answers as torch's, without torch, and clear refusals."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

import cnnspec
from cnnspec.diagnostics import CnnspecError, MissingError, RunError, UsageError
from cnnspec_onnx.session import Session, affine
from door import TINY, run, write

Capture = pytest.CaptureFixture[str]

WITHOUT_TORCH = """
import sys
for name in ("torch", "torchvision", "onnx"):
    sys.modules[name] = None  # importing it fails
from cnnspec.__main__ import main
code = main(sys.argv[1:])
assert not [name for name in sys.modules if name.startswith("torch.")]
raise SystemExit(code)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With a spec of one grey image of 8 x 12 pixels, and a picture."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path, TINY, "tiny.yaml")
    pixels = np.random.default_rng(1).integers(0, 256, (20, 30), np.uint8)
    Image.fromarray(pixels).save("photo.png")
    return tmp_path


def export(capsys: Capture, *options: str) -> str:
    answer = run(capsys, "compile", "./tiny.yaml", "--target", "onnx", "-o", "tiny.onnx", *options)
    assert answer.code == 0, answer.err
    return answer.out


def top(capsys: Capture, *args: str) -> list[dict[str, Any]]:
    answer = run(capsys, "predict", *args, "photo.png", "--top-k", "4", "--json")
    assert answer.code == 0, answer.err
    found: list[dict[str, Any]] = answer.document["data"]["images"][0]["top"]
    return found


def assert_alike(found: list[dict[str, Any]], due: list[dict[str, Any]]) -> None:
    assert [one["number"] for one in found] == [one["number"] for one in due]
    assert [one["probability"] for one in found] == pytest.approx([one["probability"] for one in due], rel=1e-5)


def test_says_what_was_proved(capsys: Capture) -> None:
    size = "wrote tiny.onnx, "
    first, *rest = export(capsys).splitlines()
    assert first.startswith(size)
    assert first.endswith(" kB, opset 18")
    assert rest[0] == "verified: onnx infers the same 6 shapes; with random weights onnxruntime is"
    assert rest[1].endswith(" of torch's largest value, at N=1, h=1, w=2; N=3, h=4, w=3")


@pytest.mark.parametrize("options", [[], ["--mean", "0.3", "--std", "0.2", "--fit", "crop"]])
@pytest.mark.parametrize("pixels", [[], ["--pixels"]])
def test_predicts_as_torch_does(capsys: Capture, options: list[str], pixels: list[str]) -> None:
    export(capsys, *options, *pixels)
    assert_alike(top(capsys, "tiny.onnx"), top(capsys, "./tiny.yaml", "--random", *options))


def test_predicts_with_the_weights_of_a_file(capsys: Capture) -> None:
    torch.save(cnnspec.compile("tiny.yaml").lower("torch", seed=5).state_dict(), "five.pth")
    export(capsys, "--weights", "five.pth")
    found = top(capsys, "tiny.onnx")
    assert_alike(found, top(capsys, "./tiny.yaml", "--weights", "five.pth"))
    export(capsys, "--seed", "5", "--force")
    assert_alike(top(capsys, "tiny.onnx"), found)


@pytest.mark.parametrize("pixels", [[], ["--pixels"]])
def test_predicts_where_there_is_no_torch(capsys: Capture, pixels: list[str]) -> None:
    export(capsys, *pixels)
    command = [sys.executable, "-c", WITHOUT_TORCH, "predict", "tiny.onnx", "photo.png", "--top-k", "4", "--json"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["data"]["images"][0]["top"] == top(capsys, "tiny.onnx")


def test_writes_where_there_is_no_torch_what_needs_none() -> None:
    """The graph alone; onnx itself is needed."""
    code = WITHOUT_TORCH.replace(', "onnx")', ")")
    command = [sys.executable, "-c", code, "compile", "./tiny.yaml", "--target", "onnx", "-o", "tiny.onnx"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stderr.splitlines()[-2:]) == (
        3,
        [
            "error: the weights need torch",
            "  help: pip install 'cnnspec[torch]', or --no-weights writes the graph alone",
        ],
    )
    command += ["--no-weights", "--no-verify"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    onnx.checker.check_model("tiny.onnx", full_check=True)


def test_a_session_runs_on_arrays(capsys: Capture) -> None:
    export(capsys)
    x = np.random.default_rng(2).standard_normal((2, 1, 12, 8), np.float32)
    due = cnnspec.compile("tiny.yaml").lower("torch").eval()(torch.from_numpy(x))
    found = Session("tiny.onnx")(image=x)
    assert list(found) == ["logits"]
    assert np.abs(found["logits"] - due["logits"].detach().numpy()).max() < 1e-6


BOUND = """
cnnspec: 1
name: bound
input: {image: [N, 1, 4*h + 2, 4*h + 2]}
net:
  y: image -> conv(2, 7, padding=valid) -> global_avgpool
outputs: [y]
"""


@pytest.mark.parametrize("shape", [(1, 1, 6, 6), (1, 1, 11, 11), (1, 2, 10, 10), (1, 1, 10, 14), (1, 10, 10)])
def test_a_session_refuses_sizes_that_do_not_fit(capsys: Capture, folder: Path, shape: tuple[int, ...]) -> None:
    """Below the bound, between the symbol's values, of other channels, of two values at once, of another rank."""
    write(folder, BOUND, "bound.yaml")
    assert run(capsys, "compile", "./bound.yaml", "--target", "onnx", "-o", "bound.onnx", "--no-verify").code == 0
    session = Session("bound.onnx")
    assert session(image=np.zeros((1, 1, 10, 10)))["y"].shape == (1, 2)
    with pytest.raises(UsageError, match=r"image is \[N, 1, 4\*h \+ 2, 4\*h \+ 2\](| with h >= 2), got "):
        session(image=np.zeros(shape))
    with pytest.raises(UsageError, match="bound wants the inputs image; 'image' is missing"):
        session()
    with pytest.raises(UsageError, match="bound has 0 classify heads, one is wanted"):
        session.predict("photo.png")


@pytest.mark.parametrize(("text", "due"), [("h", (1, "h", 0)), ("32*h", (32, "h", 0)), ("4*w - 3", (4, "w", -3))])
def test_sizes_are_read_again(text: str, due: tuple[int, str, int]) -> None:
    assert affine(text) == due


@pytest.mark.parametrize("text", [None, "", "0*h", "h*h", "-h", "32 * h", "9" * 5000 + "*h"])
def test_other_sizes_are_refused(text: str | None) -> None:
    with pytest.raises(RunError, match="is no size as"):
        affine(text)


REFUSALS = {
    "--target onnx": (2, "error: --target onnx wants -o FILE.onnx"),
    "-o tiny.onnx --target onnx": (2, "error: tiny.onnx is there already\n  help: --force overwrites it"),
    "-o no/tiny.onnx --target onnx": (2, "error: cannot write no/tiny.onnx: there is no folder no"),
    "-o a.pt2 --target onnx": (2, "error: -o a.pt2 does not end in .onnx"),
    "-o a.onnx --target onnx --weights b.pth --no-weights": (2, "error: --weights and --no-weights exclude each other"),
    "-o a.onnx --target onnx --opset 17": (2, "error: opset 17 is not written: 18 to "),
    "-o a.onnx --target onnx --mean 1,2": (2, "error: mean and std hold 2 and 1 numbers, the input has 1 channels"),
    "-o a.onnx --target onnx --weights no.pth": (3, "error: there is no file no.pth"),
    "--opset 18": (2, "error: --opset is for --target onnx"),
    "--no-verify": (2, "error: --no-verify is for --target onnx"),
    "--target graph --pixels": (2, "error: --pixels is for --target onnx"),
}


@pytest.mark.parametrize("options", REFUSALS)
def test_a_wrong_export_is_refused(capsys: Capture, folder: Path, options: str) -> None:
    (folder / "tiny.onnx").write_bytes(b"old")
    before = sorted(folder.iterdir())
    answer = run(capsys, "compile", "./tiny.yaml", *options.split())
    code, text = REFUSALS[options]
    assert (answer.code, answer.out) == (code, "")
    assert answer.err.startswith(text), answer.err
    assert sorted(folder.iterdir()) == before
    assert (folder / "tiny.onnx").read_bytes() == b"old"


def session_of(path: str) -> str:
    with pytest.raises(CnnspecError) as caught:
        Session(path)
    return str(caught.value)


def test_broken_files_are_refused(capsys: Capture) -> None:
    export(capsys)
    whole = Path("tiny.onnx").read_bytes()
    assert session_of("no.onnx") == "error: there is no file no.onnx"
    for name, data in {"cut": whole[:300], "empty": b"", "text": b"hello", "flipped": whole[::-1]}.items():
        Path(f"{name}.onnx").write_bytes(data)
        assert session_of(f"{name}.onnx").startswith(f"error: {name}.onnx: onnxruntime cannot load it: ")
        answer = run(capsys, "predict", f"{name}.onnx", "photo.png")
        assert (answer.code, answer.out) == (4, "")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("hash", None),
        ("heads", "[]"),
        ("heads", "{"),
        ("bounds", '{"h": "x"}'),
        ("preprocess", '{"std": [0]}'),
        ("preprocess", '{"fit": "cover"}'),
    ],
)
def test_models_without_our_metadata_are_refused(capsys: Capture, key: str, value: str | None) -> None:
    export(capsys)
    model = onnx.load("tiny.onnx")
    for entry in list(model.metadata_props):
        if entry.key == f"cnnspec.{key}":
            model.metadata_props.remove(entry)
    if value is not None:
        model.metadata_props.add(key=f"cnnspec.{key}", value=value)
    onnx.save(model, "other.onnx")
    assert f"other.onnx: the metadata lack 'cnnspec.{key}" in session_of("other.onnx")


def spoilt(change: Callable[[onnx.ModelProto], None]) -> str:
    """What predict says of a model with a change."""
    model = onnx.load("tiny.onnx")
    change(model)
    onnx.save(model, "spoilt.onnx")
    with pytest.raises(CnnspecError) as caught:
        Session("spoilt.onnx").predict("photo.png")
    return str(caught.value)


def set_metadata(model: onnx.ModelProto, key: str, value: str) -> None:
    next(entry for entry in model.metadata_props if entry.key == f"cnnspec.{key}").value = value


def test_hostile_models_are_refused(capsys: Capture) -> None:
    export(capsys)

    def negative(model: onnx.ModelProto) -> None:
        set_metadata(model, "typical", '{"h": -1, "w": -1}')

    def elsewhere(model: onnx.ModelProto) -> None:
        set_metadata(model, "heads", '{"a": {"kind": "classify", "of": ["no"], "labels": null, "lowest": false}}')

    def wide(model: onnx.ModelProto) -> None:
        model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "h*h"

    def unknown(model: onnx.ModelProto) -> None:
        model.graph.input[0].type.tensor_type.shape.dim[2].Clear()

    def outside(model: onnx.ModelProto) -> None:
        tensor = next(t for t in model.graph.initializer if len(t.raw_data) > 100)
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="../../etc/passwd")

    def fails(model: onnx.ModelProto) -> None:
        pads = onnx.numpy_helper.from_array(np.array([0, 0, -9, 0, 0, 0, 0, 0]), "pads")
        model.graph.initializer.append(pads)
        model.graph.node.insert(0, onnx.helper.make_node("Pad", ["image", "pads"], ["cut"]))
        model.graph.node[1].input[0] = "cut"

    assert spoilt(negative) == "error: spoilt.onnx: an image of -4 x -4 is none"
    assert spoilt(elsewhere) == "error: spoilt.onnx: its head reads 'no', which is no output of floats"
    assert spoilt(wide) == "error: 'h*h' is no size as 32*h + 4"
    assert spoilt(unknown) == "error: 'None' is no size as 32*h + 4"
    assert spoilt(outside).startswith("error: spoilt.onnx: onnxruntime cannot load it: ")
    assert spoilt(fails).startswith("error: spoilt.onnx: onnxruntime cannot run it: ")


ENDLESS = """
import onnx, onnx.helper as h
from onnx import TensorProto as T
body = h.make_graph(
    [h.make_node("Identity", ["c"], ["d"]), h.make_node("Add", ["a", "a"], ["b"])], "body",
    [h.make_tensor_value_info("i", T.INT64, []), h.make_tensor_value_info("c", T.BOOL, []),
     h.make_tensor_value_info("a", T.FLOAT, None)],
    [h.make_tensor_value_info("d", T.BOOL, []), h.make_tensor_value_info("b", T.FLOAT, None)])
model = onnx.load("tiny.onnx")
true = onnx.numpy_helper.from_array(__import__("numpy").array(True), "true")
model.graph.initializer.append(true)
model.graph.node.insert(0, h.make_node("Loop", ["", "true", "image"], ["looped"], body=body))
model.graph.node[1].input[0] = "looped"
onnx.save(model, "endless.onnx")
"""


def test_a_model_without_end_can_be_stopped(capsys: Capture) -> None:
    export(capsys, "--no-verify")
    subprocess.run([sys.executable, "-c", ENDLESS], check=True)
    process = subprocess.Popen([sys.executable, "-m", "cnnspec", "predict", "endless.onnx", "photo.png"])
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(5)
    process.terminate()
    assert process.wait(20) == 143


def test_options_for_specs_are_refused_for_files(capsys: Capture) -> None:
    export(capsys)
    answer = run(capsys, "predict", "tiny.onnx", "photo.png", "--mean", "0")
    assert (answer.code, answer.err) == (2, "error: --mean is for a spec; tiny.onnx says it itself\n")
    with pytest.raises(MissingError, match="there is no file"):
        Session("tiny.yml")


def test_a_run_says_what_its_images_need(capsys: Capture) -> None:
    """Size, mean, std and labels come with the weights; `--at` takes another size."""
    run_of = ["train", "./tiny.yaml", "--set", "recipe.epochs=1", "--out", "run"]
    assert run(capsys, *run_of).code == 0
    export(capsys, "--weights", "run")
    found = top(capsys, "tiny.onnx")
    assert_alike(found, top(capsys, "run"))
    assert [one["label"] for one in found] == [one["label"] for one in top(capsys, "run")]
    export(capsys, "--weights", "run", "--at", "h=5", "--force")
    assert (Session("tiny.onnx").preparation.height, Session("tiny.onnx").preparation.width) == (20, 12)


@pytest.mark.long
def test_predicts_in_an_environment_that_never_had_torch(capsys: Capture, tmp_path: Path) -> None:
    """What `pip install 'cnnspec[onnx]'` brings is enough."""
    export(capsys)
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    root = Path(__file__).parent.parent
    install = [str(python), "-m", "pip", "install", "--quiet", f"{root}[onnx]"]
    subprocess.run(install, check=True, capture_output=True)
    assert subprocess.run([python, "-c", "import torch"], check=False, capture_output=True).returncode == 1
    command = [str(python), "-m", "cnnspec", "predict", "tiny.onnx", "photo.png", "--top-k", "4", "--json"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["data"]["images"][0]["top"] == top(capsys, "tiny.onnx")
