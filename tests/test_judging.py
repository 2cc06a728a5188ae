"""Networks of boxes and masks judged on data, against what the tasks of training say of the same outputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cnnspec import coco_precision, datasets, judging, precision
from cnnspec.canonical import resolved_yaml
from cnnspec.dense import Network
from cnnspec.diagnostics import RunError
from cnnspec.front import compile_text
from cnnspec.grids import Detections
from cnnspec.predicting import Preparation
from cnnspec.published import Preprocess
from cnnspec_onnx import files
from cnnspec_onnx.model import Images, build
from cnnspec_onnx.verify import unsettle
from cnnspec_torch import runs
from cnnspec_torch.dense_prediction import network
from cnnspec_torch.tasks.detect import Detect
from cnnspec_torch.tasks.segment import Segment
from door import run
from test_detect import THREE
from test_predict_dense import MASKS


def some(name: str, kinds: set[str], count: int = 12) -> datasets.Part:
    """The first images of a test part, at their own size."""
    found = datasets.find(name, 3)
    raw = {"test": found.parts["test"].take(np.arange(count))}
    wanted = datasets.Wanted(3, 0, 0, None, found.classes, kinds=frozenset(kinds))
    return datasets.load(name, raw, wanted).parts["test"]


def made(text: str, size: int) -> tuple[Network, Any]:
    graph = compile_text(text)
    module: Any = graph.lower("torch").eval()
    unsettle(module, {"image": torch.randn(2, 3, size, size)})
    how = Preparation(3, size, size, "stretch", [0.5] * 3, [0.25] * 3)
    return network(graph, module, how, None), module


def batch(part: datasets.Part, how: Preparation) -> torch.Tensor:
    return torch.from_numpy(how.normalize(part.images[range(len(part))]))


def test_boxes_are_judged_as_in_training() -> None:
    part = some("digits-scenes", {"boxes"})
    one, module = made(THREE.replace("classes: 3", "classes: 10"), 128)
    assert part.boxes is not None
    with torch.inference_mode():
        task = Detect(one.graph, "boxes")
        rows = [
            torch.tensor([i, kind, (x1 + x2) / 256, (y1 + y2) / 256, (x2 - x1) / 128, (y2 - y1) / 128])
            for i, boxes in enumerate(part.boxes)
            for kind, (x1, y1, x2, y2) in zip(boxes.classes.tolist(), boxes.corners.tolist(), strict=True)
        ]
        task.update(module(batch(part, one.preparation)), {"boxes": torch.stack(rows)})
    ticks: list[int] = []
    judged = judging.judge_boxes(one, [part], tick=ticks.append)
    assert judged.metrics == pytest.approx(task.compute(), abs=1e-6)
    assert ticks == [12] * 12
    assert judged.protocol.endswith("at most 300 boxes an image with scores above 0.001")
    assert sum(row["boxes"] for row in judged.classes) == len(rows)
    due, _ = precision.mean_average_precision(judged.found, part.boxes, 10, "voc2007")
    assert judged.voc("voc2007") == due
    assert list(judged.curves()) == [str(i) for i in range(10)]


def test_the_truth_itself_is_perfect() -> None:
    part = some("digits-scenes", {"boxes"})
    assert part.boxes is not None
    found = [Detections(one.corners, np.ones(len(one)), one.classes) for one in part.boxes]
    coco = coco_precision.judged(found, part.boxes)
    judged = judging.BoxesJudged(tuple(map(str, range(10))), found, part.boxes, coco, "")
    assert judged.metrics == pytest.approx({"map": 1, "map50": 1, "map75": 1})
    assert (judged.voc("voc2007"), judged.voc("voc2010")) == (1, 1)


def test_masks_are_judged_as_in_training() -> None:
    part = some("digits-masks", {"masks"})
    text = MASKS.replace("conv(3, 3)", "conv(11, 3)").replace("{labels: [sky, tree, road]}", "{}")
    one, module = made(text, 96)
    masks = part.masks
    assert masks is not None
    task = Segment("logits", "logits", 11)
    with torch.inference_mode():
        truth = torch.from_numpy(np.stack([masks(i) for i in range(len(part))])).long()
        task.update({"logits": module(batch(part, one.preparation))}, {"masks": truth})
    judged = judging.judge_masks(one, [part])
    assert judged.metrics == pytest.approx(task.compute(), abs=1e-4)
    assert judged.confusion.sum() == (truth != 255).sum()
    assert sum(row["pixels"] for row in judged.classes) == judged.confusion.sum()


def test_no_images() -> None:
    one, _ = made(MASKS, 32)
    with pytest.raises(RunError) as error:
        judging.judge_masks(one, [])
    assert error.value.message == "there are no images to evaluate on"


def written(folder: Path, text: str, size: int) -> tuple[str, str]:
    """A run's weights file, and the ONNX file, of a network with random weights."""
    graph = compile_text(text)
    module: Any = graph.lower("torch").eval()
    unsettle(module, {"image": torch.randn(2, 3, size, size)})
    (head,) = graph.heads
    sizes = {"h": size // 32 if head == "boxes" else size // 8, "w": size // 32 if head == "boxes" else size // 8}
    labels = [str(i) for i in range(10)] if head == "boxes" else ["background", *map(str, range(10))]
    header = runs.Header(
        schema="cnnspec/weights@1",
        spec=resolved_yaml(graph),
        hash=graph.hash,
        head=head,
        labels=labels,
        sizes=sizes,
        fit="stretch",
        mean=[0.5] * 3,
        std=[0.25] * 3,
        epoch=1,
        metrics={},
    )
    weights, model = folder / "best.safetensors", folder / "net.onnx"
    runs.write_weights(weights, module.state_dict(), header)
    images = Images(Preprocess(fit="stretch", mean=[0.5] * 3, std=[0.25] * 3), sizes=sizes, labels={head: labels})
    files.save(build(graph, module.state_dict(), images=images), model)
    return str(weights), str(model)


BOXES = THREE.replace("classes: 3", "classes: 10")
ELEVEN = MASKS.replace("conv(3, 3)", "conv(11, 3)").replace("{labels: [sky, tree, road]}", "{}")


@pytest.mark.parametrize(("text", "data"), [(BOXES, "digits-scenes"), (ELEVEN, "digits-masks")])
def test_evaluate_says_the_same_of_torch_and_onnx(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str, data: str
) -> None:
    size = 128 if text == BOXES else 96
    found = []
    for file in written(tmp_path, text, size):
        answer = run(capsys, "evaluate", file, "--data", data, "--split", "validation", "--json")
        assert answer.code == 0, answer.err
        found.append(answer.document["data"])
    ours, theirs = found
    assert ours["images"] == 150
    for key in ("map", "map50", "voc2007", "voc2010") if text == BOXES else ("mean_iou", "pixel_accuracy"):
        assert 0 < ours[key] < 1
        assert ours[key] == pytest.approx(theirs[key], abs=1e-4)


def test_evaluates_words(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    weights, _ = written(tmp_path, BOXES, 128)
    picture = tmp_path / "curves.svg"
    options = ["--data", "digits-scenes", "--curves", str(picture), "--fail-under", "map50>=0.99"]
    answer = run(capsys, "evaluate", weights, *options)
    head, protocol, old, new, columns, *rows = answer.out.splitlines()
    assert answer.code == 1
    assert head.startswith("three on digits-scenes, test: 150 images, mAP 0.0")
    assert protocol == f"  {coco_precision.protocol(0.001)}"
    assert old.endswith(f" by {precision.PROTOCOLS['voc2007']}")
    assert new.endswith(f" by {precision.PROTOCOLS['voc2010']}")
    assert columns.split() == ["class", "boxes", "mAP"]
    assert [row.split()[0] for row in rows[:10]] == [str(i) for i in range(10)]
    assert rows[10].startswith("map50 is 0.0")
    assert rows[10].endswith(", less than 0.99")
    assert rows[11] == f"wrote {picture}"
    assert picture.read_text().count("<polyline") == 10


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--fail-under", "top1>=0.5"], "--fail-under: masks has no top1"),
        (["--curves", "x.svg"], "--curves is for boxes; masks gives masks"),
    ],
)
def test_evaluate_refuses(capsys: pytest.CaptureFixture[str], tmp_path: Path, options: list[str], words: str) -> None:
    weights, _ = written(tmp_path, ELEVEN, 96)
    answer = run(capsys, "evaluate", weights, "--data", "digits-masks", *options)
    assert (answer.code, answer.err.splitlines()[0]) == (2, f"error: {words}")
