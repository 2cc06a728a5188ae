"""`cnnspec anchors`: what it finds, what it says, and that a spec is changed in its anchors alone."""

from __future__ import annotations

import difflib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnspec.anchors import clusters, fitted, rewritten, shared_out
from cnnspec.boxes import shape_iou
from cnnspec.diagnostics import Source, UsageError
from cnnspec.reader import read
from door import run, write

BLOCK = """\
cnnspec: 1
name: two          # the name
input: {image: [N, 3, 32*h, 32*w]}
typical: {h: 2, w: 2}
net:
  a: image -> conv(4, 3, 16)
  p4: a -> conv(2 * (5 + 2), 1)   # two boxes
  p5: a -> conv(5 + 2, 1, 2)
outputs: [p5, p4]

heads:
  boxes:
    detect:
      of: [p5, p4]   # the coarse one first
      labels: [cat, "dog"]
      anchors:       # in pixels
        - [[50, 40]]     # the largest
        - - [10, 13.5]   # small
          - [16,  3e1]

# that is all
"""
FLOW = BLOCK[: BLOCK.index("heads:")] + "heads: {boxes: {detect: {of: [p5, p4], labels: [cat, dog]}}} # flow\n"
BARE = BLOCK[: BLOCK.index("      anchors")] + "    # end of the head\nexpect: {}\n"
NEW = [[[61.5, 48.0]], [[11.0, 12.0], [21.0, 33.3]]]


def changed(text: str) -> tuple[list[str], list[str]]:
    """Lines gone and new."""
    after = rewritten(text, read(Source("x.yaml", text))[0], "boxes", NEW)
    lines = list(difflib.ndiff(text.splitlines(), after.splitlines()))
    return [one[2:] for one in lines if one[0] == "-"], [one[2:] for one in lines if one[0] == "+"]


def test_numbers_are_changed_where_they_stand() -> None:
    gone, new = changed(BLOCK)
    assert gone == [
        "        - [[50, 40]]     # the largest",
        "        - - [10, 13.5]   # small",
        "          - [16,  3e1]",
    ]
    assert new == [
        "        - [[61.5, 48]]     # the largest",
        "        - - [11, 12]   # small",
        "          - [21,  33.3]",
    ]


def test_the_key_is_put_behind_a_head_without() -> None:
    assert changed(BARE) == ([], ["      anchors: [[[61.5, 48]], [[11, 12], [21, 33.3]]]"])
    gone, new = changed(FLOW)
    assert gone == ["heads: {boxes: {detect: {of: [p5, p4], labels: [cat, dog]}}} # flow"]
    assert new == [
        "heads: {boxes: {detect: {of: [p5, p4], labels: [cat, dog], anchors: [[[61.5, 48]], [[11, 12], [21, 33.3]]]}}} "
        "# flow"
    ]


def test_other_counts_are_refused() -> None:
    with pytest.raises(UsageError) as error:
        rewritten(BLOCK, read(Source("x.yaml", BLOCK))[0], "boxes", [NEW[1], NEW[0]])
    assert error.value.message == "the head 'boxes' has [1, 2] anchors, [2, 1] are to be written"


def test_large_cells_get_large_anchors() -> None:
    found = np.array([[1.0, 1], [2, 2], [3, 3], [4, 4.04]])
    assert shared_out(found, [16, 8, 32], [1, 2, 1]) == [[[3, 3]], [[1, 1], [2, 2]], [[4, 4.0]]]


def data(folder: Path) -> str:
    """Twelve images of 200 x 100 with two boxes each, in YOLO's format."""
    random = np.random.default_rng(0)
    for part in ("images", "labels"):
        for name in ("train", "val"):
            (folder / part / name).mkdir(parents=True)
    (folder / "data.yaml").write_text("names: [cat, dog]\n")
    for number in range(12):
        part = "train" if number < 10 else "val"
        Image.fromarray(random.integers(0, 255, (100, 200, 3), np.uint8)).save(folder / f"images/{part}/{number}.png")
        sizes = [(0.1 + 0.01 * random.random(), 0.2), (0.5, 0.6 + 0.01 * random.random())]
        rows = [f"{kind} 0.5 0.5 {w:.6f} {h:.6f}" for kind, (w, h) in enumerate(sizes)]
        (folder / f"labels/{part}/{number}.txt").write_text("\n".join(rows) + "\n")
    return str(folder)


