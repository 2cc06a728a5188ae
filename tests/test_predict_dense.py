"""Boxes and masks of image files: torch, ONNX and ONNX with suppression inside say the same, in the image's pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch.nn.functional import interpolate, pad

from cnnspec import boxes, dense, vision
from cnnspec.front import compile_file
from cnnspec.grids import grids_of
from cnnspec.predicting import Preparation
from cnnspec_onnx.verify import unsettle
from cnnspec_torch import cells
from cnnspec_torch.dense_prediction import network
from door import run, write
from test_detect import THREE

MASKS = """\
cnnspec: 1
name: masks
input: {image: [N, 3, 8*h, 8*w]}
net:
  low: image -> conv(8, 3, 4) -> relu
  logits: low -> conv(3, 3) -> resize(image, mode='bilinear')
outputs: [logits]
heads: {logits: {segment: {labels: [sky, tree, road]}}}
"""
COARSE = MASKS.replace(" -> resize(image, mode='bilinear')", "")


def made(folder: Path, text: str) -> tuple[str, str, str, Any]:
    """Paths of a spec, of its weights and of an image of 70 x 45 pixels; and the torch module."""
    spec = write(folder, text)
    graph = compile_file(spec)
    module: Any = graph.lower("torch").eval()
    unsettle(module, {"image": torch.randn(graph.at(N=2).nodes["image"].type.concrete)})
    weights, photo = str(folder / "weights.safetensors"), str(folder / "photo.png")
    save_file(module.state_dict(), weights)
    random = np.random.default_rng(0)
    small = Image.fromarray(random.integers(0, 256, (9, 14, 3), dtype=np.uint8))
    small.resize((70, 45), Image.Resampling.BICUBIC).save(photo)
    return spec, weights, photo, module


@pytest.mark.parametrize("fit", ["stretch", "letterbox"])
def test_boxes_are_the_same_everywhere(capsys: pytest.CaptureFixture[str], tmp_path: Path, fit: vision.Fit) -> None:
    spec, weights, photo, module = made(tmp_path, THREE)
    how = ["--fit", fit, "--mean", "0.4,0.5,0.6", "--std", "0.2,0.2,0.2"]
    options = ["--confidence", "0.6", "--overlap", "0.4", "--json"]
    answer = run(capsys, "predict", spec, photo, "--weights", weights, *how, *options)
    assert answer.code == 0, answer.err
    (ours,) = answer.document["data"]["images"]
    graph = compile_file(spec)
    prepared = Preparation(3, 64, 96, fit, [0.4, 0.5, 0.6], [0.2, 0.2, 0.2])
    with torch.inference_mode():
        outputs = module(torch.from_numpy(prepared.batch(vision.load(photo, 3))))
    ((corners, scores, classes),) = cells.detections(cells.read(outputs, grids_of(graph, "boxes")), 0.6, 0.4)
    due = boxes.placed((70, 45), 64, 96, fit).back(corners.numpy())
    assert len(due) > 3
    assert (ours["size"], ours["input"]) == ([70, 45], [1, 3, 64, 96])
    np.testing.assert_allclose([box["corners"] for box in ours["boxes"]], due, atol=1e-3)
    np.testing.assert_allclose([box["score"] for box in ours["boxes"]], scores.numpy(), atol=1e-6)
    assert [box["number"] for box in ours["boxes"]] == classes.tolist()
    assert due.min() >= 0
    assert (due <= [70, 45, 70, 45]).all()
    for extra in ([], ["--nms", "--confidence", "0.6", "--overlap", "0.4"], ["--nms", "--pixels", "--overlap", "0.4"]):
        file = str(tmp_path / "net.onnx")
        flags = ["--target", "onnx", "-o", file, "--force", "--no-verify", "--weights", weights, *how, *extra]
        written = run(capsys, "compile", spec, *flags)
        assert written.code == 0, written.err
        asked = options if not extra else ["--confidence", "0.6", "--json"]
        answer = run(capsys, "predict", file, photo, *asked)
        assert answer.code == 0, answer.err
        (theirs,) = answer.document["data"]["images"]
        assert [box["label"] for box in theirs["boxes"]] == [box["label"] for box in ours["boxes"]]
        for key, near in (("corners", 0.01), ("score", 1e-4)):
            found, wanted = ([box[key] for box in one["boxes"]] for one in (theirs, ours))
            np.testing.assert_allclose(found, wanted, atol=near)


def test_what_a_model_has_settled_is_no_more_to_choose(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    spec, weights, photo, _ = made(tmp_path, THREE)
    file, options = str(tmp_path / "net.onnx"), ("--nms", "--confidence", "0.6", "--overlap", "0.4")
    written = run(
        capsys, "compile", spec, "--target", "onnx", "-o", file, "--no-verify", "--weights", weights, *options
    )
    assert written.code == 0, written.err
    settled = ", settled when the model was written with --nms"
    low = run(capsys, "predict", file, photo, "--confidence", "0.005")
    assert (low.code, low.out, low.err) == (
        2,
        "",
        f"error: --confidence 0.005 is below 0.6{settled}\n  help: compile it again with --nms --confidence 0.005\n",
    )
    low = run(capsys, "predict", file, photo, "--overlap", "0.5")
    assert (low.code, low.err) == (2, "error: --overlap was settled at 0.4 when the model was written with --nms\n")
    for confidence in ("0.6", "0.7"):
        ours, theirs = (
            run(capsys, "predict", *target, photo, "--confidence", confidence, "--json").document["data"]["images"]
            for target in ([spec, "--weights", weights, "--overlap", "0.4"], [file])
        )
        assert len(ours[0]["boxes"]) == len(theirs[0]["boxes"]) > 0
    as_before(file)
    assert run(capsys, "predict", file, photo, "--confidence", "0.005").code == 0
    old = run(capsys, "predict", file, photo, "--overlap", "0.5")
    assert (old.code, old.err) == (2, "error: --overlap was settled when the model was written with --nms\n")


def as_before(file: str) -> None:
    """The model as it was written before models said what they have settled."""
    model = onnx.load(file)
    kept = [one for one in model.metadata_props if one.key not in ("cnnspec.confidence", "cnnspec.overlap")]
    assert len(kept) == len(model.metadata_props) - 2
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    onnx.save(model, file)


@pytest.mark.parametrize("value", ["2", "-0.1", "nan", "much"])
def test_a_confidence_that_is_none_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path, value: str) -> None:
    spec, weights, photo, _ = made(tmp_path, THREE)
    file = str(tmp_path / "net.onnx")
    run(capsys, "compile", spec, "--target", "onnx", "-o", file, "--no-verify", "--weights", weights, "--nms")
    model = onnx.load(file)
    next(one for one in model.metadata_props if one.key == "cnnspec.confidence").value = value
    onnx.save(model, file)
    answer = run(capsys, "predict", file, photo)
    assert (answer.code, answer.err.splitlines()[0]) == (
        4,
        f"error: {file}: the metadata lack 'cnnspec.confidence', or hold something else there",
    )


@pytest.mark.parametrize("text", [MASKS, COARSE], ids=["full", "coarse"])
def test_masks_have_the_images_size(capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str) -> None:
    """70 x 45 pixels become 72 x 48 and are cut back; scores of another size are resized before."""
    spec, weights, photo, module = made(tmp_path, text)
    image = torch.tensor(vision.load(photo, 3)).permute(2, 0, 1)[None] / 255
    with torch.inference_mode():
        scores = module(pad(image, (0, 2, 0, 3)))
        due = interpolate(scores, (48, 72), mode="bilinear", align_corners=False)[0, :, :45, :70].argmax(0).numpy()
    file = str(tmp_path / "net.onnx")
    assert run(capsys, "compile", spec, "--target", "onnx", "-o", file, "--weights", weights).code == 0
    found: dict[str, Any] = {}
    for target, more in ((spec, ["--weights", weights]), (file, [])):
        answer = run(capsys, "predict", target, photo, *more, "--save", str(tmp_path / "out"), "--force", "--json")
        assert answer.code == 0, answer.err
        (found,) = answer.document["data"]["images"]
        assert vision.load(found["files"][0], 3).shape == (45, 70, 3)
        with Image.open(found["files"][1]) as mask:
            assert mask.mode == "P"
            assert (np.asarray(mask) == due).mean() > 0.999
    assert found["input"] == [1, 3, 48, 72]
    shares = np.bincount(due.ravel(), minlength=3) / due.size
    assert {area["label"]: area["share"] for area in found["areas"]} == pytest.approx(
        {name: share for name, share in zip(("sky", "tree", "road"), shares, strict=True) if share}, abs=2e-3
    )


@pytest.mark.parametrize(("fit", "region"), [("stretch", (0, 0, 40, 32)), ("letterbox", (0, 3, 40, 26))])
def test_masks_of_a_fixed_input(tmp_path: Path, fit: vision.Fit, region: tuple[int, int, int, int]) -> None:
    spec, _, photo, module = made(tmp_path, MASKS.replace("8*h, 8*w", "32, 40"))
    how = Preparation(3, 32, 40, fit, [0.0] * 3, [1.0] * 3)
    one = network(compile_file(spec), module, how, None)
    (seen,) = dense.look(one, [photo])
    left, top, width, height = region
    with torch.inference_mode():
        scores = module(torch.from_numpy(how.batch(vision.load(photo, 3))))
    inner = scores[:, :, top : top + height, left : left + width]
    due = interpolate(inner, (45, 70), mode="bilinear", align_corners=False)[0].argmax(0).numpy()
    assert isinstance(seen, dense.Seen)
    assert seen.mask is not None
    assert (seen.mask == due).mean() > 0.999


def test_words(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    spec, weights, photo, _ = made(tmp_path, THREE)
    answer = run(capsys, "predict", spec, photo, "--weights", weights, "--save", str(tmp_path / "out"))
    assert answer.code == 0
    first, second, *_, last = answer.out.splitlines()
    assert first.startswith(f"{photo}  70 x 45, [1, 3, 64, 96] in ")
    assert "%  " in second
    assert " to " in second
    assert last == f"  wrote {tmp_path}/out/photo.png"
    again = run(capsys, "predict", spec, photo, "--weights", weights, "--save", str(tmp_path / "out"))
    assert (again.code, again.err.splitlines()[0]) == (2, f"error: {tmp_path}/out/photo.png is there already")
    twice = run(capsys, "predict", spec, photo, photo, "--weights", weights, "--save", str(tmp_path / "twice"))
    wrote = [f"  wrote {tmp_path}/twice/photo-{number}.png" for number in (1, 2)]
    assert [line for line in twice.out.splitlines() if "wrote" in line] == wrote
    assert sorted(path.name for path in (tmp_path / "twice").iterdir()) == ["photo-1.png", "photo-2.png"]
    ranked = run(capsys, "predict", spec, photo, "--weights", weights, "--top-k", "4")
    assert (ranked.code, ranked.err) == (2, "error: --top-k is for classes to rank; three gives boxes\n")
    none = run(capsys, "predict", spec, photo, "--weights", weights, "--confidence", "1")
    assert none.out.splitlines()[1:] == ["  nothing above the confidence"]


@pytest.mark.parametrize("text", [THREE, MASKS], ids=["boxes", "masks"])
def test_one_bad_image_leaves_the_others_their_answers(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str
) -> None:
    spec, weights, photo, _ = made(tmp_path, text)
    bad = write(tmp_path, "no image", "bad.png")
    message = f"{bad}: no image in a known format (PNG, JPEG, WEBP, BMP, PPM)"
    command = ("predict", spec, bad, photo, "--weights", weights, "--save", str(tmp_path / "out"))
    answer = run(capsys, *command)
    assert (answer.code, answer.err) == (4, f"error: {message}\n")
    assert answer.out.startswith(f"{photo}  70 x 45, ")
    answer = run(capsys, *command, "--force", "--json")
    wrong, there = answer.document["data"]["images"]
    assert (answer.code, answer.document["ok"]) == (4, False)
    assert wrong == {"image": bad, "error": message}
    assert there["files"][0] == f"{tmp_path}/out/photo.png"
    assert not (tmp_path / "out/bad.png").exists()


def test_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    spec, weights, photo, _ = made(tmp_path, MASKS)
    flags = ["--weights", weights]
    answer = run(capsys, "predict", spec, photo, *flags, "--confidence", "0.5")
    assert (answer.code, answer.err.strip()) == (
        2,
        "error: --confidence and --overlap are for boxes to choose from; masks gives masks",
    )
    answer = run(capsys, "predict", spec, photo, *flags, "--top-k", "3")
    assert (answer.code, answer.err) == (2, "error: --top-k is for classes to rank; masks gives masks\n")
    file = str(tmp_path / "net.onnx")
    for extra, words in (
        (["--nms"], "--nms is for a network with one detect head, masks has 0"),
        (["--overlap", "0.5"], "--confidence and --overlap are for --nms"),
    ):
        answer = run(capsys, "compile", spec, "--target", "onnx", "-o", file, *flags, *extra)
        assert (answer.code, answer.err.strip()) == (2, f"error: {words}")
    assert not Path(file).exists()
