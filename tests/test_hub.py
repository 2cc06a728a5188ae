"""Published files: found, fetched only when asked, kept whole or not at all, and held to their hash whenever used."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import cnnspec
from cnnspec import hub as files
from cnnspec.diagnostics import CnnspecError, MissingError, RunError, UsageError
from cnnspec.published import Weights
from door import TINY, run, write
from hub import HOST, Hub, Quiet, served
from hub import hub as hub

Capture = pytest.CaptureFixture[str]


def weights(sha256: str | None, name: str = "tiny.pth") -> Weights:
    return Weights(url=f"https://{HOST}/{name}", sha256=sha256)


@pytest.fixture
def tiny(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """tiny.yaml with published weights, and photo.png, in the current folder; the SHA-256 of the weights."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (9, 14), np.uint8)).save("photo.png")
    write(tmp_path, TINY, "plain.yaml")
    sha256 = hub.publish("tiny.pth", cnnspec.compile("./plain.yaml").lower("torch", seed=7))
    publish(tmp_path, sha256)
    return sha256


def publish(folder: Path, sha256: str | None, extra: str = "") -> None:
    known = f"sha256: '{sha256}', " if sha256 else ""
    how = "preprocess: {fit: crop, mean: [0.4], std: [0.3]}"
    write(folder, f"{TINY}weights: {{digits: {{url: 'https://{HOST}/tiny.pth', {known}{extra}{how}}}}}\n", "tiny.yaml")


def refusal(kind: type[CnnspecError], weights: Weights) -> str:
    with pytest.raises(kind) as caught:
        files.fetch(weights, pytest.fail, lambda total: None)
    assert not list(files.folder().iterdir()), "nothing is left behind"
    return str(caught.value)


# where files are


