"""Well-known data by name: read where it is, downloaded only when asked, and what is said where it is not."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import json
import pickle
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from PIL import Image
from torchvision import datasets as peer

from boxed import BOXES, NAMES, draw, mask, pixels, put, write_coco, write_voc, write_voc_masks
from cnnspec import datasets
from cnnspec.datasets import Wanted, named
from cnnspec.diagnostics import MissingError, UsageError
from cnnspec_torch import named as adapter
from labelled import idx_bytes, photos, sets

CLASSES = frozenset({"classes"})
ROOT = Path("root")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def find(name: str, kinds: frozenset[str] = CLASSES) -> datasets.Found:
    return datasets.find(name, 3, kinds=kinds, root=ROOT)


def equal(name: str, part: str, theirs: Any) -> None:
    """The part holds the images and classes that torchvision gives."""
    ours = find(name).parts[part]
    assert ours.classes is not None
    assert len(ours) == len(theirs)
    for position, (image, label) in enumerate(theirs):
        assert np.array_equal(ours.load(position, 3), np.asarray(image.convert("RGB")))
        assert ours.classes[position] == label


def write_mnist(inside: str, packed: bool = True) -> None:
    for split, number in (("train", 40), ("t10k", 20)):
        for what, array in zip(("images-idx3", "labels-idx1"), sets(number), strict=True):
            content = idx_bytes(array)
            name = f"root/{inside}/raw/{split}-{what}-ubyte"
            put(f"{name}.gz" if packed else name, gzip.compress(content) if packed else content)


@pytest.mark.parametrize(
    ("name", "inside", "made"),
    [
        ("mnist", "MNIST", peer.MNIST),
        ("fashion-mnist", "FashionMNIST", peer.FashionMNIST),
        ("kmnist", "KMNIST", peer.KMNIST),
    ],
)
def test_mnist_and_its_kin_are_read(name: str, inside: str, made: Any) -> None:
    write_mnist(inside)
    packed = find(name)
    assert (packed.name, {part: len(raw) for part, raw in packed.parts.items()}) == (name, {"train": 40, "test": 20})
    write_mnist(inside, packed=False)
    equal(name, "train", made("root"))
    equal(name, "test", made("root", train=False))
    if name == "fashion-mnist":
        assert packed.labels == tuple(made.classes)
    for other in {"mnist", "kmnist", "fashion-mnist"} - {name}:
        with pytest.raises(MissingError, match=f"the data '{other}' is not in root: looked for "):
            find(other)


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_cifar_is_read(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made: Any = {"cifar10": peer.CIFAR10, "cifar100": peer.CIFAR100}[name]
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda path, md5=None: Path(path).is_file())
    key, number = made.meta["key"], {"cifar10": 10, "cifar100": 100}[name]
    for file, _ in (*made.train_list, *made.test_list):
        random = np.random.default_rng(len(file))
        data = random.integers(0, 256, (4, 3072), np.uint8)
        labels = random.integers(0, number, 4).tolist()
        put(ROOT / made.base_folder / file, pickle.dumps({"data": data, "labels": labels}))
    put(ROOT / made.base_folder / made.meta["filename"], pickle.dumps({key: [f"c{i}" for i in range(number)]}))
    assert find(name).labels == tuple(f"c{i}" for i in range(number))
    equal(name, "train", made("root"))
    equal(name, "test", made("root", train=False))


def test_flowers_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torchvision.datasets.flowers102.check_integrity", lambda path, md5: Path(path).is_file())
    for number in range(1, 10):
        draw(f"root/flowers-102/jpg/image_{number:05d}.jpg", number)
    scipy.io.savemat("root/flowers-102/imagelabels.mat", {"labels": np.arange(9)[None] + 1})
    ids = {"trnid": [[1, 5, 3]], "valid": [[2, 4]], "tstid": [[6, 7, 8, 9]]}
    scipy.io.savemat("root/flowers-102/setid.mat", {key: np.array(value) for key, value in ids.items()})
    for part, split in (("train", "train"), ("validation", "val"), ("test", "test")):
        equal("flowers102", part, peer.Flowers102("root", split))


def write_pets() -> None:
    for number in range(6):
        draw(f"root/oxford-iiit-pet/images/{'cat' if number % 2 else 'big_dog'}_{number}.jpg", number)
        trimap = np.random.default_rng(number).integers(1, 4, (30, 40), np.uint8)
        name = f"{'cat' if number % 2 else 'big_dog'}_{number}"
        Path("root/oxford-iiit-pet/annotations/trimaps").mkdir(parents=True, exist_ok=True)
        Image.fromarray(trimap).save(f"root/oxford-iiit-pet/annotations/trimaps/{name}.png")
    rows = [f"{'cat' if number % 2 else 'big_dog'}_{number} {number % 2 + 1} 1 1\n" for number in range(6)]
    put("root/oxford-iiit-pet/annotations/trainval.txt", "".join(rows[:4]))
    put("root/oxford-iiit-pet/annotations/test.txt", "".join(rows[4:]))


def test_pets_are_read_with_classes_or_masks() -> None:
    write_pets()
    assert find("oxford-pets").labels == ("Big Dog", "Cat")
    equal("oxford-pets", "train", peer.OxfordIIITPet("root"))
    equal("oxford-pets", "test", peer.OxfordIIITPet("root", "test"))
    found = find("oxford-pets", frozenset({"masks"}))
    assert found.labels == ("background", "pet")
    masks = found.parts["test"].masks
    assert masks is not None
    theirs = np.asarray(peer.OxfordIIITPet("root", "test", "segmentation")[1][1])
    assert np.array_equal(masks(1), np.array([0, 1, 0, 255])[theirs])
    wanted = Wanted(3, 0, 0, None, 2, kinds=frozenset({"masks"}))
    assert datasets.load(found.name, found.parts, wanted, found.faults).warnings == []


def test_folders_of_images_are_read() -> None:
    photos("root/eurosat/2750", names=("Forest", "River"))
    assert find("eurosat").labels == ("Forest", "River")
    equal("eurosat", "all", peer.EuroSAT("root"))
    wnids = ("n01440764", "n02102040")
    photos("root/imagenette2", ("train", "val"), wnids)
    for path in Path("root/imagenette2").rglob("*.png"):
        path.rename(path.with_suffix(".jpeg"))
    assert find("imagenette").labels == ("tench", "English springer")
    equal("imagenette", "train", peer.Imagenette("root"))
    equal("imagenette", "validation", peer.Imagenette("root", "val"))
    photos("root/food-101/images", names=("pie", "soup"))
    for path in Path("root/food-101/images").rglob("*.png"):
        path.rename(path.with_suffix(".jpg"))
    for part, numbers in (("train", (0, 3)), ("test", (1, 2))):
        document = {name: [f"{name}/{number}" for number in numbers] for name in ("pie", "soup")}
        put(f"root/food-101/meta/{part}.json", json.dumps(document))
    assert find("food101").labels == ("pie", "soup")
    equal("food101", "train", peer.Food101("root"))
    equal("food101", "test", peer.Food101("root", "test"))


def test_imagenet_is_read_in_the_order_of_its_folders() -> None:
    photos("root", ("train", "val"), ("n01", "n02"))
    found = find("imagenet")
    assert (found.labels, found.classes, sorted(found.parts)) == (None, 2, ["train", "validation"])


def test_voc_and_coco_are_read() -> None:
    write_voc("root/VOCdevkit/VOC2012")
    boxes = find("voc", frozenset({"boxes"})).parts["train"].boxes
    assert boxes is not None
    assert boxes[2].corners.tolist() == [list(map(float, one[1:])) for one in BOXES[2]]
    write_voc_masks("root/VOCdevkit/VOC2012")
    Path("root/VOCdevkit/VOC2012/classes.txt").unlink()
    found = find("voc", frozenset({"masks"}))
    assert found.labels is not None
    assert (len(found.labels), found.labels[15]) == (21, "person")
    masks = found.parts["train"].masks
    assert masks is not None
    assert np.array_equal(masks(3), mask(3))
    write_coco("root")
    found = find("coco", frozenset({"boxes"}))
    assert found.labels == NAMES
    assert np.array_equal(found.parts["validation"].load(0, 3), pixels(6))


@pytest.mark.parametrize("name", named.FILES)
def test_what_is_not_there_is_named(name: str) -> None:
    with pytest.raises(MissingError) as caught:
        find(name)
    gets = f"--data {name} --data-root root --download gets it"
    help = {
        "imagenet": "image-net.org gives it out on request; unpack it into class folders",
        "coco": "unpack train2017.zip, val2017.zip and annotations_trainval2017.zip of cocodataset.org there",
    }.get(name, gets)
    due = f"the data '{name}' is not in root: looked for {named.FILES[name]}"
    assert str(caught.value) == f"error: {due}\n  help: {help}"
    assert not Path("root").exists()


def test_every_name_has_a_reader() -> None:
    assert set(named.FILES) == set(named._READERS) | set(adapter.SETS)
    assert not set(named._READERS) & set(adapter.SETS)
    assert set(adapter.FETCHED) == set(named._READERS) - set(named._BY_HAND)


@pytest.mark.parametrize(
    ("target", "given", "text"),
    [
        ("d/", {"root": ROOT}, "--data-root goes with well-known data, 'd/' is none\n  help: the names are mnist, "),
        ("digits", {"root": ROOT}, "--data-root goes with well-known data, 'digits' is none\n  help: the names are "),
        ("digits", {"download": True}, "--download goes with well-known data, 'digits' is none\n  help: the names a"),
        ("mnist", {"format": "idx"}, "--format goes with a folder, 'mnist' is a name"),
    ],
)
def test_options_that_say_nothing_are_refused(target: str, given: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError) as caught:
        datasets.find(target, 3, **given)
    assert str(caught.value).startswith(f"error: {text}")


def test_without_torchvision_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(named, "ADAPTER", "cnnspec_nowhere.named")
    with pytest.raises(MissingError, match=r"the data 'cifar10' needs cnnspec_nowhere\n  help: pip install 'cnnspec"):
        find("cifar10")
    write_mnist("MNIST")
    assert len(find("mnist").parts["train"]) == 40


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """The address of a server of the files in `served`."""
    (tmp_path / "served").mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given, directory=str(tmp_path / "served"))

        def log_message(self, *given: Any) -> None:
            return

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_data_is_downloaded_when_asked(
    served: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_mnist("MNIST")
    Path("root/MNIST/raw").rename("made")
    resources = [(path.name, hashlib.md5(path.read_bytes()).hexdigest()) for path in sorted(Path("made").iterdir())]
    for path in Path("made").iterdir():
        path.rename(f"served/{path.name}")
    monkeypatch.setattr(peer.MNIST, "mirrors", [served])
    monkeypatch.setattr(peer.MNIST, "resources", resources)
    with pytest.raises(MissingError, match="is not in root: looked for"):
        find("mnist")
    found = datasets.find("mnist", 1, root=ROOT, download=True)
    assert {part: len(raw) for part, raw in found.parts.items()} == {"train": 40, "test": 20}
    assert capsys.readouterr().out == ""
    equal("mnist", "train", peer.MNIST("root"))


def test_a_download_that_fails_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer.MNIST, "mirrors", ["http://127.0.0.1:9/"])
    with pytest.raises(MissingError, match="cannot download the data 'mnist': ") as caught:
        datasets.find("mnist", 1, root=ROOT, download=True)
    assert "\n" not in caught.value.message
    assert "\\n" not in caught.value.message
    monkeypatch.setattr(peer.CIFAR10, "url", "http://127.0.0.1:9/a.tar.gz")
    with pytest.raises(MissingError, match="cannot download the data 'cifar10': "):
        datasets.find("cifar10", 3, root=ROOT, download=True)
    assert not ROOT.exists()


def test_a_download_that_fails_takes_its_empty_folders_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("root/mine").mkdir(parents=True)

    def part(root: str, download: bool) -> None:
        Path(root, "MNIST/raw/more").mkdir(parents=True)
        Path(root, "MNIST/old").mkdir()
        Path(root, "MNIST/raw/part").write_bytes(b"1")
        raise RuntimeError("Error downloading a:\n  tried b, got:\n<urlopen error>\n")

    monkeypatch.setattr(peer, "MNIST", part)
    with pytest.raises(MissingError) as caught:
        datasets.find("mnist", 1, root=ROOT, download=True)
    said = "error: cannot download the data 'mnist': Error downloading a: tried b, got: <urlopen error>"
    assert str(caught.value) == said
    assert sorted(map(str, ROOT.rglob("*"))) == ["root/MNIST", "root/MNIST/raw", "root/MNIST/raw/part", "root/mine"]