def test_finds_says_and_writes(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    spec, folder = write(tmp_path, BLOCK), data(tmp_path / "data")
    answer = run(capsys, "anchors", spec, "--data", folder, "--json")
    assert answer.code == 0, answer.err
    found = answer.document["data"]
    assert (found["boxes"], found["input"], found["file"]) == (20, [64, 64], None)
    flat = np.array([pair for grid in reversed(found["anchors"]) for pair in grid])
    assert (np.diff(flat.prod(1)) >= 0).all()
    files = sorted((tmp_path / "data/labels/train").iterdir())
    rows = [line.split() for path in files for line in path.read_text().splitlines()]
    sizes = 64 * np.array([[float(w), float(h)] for *_, w, h in rows])
    overlaps = shape_iou(sizes, clusters(sizes, 3)).max(1)
    assert found["mean_iou"] == pytest.approx(overlaps.mean(), abs=1e-3)
    assert found["recall"] == pytest.approx((overlaps > 0.5).mean())
    old = fitted(sizes, np.array([[50, 40], [10, 13.5], [16, 30]]))
    assert found["before"] == pytest.approx({"mean_iou": old.mean_iou, "recall": old.recall}, abs=1e-3)
    assert Path(spec).read_text() == BLOCK
    answer = run(capsys, "anchors", spec, "--data", folder, "--write")
    assert answer.code == 0, answer.err
    first, _, _, quality, before, last = answer.out.splitlines()
    assert first == "20 boxes at 64 x 64"
    assert quality.startswith("mean IoU 0.9")
    assert quality.endswith(", recall 100.00% at IoU above 0.5")
    assert before.startswith("  now in the spec: 0.")
    assert last == f"wrote {spec}"
    again = run(capsys, "anchors", spec, "--data", folder, "--json").document["data"]
    assert again["before"]["mean_iou"] == pytest.approx(found["mean_iou"], abs=2e-3)
    boxed = run(capsys, "anchors", spec, "--data", folder, "--fit", "letterbox", "--json").document["data"]
    assert np.array(boxed["anchors"][0])[0, 1] == pytest.approx(np.array(found["anchors"][0])[0, 1] / 2, rel=0.05)


def test_a_head_without_anchors_wants_a_count(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    text = BLOCK.replace("p5: a -> conv(5 + 2", "p5: a -> conv(2 * (5 + 2)")
    spec, folder = write(tmp_path, text[: text.index("      anchors")]), data(tmp_path / "data")
    answer = run(capsys, "anchors", spec, "--data", folder)
    assert (answer.code, answer.err.splitlines()[0]) == (2, "error: the head 'boxes' has no anchors yet")
    answer = run(capsys, "anchors", spec, "--data", folder, "--count", "2", "--write")
    assert answer.code == 0, answer.err
    assert run(capsys, "check", spec).code == 0
    assert json.loads(run(capsys, "anchors", spec, "--data", folder, "--json").out)["data"]["before"]["recall"] == 1


@pytest.mark.parametrize(
    ("target", "options", "code", "words"),
    [
        ("yolov3", ["--write"], 2, "yolov3 is shipped: it is not written to"),
        ("lenet5", [], 2, "lenet5 has 0 detect heads, one is wanted"),
        ("yolov3", ["--count", "3"], 2, "--count is for a head without anchors; 'boxes' has [3, 3, 3]"),
    ],
)
def test_refused(capsys: pytest.CaptureFixture[str], target: str, options: list[str], code: int, words: str) -> None:
    answer = run(capsys, "anchors", target, "--data", "digits-scenes", *options)
    assert (answer.code, answer.err.splitlines()[0]) == (code, f"error: {words}")


def test_a_head_of_another_file_is_not_written_to(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    write(tmp_path, BLOCK, "two.yaml")
    spec = write(tmp_path, "cnnspec: 1\nname: child\nextends: two.yaml\n", "child.yaml")
    answer = run(capsys, "anchors", spec, "--data", "digits-scenes", "--write")
    assert (answer.code, answer.err.splitlines()[0]) == (2, f"error: {spec} inherits the head 'boxes'")
