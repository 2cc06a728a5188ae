"""`cnnspec convolutionalize`: what it writes, what it says, and what it refuses before it writes."""

from __future__ import annotations

from pathlib import Path

import pytest
import safetensors.torch
import torch

import cnnspec
from cnnspec_torch.weights import export_weights, load_weights
from door import run, write

Capture = pytest.CaptureFixture[str]

SPEC = """\
cnnspec: 1
name: flat
input: {image: [N, 1, 10, 10]}
net:
  c1:     image -> conv(4, 3, padding=valid) -> maxpool(2)
  logits: c1 -> flatten -> dense(6) -> relu -> dense(3)
  aux:    c1 -> flatten -> dense(3)
outputs: {logits: {}, aux: {when: train}}
heads: {logits: {classify: {labels: [a, b, c]}}, aux: {classify: {}}}
"""
LOST = "the head 'logits' (classify) is left out: it reads one prediction, not a grid\n"


def test_without_a_file_the_spec_is_the_answer(capsys: Capture, tmp_path: Path) -> None:
    path = write(tmp_path, SPEC)
    answer = run(capsys, "convolutionalize", path)
    assert (answer.code, answer.err) == (0, LOST)
    assert (
        answer.out
        == """\
cnnspec: 1
name: flat-fcn
input: {image: [N, 1, 2*h, 2*w]}
typical: {h: 5, w: 5}

net:
  c1.conv: {op: conv, in: image, filters: 4, kernel: 3, padding: valid}
  c1.maxpool: {op: maxpool, in: c1.conv, kernel: 2}
  logits.dense: {op: conv, in: c1.maxpool, filters: 6, kernel: 4, padding: valid}
  logits.relu: {op: relu, in: logits.dense}
  logits.dense_2: {op: conv, in: logits.relu, filters: 3, kernel: 1}
  logits: logits.dense_2
outputs: {logits: {}}
"""
    )
    assert run(capsys, "convolutionalize", path, "--json").document["data"] == {"yaml": answer.out}


def test_a_file_s_weights_are_written_beside_the_spec(capsys: Capture, tmp_path: Path) -> None:
    path, out = write(tmp_path, SPEC), tmp_path / "grid.yaml"
    whole: torch.nn.Module = cnnspec.compile(path).lower("torch", seed=3)
    safetensors.torch.save_file(whole.state_dict(), tmp_path / "old.safetensors")
    args = ("convolutionalize", path, "-o", str(out), "--weights", str(tmp_path / "old.safetensors"))
    answer = run(capsys, *args)
    assert (answer.code, answer.err) == (0, LOST)
    wrote, *lines, verified = answer.out.splitlines()
    assert wrote.startswith(f"wrote {out} and {out.with_suffix('.safetensors')}, ")
    assert lines == [
        "input   image [N, 1, 10, 10] -> [N, 1, 2*h, 2*w] for h >= 5, w >= 5",
        "output  logits [N, 3] -> [N, 3, h - 4, w - 4]",
    ]
    assert verified.startswith("verified: at h=5, w=5 the classifier's numbers, within ")
    net: torch.nn.Module = cnnspec.compile(out).lower("torch")
    load_weights(net, out.with_suffix(".safetensors"), names=None)
    image = torch.randn(2, 1, 14, 10)
    with torch.no_grad():
        due = torch.stack([whole.eval()(image[:, :, i : i + 10])["logits"] for i in (0, 2, 4)], -1)
        assert torch.allclose(net.eval()(image)[..., 0], due, rtol=1e-5, atol=1e-6)
    assert run(capsys, *args).err.startswith(f"error: {out} is there already\n")
    document = run(capsys, *args, "--force", "--json").document["data"]
    assert document["files"] == [str(out), str(out.with_suffix(".safetensors"))]
    assert document["outputs"] == {"logits": ["[N, 3]", "[N, 3, h - 4, w - 4]"]}
    assert (document["bounds"], document["typical"]) == ({"h": 5, "w": 5}, {"h": 5, "w": 5})
    assert 0 <= document["difference"] <= 1e-5


def test_a_peer_s_weights_are_read_by_its_names(capsys: Capture, tmp_path: Path) -> None:
    """At another size and for other classes, both as told."""
    module: torch.nn.Module = cnnspec.compile("resnet18", classes=5).lower("torch")
    torch.save(export_weights(module, "torchvision"), tmp_path / "peer.pth")
    out = tmp_path / "grid.yaml"
    weights = ("--weights", str(tmp_path / "peer.pth"), "--names", "torchvision")
    answer = run(
        capsys, "convolutionalize", "resnet18", "--set", "classes=5", "--at", "h=2,w=3", "-o", str(out), *weights
    )
    assert answer.code == 0
    assert "output  logits [N, 5] -> [N, 5, h - 1, w - 2]\n" in answer.out
    found = safetensors.torch.load_file(out.with_suffix(".safetensors"))
    assert found.keys() == module.state_dict().keys()
    assert torch.equal(found["logits.dense.weight"][..., 0, 0], module.state_dict()["logits.dense.weight"])


@pytest.mark.parametrize(
    ("args", "code", "text"),
    [
        (("--weights", "a.pth"), 2, "error: --weights wants -o FILE.yaml: the weights are written beside it\n"),
        (("-o", "a.txt"), 2, "error: -o wants FILE.yaml in a folder that is there, got a.txt\n"),
        (("-o", "none/a.yaml"), 2, "error: -o wants FILE.yaml in a folder that is there, got none/a.yaml\n"),
        (("--at", "h=3"), 2, "error: 'h' is no symbol of flat; it has N\n"),
        (("-o", "a.yaml", "--weights", "none.pth"), 3, "error: there is no file none.pth\n"),
        (("--input", "image=N,1,10,10*w"), 1, None),
    ],
)
def test_what_is_refused(
    capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...], code: int, text: str | None
) -> None:
    write(tmp_path, SPEC)
    monkeypatch.chdir(tmp_path)
    answer = run(capsys, "convolutionalize", "./spec.yaml", *args)
    assert (answer.code, answer.out) == (code, "")
    assert text is None or answer.err == text
    assert [path.name for path in tmp_path.iterdir()] == ["spec.yaml"]


def test_weights_that_give_other_numbers_are_not_written(
    capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def false(*args: object, **symbols: int) -> object:
        grid, tensors = cnnspec.convolutionalize(*args, **symbols)  # type: ignore[arg-type]
        return grid, {name: tensor + 1e-3 for name, tensor in tensors.items()}

    monkeypatch.setattr("cnnspec_torch.convolutional.convolutionalize", false)
    path = write(tmp_path, SPEC)
    torch.save(cnnspec.compile(path).lower("torch").state_dict(), tmp_path / "old.pth")
    args = ("-o", str(tmp_path / "grid.yaml"), "--weights", str(tmp_path / "old.pth"))
    answer = run(capsys, "convolutionalize", path, *args)
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith("error: flat-fcn differs from flat by ")
    assert not list(tmp_path.glob("grid*"))
