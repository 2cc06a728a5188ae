"""Ways to take the same step: in pieces, in half precision, with clipped gradients; and several heads at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch.nn.functional import cross_entropy

import cnnspec
from cnnspec import recipe
from cnnspec.diagnostics import UsageError
from cnnspec_torch import runs, suiting, tasks, training
from door import TINY, run, write

Capture = pytest.CaptureFixture[str]
SPEC = """\
cnnspec: 1
name: plain
input: {image: [N, 1, 8, 8]}
net:
  body: image -> conv(8, 3) -> relu -> maxpool(2) -> flatten
  logits: body -> dense(10)
outputs: [logits]
heads: {logits: {classify: {}}}
"""
BOTH = """\
cnnspec: 1
name: both
input: {image: [N, 1, 32, 32]}
net:
  body: image -> conv(8, 3, 2) -> relu -> conv(16, 3, 2) -> relu -> conv(16, 3, 2) -> relu -> flatten
  logits: body -> dense(10)
  box: body -> dense(4)
outputs: [logits, box]
heads: {logits: {classify: {labels: digits}}, box: {locate: {}}}
"""


def learn(folder: Path, text: str, **changes: str) -> list[dict[str, Any]]:
    """Train for an epoch of big steps; gives the events."""
    events: list[dict[str, Any]] = []
    folder.mkdir()
    graph = cnnspec.compile(write(folder, text, "spec.yaml"))
    name = "locate" if "locate" in text else "classify"
    made = recipe.load(name, {"epochs": "1", "batch": "200", "augment": "{}", **changes})
    training.fit(graph, made, folder, events.append, training.Machine("cpu", workers=0))
    return events


def losses(events: list[dict[str, Any]]) -> list[float]:
    return [event["loss"] for event in events if event["event"] == "step"]


def test_pieces_of_a_batch_are_the_batch(tmp_path: Path) -> None:
    whole = losses(learn(tmp_path / "a", SPEC))
    pieces = losses(learn(tmp_path / "b", SPEC, accumulate="3"))
    assert pieces == pytest.approx(whole, rel=1e-5)
    one, other = (load_file(tmp_path / name / runs.BEST) for name in "ab")
    for name, tensor in one.items():
        torch.testing.assert_close(other[name], tensor, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_learns_nearly_the_same(tmp_path: Path, precision: str) -> None:
    whole = losses(learn(tmp_path / "a", SPEC))
    half = losses(learn(tmp_path / "b", SPEC, precision=precision))
    assert half == pytest.approx(whole, rel=0.05)
    assert half != whole
    assert load_file(tmp_path / "b" / runs.BEST)["logits.dense.weight"].dtype is torch.float32


def test_clipped_steps_are_shorter(tmp_path: Path) -> None:
    start = cnnspec.compile(write(tmp_path, SPEC, "spec.yaml")).lower("torch").state_dict()
    how = {"optimizer": "sgd", "lr": "0.01", "momentum": "0", "schedule": "constant"}
    far = {}
    for name, clip in (("a", "1e-3"), ("b", "1e9")):
        steps = len(losses(learn(tmp_path / name, SPEC, clip=clip, **how)))
        found = load_file(tmp_path / name / runs.BEST)
        far[name] = torch.cat([(found[key] - start[key]).flatten() for key in start]).norm()
    assert 0 < far["a"] <= 1.01 * steps * 0.01 * 1e-3 < far["b"]


def test_a_class_and_a_box_are_learned_together(tmp_path: Path) -> None:
    events = learn(tmp_path / "run", BOTH, losses="{classify: 0.8, box: 0.2}", batch="250")
    (row,) = [event for event in events if event["event"] == "epoch"]
    judged = {name for name in row if name.startswith("validation_")}
    assert judged == {f"validation_{name}" for name in ("loss", "logits_top1", "logits_top5", "box_iou", "box_iou50")}
    assert 0 < row["validation_box_iou"] < 1
    start = cnnspec.compile(tmp_path / "run" / "spec.yaml").lower("torch").state_dict()
    found = load_file(tmp_path / "run" / runs.BEST)
    assert all(not torch.equal(found[name], start[name]) for name in start)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"losses": "{boxx: 1}"}, "error: recipe.losses: both has no head 'boxx'\n  help: did you mean 'box'?"),
        ({"mixup": "0.2"}, "error: recipe.mixup is for classes alone; both learns box and classes"),
        (
            {"augment": "{randaugment: {}}"},
            "error: recipe.augment.randaugment is for classes alone; both learns box and classes",
        ),
        (
            {"detect": "{ignore: 0.7}"},
            "error: recipe.detect is for heads of boxes, of which both has none: 'logits' is classify, 'box' is locate",
        ),
        (
            {"segment": "{class_weights: median}"},
            "error: recipe.segment is for heads of masks, of which both has none: 'logits' is classify, "
            "'box' is locate",
        ),
        (
            {"margin": "1"},
            "error: recipe.margin is for heads whose lowest number wins, of which both has none: 'logits' is classify, "
            "'box' is locate",
        ),
        ({"freeze": "[nothing]"}, "error: freeze: no parameter lies below 'nothing'\n  help: it has body, box, logits"),
    ],
)
def test_what_does_not_go_together_is_named(tmp_path: Path, changes: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        learn(tmp_path / "run", BOTH, **changes)
    assert str(caught.value) == said


def test_classes_alone_have_smoothing(tmp_path: Path) -> None:
    graph = cnnspec.compile(write(tmp_path, BOTH.split("heads:")[0] + "heads: {box: {locate: {}}}\n"))
    with pytest.raises(UsageError) as caught:
        suiting.needed(graph, recipe.load("locate", {"label_smoothing": "0.1"}))
    said = "error: recipe.label_smoothing is for heads of classes, of which both has none: 'box' is locate"
    assert str(caught.value) == said


def test_sections_as_they_are_without_them_may_stand(tmp_path: Path) -> None:
    usual = {"detect": "{assign: best}", "segment": "{class_weights: none}", "label_smoothing": "0.0"}
    graph = cnnspec.compile(write(tmp_path, BOTH))
    assert suiting.needed(graph, recipe.load("locate", usual)) == suiting.needed(graph, recipe.load("locate"))


def test_a_margin_is_of_the_heads_whose_lowest_number_wins(tmp_path: Path) -> None:
    text = BOTH.replace("dense(4)", "dense(10)").replace("locate: {}", "classify: {lowest: true}")
    graph = cnnspec.compile(write(tmp_path, text))
    (plain, _), (lowest, _) = tasks.of(graph, recipe.load("classify", {"margin": "0.5"}))
    scores, truth = {name: torch.arange(20.0).reshape(2, 10) / 9 for name in ("logits", "box")}, torch.tensor([1, 2])
    (found,) = plain.loss(scores, {"classes": truth}).values()
    assert float(found) == pytest.approx(float(cross_entropy(scores["logits"], truth)))
    (found,) = lowest.loss(scores, {"classes": truth}).values()
    more = torch.cat([-scores["box"], torch.full((2, 1), -0.5)], 1)
    assert float(found) == pytest.approx(float(cross_entropy(more, truth)))


@pytest.mark.parametrize(
    ("kind", "data", "said"),
    [
        ("locate", "digits", "has no boxes, which the network learns; it has classes of images"),
        ("detect", "photos/", "has no boxes, which the network learns; it has classes of images"),
        ("segment", "digits-scenes", "has no masks, which the network learns; it has boxes"),
        ("classify", "digits-masks", "has no classes of images, which the network learns; it has masks"),
    ],
)
def test_data_with_other_labels_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, data: str, said: str
) -> None:
    """Also where it has another number of classes, which is not what is to be mended."""
    monkeypatch.chdir(tmp_path)
    for name in ("photos/a/1.png", "photos/b/1.png"):
        Path(name).parent.mkdir(parents=True)
        Image.new("RGB", (9, 9)).save(name)
    masks = SPEC.replace("dense(10)", "upsample(4) -> conv(11, 1)").replace("flatten", "relu")
    masks = masks.replace("classify", "segment")
    text = {"locate": BOTH, "segment": masks, "classify": SPEC}.get(kind)
    graph = cnnspec.compile("yolo-small" if text is None else write(tmp_path, text))
    with pytest.raises(UsageError) as caught:
        training.prepare(graph, recipe.load(kind, {"data": data}), "cpu")
    assert str(caught.value) == f"error: the data '{data.rstrip('/')}' {said}"


def test_a_run_may_begin_with_another_s_weights(capsys: Capture, tmp_path: Path) -> None:
    write(tmp_path, TINY, "tiny.yaml")
    how = ["--epochs", "1", "--device", "cpu", "--json"]
    assert run(capsys, "train", str(tmp_path / "tiny.yaml"), "-o", str(tmp_path / "a"), *how).code == 0
    begun = ["--weights", str(tmp_path / "a"), "--set", "recipe.lr=1e-30"]
    answer = run(capsys, "train", str(tmp_path / "tiny.yaml"), "-o", str(tmp_path / "b"), *how, *begun)
    assert answer.code == 0, answer.err
    one, other = (load_file(tmp_path / name / runs.BEST) for name in "ab")
    learned = [name for name in one if not name.endswith(("running_mean", "running_var", "num_batches_tracked"))]
    assert all(torch.equal(one[name], other[name]) for name in learned)
    assert json.loads(answer.out.splitlines()[-1])["ok"]
