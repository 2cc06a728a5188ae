"""`predict --features` and `--save`: arrays and pictures of nodes, filters and annotated images; folders and globs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_images

import cnnspec
from cnnspec import featuremaps
from cnnspec.commands.seeing import image_names
from cnnspec.predicting import Preparation
from cnnspec.published import Preprocess
from door import TINY, run, write

Capture = pytest.CaptureFixture[str]
TWO = """\
cnnspec: 1
name: two
input: {image: [N, 3, 32, 32]}
net:
  body: image -> conv(4, 3) -> global_avgpool -> flatten
  a: body -> dense(2)
  b: body -> dense(3)
outputs: [a, b]
heads: {a: {classify: {}}, b: {classify: {}}}
"""
PHOTOS = dict(zip(("china", "flower"), load_sample_images().images, strict=True))


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, photo in PHOTOS.items():
        Image.fromarray(photo).save(f"{name}.png")
    write(tmp_path, TINY, "tiny.yaml")


def test_the_chapter_s_line_filters(capsys: Capture) -> None:
    """Each number is the sum of seven pixels of three colours in a column, or in a row; padded by zeros."""
    answer = run(capsys, "predict", "filters", "china.png", "flower.png", "--features", "lines.conv", "--save", "out")
    files = [f"out/{name}.lines.conv.{end}" for name in PHOTOS for end in ("npy", "png")]
    files += ["out/lines.conv.filters.npy", "out/lines.conv.filters.png"]
    assert (answer.code, answer.err, answer.out) == (0, "", "".join(f"wrote {file}\n" for file in files))
    for name, photo in PHOTOS.items():
        maps, light = np.load(f"out/{name}.lines.conv.npy"), photo.sum(axis=2) / 255
        tall, wide = np.pad(light, ((3, 3), (0, 0))), np.pad(light, ((0, 0), (3, 3)))
        columns = np.sum([tall[i : i + 427] for i in range(7)], axis=0)
        rows = np.sum([wide[:, i : i + 640] for i in range(7)], axis=0)
        assert maps.shape == (2, 427, 640)
        assert np.allclose(maps, [columns, rows], atol=1e-4)
    kernels = np.load("out/lines.conv.filters.npy")
    assert kernels.shape == (2, 3, 7, 7)
    assert (kernels.sum(axis=(1, 2)) == [[0, 0, 0, 21, 0, 0, 0], [3] * 7]).all()


def test_a_network_without_heads_says_what_it_can_give(capsys: Capture) -> None:
    answer = run(capsys, "predict", "filters", "china.png")
    help = "--features NODE --save DIR writes what a node gives; cnnspec show lists the nodes"
    said = f"error: filters has 0 classify heads, one is wanted\n  help: {help}\n"
    assert (answer.code, answer.out, answer.err) == (2, "", said)
    options = ("--features", "lines.conv", "--save", "out", "--top-k", "3")
    answer = run(capsys, "predict", "filters", "china.png", *options)
    said = "error: --top-k is for classes to rank; filters gives the values of nodes\n"
    assert (answer.code, answer.err, Path("out").exists()) == (2, said, False)
    write(Path.cwd(), TWO, "two.yaml")
    answer = run(capsys, "predict", "./two.yaml", "china.png", "--random")
    assert (answer.code, answer.err) == (2, "error: two has 2 classify heads, one is wanted\n")


def test_nodes_of_a_classifier_beside_its_classes(capsys: Capture) -> None:
    options = ("--features", "c1.relu", "--features", "logits.dense", "--save", "out", "--batch", "2", "--json")
    answer = run(capsys, "predict", "./tiny.yaml", "china.png", "flower.png", "--random", *options)
    assert answer.code == 0
    data = answer.document["data"]
    ends = ("c1.relu.npy", "c1.relu.png", "logits.dense.npy")
    assert sorted(data["features"]) == sorted(f"out/{name}.{end}" for name in PHOTOS for end in ends)
    model = cnnspec.compile("./tiny.yaml").lower("torch").eval()
    how = Preparation.of(Preprocess(), 1, 8, 12)
    for name, image in zip(PHOTOS, data["images"], strict=True):
        x = torch.from_numpy(how.batch(np.asarray(Image.fromarray(PHOTOS[name]).convert("L"))[..., None]))
        with torch.inference_mode():
            due = model.get_submodule("c1.relu")(model.get_submodule("c1.conv")(x))[0], model(x)["logits"][0]
        assert np.allclose(np.load(f"out/{name}.c1.relu.npy"), due[0], atol=1e-6)
        assert np.allclose(np.load(f"out/{name}.logits.dense.npy"), due[1], atol=1e-5)
        assert image["top"][0]["number"] == int(due[1].argmax())
        assert image["files"] == [f"out/{name}.png"]
        with Image.open(f"out/{name}.png") as picture:
            assert picture.size[0] >= 640


def test_what_is_there_is_not_overwritten(capsys: Capture) -> None:
    command = ("predict", "filters", "china.png", "--features", "lines.conv", "--save", "out")
    assert run(capsys, *command).code == 0
    Path("out/china.lines.conv.npy").write_bytes(b"mine")
    answer = run(capsys, *command)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == "error: out/china.lines.conv.npy is there already\n  help: --force overwrites it\n"
    assert Path("out/china.lines.conv.npy").read_bytes() == b"mine"
    assert run(capsys, *command, "--force").code == 0
    pictures = ("predict", "./tiny.yaml", "china.png", "--random", "--save", "out2")
    assert run(capsys, *pictures).code == 0
    assert run(capsys, *pictures).code == 2
    assert run(capsys, *pictures, "--force").code == 0


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["--features", "c1.conv"], 2, "error: --features wants --save DIR: there the arrays and pictures go\n"),
        (
            ["--features", "c1.cnv", "--save", "out"],
            2,
            "error: tiny has no node 'c1.cnv'\n  help: did you mean 'c1.conv'?\n",
        ),
        (
            ["--features", "c1", "--save", "out"],
            2,
            "error: tiny has no node 'c1'\n  help: in 'c1' are c1.conv, c1.relu\n",
        ),
        (
            ["--features", "extra.dense", "--save", "out"],  # for training alone
            2,
            "error: tiny has no node 'extra.dense'\n  help: did you mean 'logits.dense'?\n",
        ),
    ],
)
def test_nodes_that_are_none(capsys: Capture, args: list[str], code: int, said: str) -> None:
    answer = run(capsys, "predict", "./tiny.yaml", "china.png", "--random", *args)
    assert (answer.code, answer.out) == (code, "")
    assert answer.err.removeprefix("tiny has random weights: what it says means nothing\n") == said
    assert not Path("out").exists()


def test_images_of_one_name_keep_apart(capsys: Capture) -> None:
    Path("more").mkdir()
    Image.fromarray(PHOTOS["flower"]).save("more/china.png")
    images = ("china.png", "more/china.png")
    answer = run(capsys, "predict", "filters", *images, "--features", "lines.conv", "--save", "out", "--json")
    assert answer.code == 0
    both = [np.load(f"out/china-{number}.lines.conv.npy") for number in (1, 2)]
    assert not np.array_equal(*both)


def test_an_image_given_twice_is_written_twice(capsys: Capture) -> None:
    """As where a folder and a glob find the same image."""
    answer = run(capsys, "predict", "./tiny.yaml", "china.png", "china.png", "--random", "--save", "out", "--json")
    rows = answer.document["data"]["images"]
    assert [row["files"] for row in rows] == [["out/china-1.png"], ["out/china-2.png"]]
    assert Path("out/china-1.png").read_bytes() == Path("out/china-2.png").read_bytes()
    images = ("china.png", "china.png", "flower.png")
    answer = run(capsys, "predict", "filters", *images, "--features", "lines.conv", "--save", "maps")
    assert answer.code == 0
    first, second, other = (np.load(f"maps/{name}.lines.conv.npy") for name in ("china-1", "china-2", "flower"))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


BAD = [
    ("text.png", "text.png: no image in a known format (PNG, JPEG, WEBP, BMP, PPM)", "run", 4),
    ("nope.png", "cannot read nope.png: No such file or directory", "missing", 3),
]


@pytest.mark.parametrize(("bad", "message", "kind", "code"), BAD)
@pytest.mark.parametrize("batch", ["1", "2", "3"])
def test_one_bad_image_leaves_the_others_their_answers(
    capsys: Capture, bad: str, message: str, kind: str, code: int, batch: str
) -> None:
    Path("text.png").write_text("no image")
    command = ("predict", "./tiny.yaml", "--random", "--batch", batch)
    alone = run(capsys, *command, "china.png", "flower.png", "--json").document["data"]["images"]
    answer = run(capsys, *command, "china.png", bad, "flower.png", "--save", "out", "--json")
    assert (answer.code, answer.document["ok"]) == (code, False)
    first, wrong, last = answer.document["data"]["images"]
    for one, due in zip((first, last), alone, strict=True):
        assert [guess["number"] for guess in one["top"]] == [guess["number"] for guess in due["top"]]
        chances = [guess["probability"] for guess in due["top"]]
        assert [guess["probability"] for guess in one["top"]] == pytest.approx(chances, rel=1e-4)
    assert wrong == {"image": bad, "error": message}
    assert [first["files"], last["files"]] == [["out/china.png"], ["out/flower.png"]]
    assert sorted(path.name for path in Path("out").iterdir()) == ["china.png", "flower.png"]
    assert [(one["code"], one["message"]) for one in answer.document["diagnostics"]] == [(kind, message)]
    answer = run(capsys, *command, "china.png", bad, "flower.png")
    assert answer.err == f"tiny has random weights: what it says means nothing\nerror: {message}\n"
    assert [line.partition(" ")[0] for line in answer.out.splitlines() if "->" in line] == ["china.png", "flower.png"]
    assert answer.code == code


def test_of_several_bad_images_the_highest_code_counts(capsys: Capture) -> None:
    Path("text.png").write_text("no image")
    answer = run(capsys, "predict", "./tiny.yaml", "text.png", "nope.png", "--random")
    assert (answer.code, answer.out) == (4, "")
    assert answer.err.splitlines()[1:] == [f"error: {message}" for _, message, _, _ in BAD]


def test_a_bad_image_leaves_the_others_their_features(capsys: Capture) -> None:
    Path("text.png").write_text("no image")
    command = ("predict", "filters", "text.png", "china.png", "--features", "lines.conv", "--save")
    files = [f"{stem}.{end}" for stem in ("china.lines.conv", "lines.conv.filters") for end in ("npy", "png")]
    answer = run(capsys, *command, "out")
    said = f"error: {BAD[0][1]}\n"
    assert (answer.code, answer.err, answer.out) == (4, said, "".join(f"wrote out/{file}\n" for file in files))
    data = run(capsys, *command, "again", "--json").document["data"]
    assert data["images"] == [{"image": "text.png", "error": BAD[0][1]}, {"image": "china.png"}]
    assert data["features"] == [f"again/{file}" for file in files]
    options = ("--random", "--features", "c1.conv", "--save", "more", "--batch", "2")
    answer = run(capsys, "predict", "./tiny.yaml", "text.png", "china.png", *options)
    assert (answer.code, answer.err.splitlines()[1:]) == (4, [f"error: {BAD[0][1]}"])
    assert Path("more/china.c1.conv.npy").is_file()


@pytest.mark.parametrize(
    ("files", "endings", "due"),
    [
        (["a/x.png", "b/y.png"], ("",), ["x", "y"]),
        (["x.png", "x.png", "x.jpg"], ("",), ["x-1", "x-2", "x-3"]),
        (["x-2.png", "x.png", "b/x.png"], ("",), ["x-2", "x-3", "x-4"]),
        (["x.png", "b/x.png", "x-1.png"], ("",), ["x-1", "x-2", "x-1-3"]),
        (["x.png", "x-mask.png"], ("", "-mask"), ["x", "x-mask-2"]),
    ],
)
def test_no_two_images_are_written_to_one_file(files: list[str], endings: tuple[str, ...], due: list[str]) -> None:
    assert image_names(files, endings) == due


def test_folders_and_globs(capsys: Capture) -> None:
    Path("more/deep").mkdir(parents=True)
    for name in ("b.png", "a.JPG", "deep/c.png"):
        Image.fromarray(PHOTOS["china"][:40, :40]).save(f"more/{name}", "PNG")
    Path("more/notes.txt").write_text("no image")
    for given, due in (
        ("more", ["more/a.JPG", "more/b.png"]),
        ("more/*.png", ["more/b.png"]),
        ("more/**/*.png", ["more/b.png", "more/deep/c.png"]),
        (str(Path("more/*.png").resolve()), [str(Path("more/b.png").resolve())]),
    ):
        answer = run(capsys, "predict", "./tiny.yaml", given, "--random", "--json")
        assert [image["image"] for image in answer.document["data"]["images"]] == due
    answer = run(capsys, "predict", "./tiny.yaml", "none/*.png", "--random")
    assert (answer.code, answer.err) == (3, "error: there is no file none/*.png\n")
    Path("empty").mkdir()
    answer = run(capsys, "predict", "./tiny.yaml", "empty", "--random")
    assert answer.code == 3
    assert answer.err.startswith("error: the folder empty holds no images (.png, .jpg, ")


def test_batches_change_nothing(capsys: Capture) -> None:
    tops = []
    for batch in ("1", "2", "7"):
        answer = run(capsys, "predict", "./tiny.yaml", ".", "china.png", "--random", "--batch", batch, "--json")
        tops.append([one["top"] for one in answer.document["data"]["images"]])
    assert len(tops[0]) == 3
    for other in tops[1:]:
        for ours, theirs in zip(tops[0], other, strict=True):
            assert [guess["number"] for guess in ours] == [guess["number"] for guess in theirs]
            assert all(abs(a["probability"] - b["probability"]) < 1e-5 for a, b in zip(ours, theirs, strict=True))


def test_imagenet_s_ids(capsys: Capture) -> None:
    answer = run(capsys, "predict", "squeezenet1-1", "china.png", "--random", "--top-k", "1000", "--json")
    top = answer.document["data"]["images"][0]["top"]
    assert {"id": "n03877845", "label": "palace", "number": 698}.items() <= next(
        one for one in top if one["number"] == 698
    ).items()
    text = run(capsys, "predict", "squeezenet1-1", "china.png", "--random", "--top-k", "1000").out
    assert "%  n03877845 palace\n" in text


def test_a_map_is_shaded_from_its_least_to_its_largest() -> None:
    values = np.array([[-1.0, 0.0], [1.0, 3.0]], np.float32)
    assert featuremaps.shaded(values)[..., 0].tolist() == [[0, 64], [128, 255]]
    assert featuremaps.shaded(np.full((2, 2), 7, np.float32)).max() == 0


def test_pictures_of_many_maps_and_filters() -> None:
    random = np.random.default_rng(0)
    assert featuremaps.picture_of_maps(random.random((200, 5, 5), np.float32)).shape[2] == 3
    for shape in ((64, 3, 7, 7), (96, 1, 3, 3), (64, 128, 3, 3), (2, 5, 1, 1)):
        assert featuremaps.picture_of_filters(random.random(shape, np.float32)).dtype == np.uint8