def test_the_folder_is_torch_hub_s(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for given in ({"TORCH_HOME": str(tmp_path)}, {"XDG_CACHE_HOME": str(tmp_path / "x")}, {}):
        for name in ("TORCH_HOME", "XDG_CACHE_HOME"):
            monkeypatch.delenv(name, raising=False)
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        assert files.folder() == Path(torch.hub.get_dir()) / "checkpoints"


def test_a_mirror_keeps_host_and_path(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "https://download.pytorch.org/models/a.pth"
    monkeypatch.delenv("CNNSPEC_MIRROR", raising=False)
    assert files.address(url) == url
    monkeypatch.setenv("CNNSPEC_MIRROR", "http://10.0.0.1:8000/mirror/")
    assert files.address(url) == "http://10.0.0.1:8000/mirror/download.pytorch.org/models/a.pth"
    monkeypatch.setenv("CNNSPEC_MIRROR", "file:///tmp")
    with pytest.raises(UsageError, match="CNNSPEC_MIRROR wants an address as http://localhost:8000, got 'file:///tmp'"):
        files.address(url)


# the command line


def test_without_the_file_the_way_to_it_is_said(capsys: Capture, hub: Hub, tiny: str) -> None:
    path = hub.cache / "tiny.pth"
    answer = run(capsys, "predict", "./tiny.yaml", "photo.png", "--weights", "digits")
    assert (answer.code, answer.out) == (3, "")
    assert answer.err == (
        f"error: the weights 'digits' of tiny are not here: there is no {path}\n"
        f"  help: --download fetches them, or: curl -L --create-dirs -o {path} https://{HOST}/tiny.pth\n"
    )
    assert hub.asked == []
    assert not hub.cache.exists()


def test_downloads_once_and_predicts(capsys: Capture, hub: Hub, tiny: str) -> None:
    options = ("predict", "./tiny.yaml", "photo.png", "--weights", "digits", "--json")
    first = run(capsys, *options, "--download")
    assert (first.code, first.err) == (0, "")
    assert hub.asked == [f"/{HOST}/tiny.pth"]
    again = run(capsys, *options)
    other = run(capsys, *options, "--download")
    assert hub.asked == [f"/{HOST}/tiny.pth"]
    tops = [one.document["data"]["images"][0]["top"] for one in (first, again, other)]
    assert tops[0] == tops[1] == tops[2]
    by_hand = run(
        capsys, "predict", "./plain.yaml", "photo.png", "--weights", str(hub.files / "tiny.pth"),
        "--fit", "crop", "--mean", "0.4", "--std", "0.3", "--json",
    )  # fmt: skip
    assert by_hand.document["data"]["images"][0]["top"] == tops[0]


def test_a_published_file_by_its_path_is_held_to_its_hash_and_prepared_alike(
    capsys: Capture, hub: Hub, tiny: str
) -> None:
    published = run(capsys, "predict", "./tiny.yaml", "photo.png", "--weights", "digits", "--download", "--json")
    path = hub.files / "tiny.pth"
    answer = run(capsys, "predict", "./tiny.yaml", "photo.png", "--weights", str(path), "--json")
    tops = [one.document["data"]["images"][0]["top"] for one in (published, answer)]
    assert tops[0] == tops[1]
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    answer = run(capsys, "predict", "./tiny.yaml", "photo.png", "--weights", str(path))
    assert answer.code == 4
    assert "is damaged, or another file: its SHA-256 is " in answer.err


def test_what_the_weights_have_no_name_for(capsys: Capture, hub: Hub, tiny: str) -> None:
    answer = run(capsys, "predict", "./tiny.yaml", "photo.png", "--weights", "digit")
    assert (answer.code, answer.err) == (3, "error: tiny has no weights 'digit'\n  help: did you mean 'digits'?\n")
    answer = run(capsys, "predict", "./tiny.yaml", "photo.png", "--weights", "x")
    assert answer.err == "error: tiny has no weights 'x'\n  help: it has digits\n"
    answer = run(capsys, "predict", "./plain.yaml", "photo.png", "--weights", "imagenet")
    assert answer.err == ("error: tiny has no weights 'imagenet'\n  help: give a file: --weights FILE --names PEER\n")
    answer = run(capsys, "predict", "./tiny.yaml", "photo.png", "--weights", "digits", "--names", "timm", "--download")
    assert (answer.code, answer.err) == (
        2,
        "error: --names is for a file: the weights 'digits' of tiny say it themselves\n",
    )
    answer = run(capsys, "compile", "./tiny.yaml", "--target", "onnx", "-o", "a.onnx", "--download")
    assert (answer.code, answer.err) == (2, "error: --download is for --weights\n")
    answer = run(capsys, "predict", "./tiny.yaml", "photo.png")
    assert answer.err == (
        "error: ./tiny.yaml is untrained\n"
        "  help: --weights NAME (digits) loads weights, --random predicts with random ones\n"
    )


def test_from_python(hub: Hub, tiny: str) -> None:
    due = cnnspec.compile("./plain.yaml").lower("torch", seed=7).state_dict()
    model = cnnspec.compile("./tiny.yaml").lower("torch")
    with pytest.raises(MissingError, match="the weights 'digits' of tiny are not here"):
        cnnspec.load_weights(model, "digits")
    cnnspec.load_weights(model, "digits", download=True)
    assert all(torch.equal(value, due[name]) for name, value in model.state_dict().items())


def test_onnx_predicts_the_same(capsys: Capture, hub: Hub, tiny: str) -> None:
    run(capsys, "predict", "./tiny.yaml", "photo.png", "--weights", "digits", "--download")
    due = run(capsys, "predict", "./tiny.yaml", "photo.png", "--weights", "digits", "--json")
    for extra in ([], ["--pixels"], ["--optimize"]):
        out = ["compile", "./tiny.yaml", "--target", "onnx", "-o", "tiny.onnx", "--force", "--weights", "digits"]
        assert run(capsys, *out, *extra).code == 0
        found = run(capsys, "predict", "tiny.onnx", "photo.png", "--json")
        pairs = zip(*(one.document["data"]["images"][0]["top"] for one in (due, found)), strict=True)
        assert all(a["number"] == b["number"] for a, b in pairs)
        pairs = zip(*(one.document["data"]["images"][0]["top"] for one in (due, found)), strict=True)
        assert all(a["probability"] == pytest.approx(b["probability"], rel=1e-4) for a, b in pairs)


# what arrives


class Short(Quiet):
    """Says that more comes than does."""

    def answer(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"x" * 400)


class Elsewhere(Quiet):
    def answer(self) -> None:
        self.send_response(302)
        self.send_header("Location", "ftp://example.org/tiny.pth")
        self.end_headers()


def test_a_file_that_is_not_there(hub: Hub) -> None:
    text = refusal(RunError, weights("0" * 64))
    assert text == f"error: {files.address(weights(None).url)}: the server says 404 File not found"


def test_another_file_than_published(hub: Hub) -> None:
    found = hub.publish("tiny.pth", {"a": torch.zeros(3)})
    assert refusal(RunError, weights("01234567")) == (
        f"error: {files.address(weights(None).url)}: the SHA-256 of what came is {found}, "
        "the published one begins with 01234567; nothing was kept"
    )


@pytest.mark.parametrize(
    ("handler", "said"),
    [
        (Short, "ended after 400 of 1000 bytes; nothing was kept"),
        (Elsewhere, "leads to ftp://example.org/tiny.pth, which is not followed"),
    ],
)
def test_a_server_that_breaks_off_or_leads_elsewhere(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, handler: type[Quiet], said: str
) -> None:
    with served(tmp_path, handler) as (address, _):
        monkeypatch.setenv("CNNSPEC_MIRROR", address)
        assert said in refusal(RunError, weights(None))


def test_no_server(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CNNSPEC_MIRROR", "http://127.0.0.1:1")
    assert refusal(RunError, weights(None)) == (
        f"error: cannot reach http://127.0.0.1:1/{HOST}/tiny.pth: [Errno 111] Connection refused"
    )


def test_more_than_the_limit(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    size = len((hub.files / "tiny.pth").read_bytes()) if hub.publish("tiny.pth", {"a": torch.zeros(9)}) else 0
    monkeypatch.setattr(files, "LARGEST", size - 1)
    assert f"has more than {size - 1} bytes, the limit" in refusal(RunError, weights(None))
    monkeypatch.setattr(files, "LARGEST", size)
    files.fetch(weights(hashlib.sha256((hub.files / "tiny.pth").read_bytes()).hexdigest()), pytest.fail, lambda n: None)


def test_a_full_disk_leaves_nothing(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.publish("tiny.pth", {"a": torch.zeros(9)})

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert "No space left on device; " in refusal(RunError, weights(None))


def test_an_interrupted_download_leaves_nothing(hub: Hub) -> None:
    hub.publish("tiny.pth", {"a": torch.zeros(9)})

    def stop(total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        files.fetch(weights(None), pytest.fail, stop)
    assert not list(files.folder().iterdir())


# the hash, whenever the file is used


def cached(hub: Hub, sha256: str | None) -> tuple[Path, Weights, list[str]]:
    said: list[str] = []
    found = hub.publish("tiny.pth", {"a": torch.zeros(3)})
    entry = weights(found[:8] if sha256 == "known" else sha256)
    return files.fetch(entry, said.append, lambda total: None), entry, said


def test_without_a_published_hash_that_of_the_download_is_recorded(hub: Hub) -> None:
    path, entry, said = cached(hub, None)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert said == [
        f"no SHA-256 of {files.address(entry.url)} is published: that of this download is in tiny.pth.sha256, "
        "for later uses"
    ]
    assert (path.parent / "tiny.pth.sha256").read_text() == f"{digest}\n"
    assert files.verified(path, entry, pytest.fail) == path.read_bytes()
    flip(path)
    with pytest.raises(RunError) as caught:
        files.verified(path, entry, pytest.fail)
    assert f"when it was downloaded it was {digest}" in str(caught.value)
    (path.parent / "tiny.pth.sha256").write_text("nonsense")
    with pytest.raises(RunError, match=r"tiny\.pth\.sha256 holds no SHA-256"):
        files.verified(path, entry, pytest.fail)


def test_a_file_put_there_by_hand_without_a_hash_is_used_with_a_warning(hub: Hub) -> None:
    path, entry, said = cached(hub, None)
    (path.parent / "tiny.pth.sha256").unlink()
    said.clear()
    files.verified(path, entry, said.append)
    assert said == [f"no SHA-256 is known of {path}: it is used as it is"]


def flip(path: Path) -> None:
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    path.write_bytes(whole)


def test_one_flipped_bit(hub: Hub) -> None:
    """B080."""
    path, entry, said = cached(hub, "known")
    assert said == []
    flip(path)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(RunError) as caught:
        files.verified(path, entry, pytest.fail)
    assert str(caught.value) == (
        f"error: {path} ({path.stat().st_size} bytes) is damaged, or another file: its SHA-256 is {found}, "
        f"the published one begins with {entry.sha256}\n"
        "  help: remove it and use --download; a file of your own goes by another name"
    )


@pytest.fixture
def changing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files whose bytes on the disk change right after they were read."""
    read = Path.read_bytes

    def once(self: Path) -> bytes:
        data = read(self)
        if self.suffix == ".pth":
            self.write_bytes(data[::-1])
        return data

    monkeypatch.setattr(Path, "read_bytes", once)


def test_the_bytes_that_were_hashed_are_the_ones_used(
    hub: Hub, tiny: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """F17: the file changes between its hash and its use; the next use notices."""
    due = cnnspec.compile("./plain.yaml").lower("torch", seed=7).state_dict()
    model = cnnspec.compile("./tiny.yaml").lower("torch")
    files.fetch(cnnspec.compile("./tiny.yaml").weights["digits"], pytest.fail, lambda total: None)
    request.getfixturevalue("changing")
    cnnspec.load_weights(model, "digits")
    assert all(torch.equal(value, due[name]) for name, value in model.state_dict().items())
    with pytest.raises(RunError, match="is damaged, or another file"):
        cnnspec.load_weights(model, "digits")


def test_a_loaded_model_does_not_change_with_its_file(hub: Hub, tiny: str) -> None:
    """F17: nothing stays mapped."""
    for name in ("own.pth", "own.safetensors"):
        model, other = (cnnspec.compile("./plain.yaml").lower("torch", seed=seed) for seed in (1, 2))
        hub.publish(name, model)
        cnnspec.load_weights(other, hub.files / name, names=None)
        size = (hub.files / name).stat().st_size
        with (hub.files / name).open("r+b") as file:
            file.write(os.urandom(size))
        assert all(torch.equal(value, other.state_dict()[key]) for key, value in model.state_dict().items())


def test_python_s_weights_lie_beside_its_file(capsys: Capture, hub: Hub, tiny: str) -> None:
    out = ("compile", "./tiny.yaml", "--target", "python", "--weights", "digits", "--download")
    answer = run(capsys, *out)
    assert (answer.code, answer.err) == (2, "error: --weights wants -o FILE.py: the weights are written beside it\n")
    assert run(capsys, *out, "-o", "net.py").code == 0
    space: dict[str, Any] = {}
    exec(compile(Path("net.py").read_text(), "net.py", "exec"), space)
    (net,) = (kind() for name, kind in space.items() if name == "Tiny")
    net.load_state_dict(load_file("net.safetensors"))
    due = cnnspec.compile("./plain.yaml").lower("torch", seed=7).state_dict()
    assert all(torch.equal(value, due[name]) for name, value in net.state_dict().items())
