"""`compile --target torch`: a file that torch alone runs, with the module's own numbers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

import cnnspec
from cnnspec.diagnostics import RefutedError
from cnnspec_torch import exporting
from door import TINY, run, write
from forked import apart

Capture = pytest.CaptureFixture[str]

WITHOUT_US = """
import sys
for name in ("cnnspec", "cnnspec_torch", "onnx"):
    sys.modules[name] = None  # importing it fails
import torch
program = torch.export.load("tiny.pt2").module()
torch.save([program(x) for x in torch.load("images.pt")], "found.pt")
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, TINY, "tiny.yaml")
    return tmp_path


@pytest.mark.parametrize("options", [[], ["--optimize"]])
@apart
def test_runs_without_us_at_several_sizes(capsys: Capture, options: list[str]) -> None:
    module = cnnspec.compile("tiny.yaml").lower("torch", seed=7).eval()
    torch.save(module.state_dict(), "seven.pth")
    answer = run(
        capsys, "compile", "./tiny.yaml", "--target", "torch", "-o", "tiny.pt2", "--weights", "seven.pth", *options
    )
    assert answer.code == 0, answer.err
    proof = "verified: loaded again, it gives what the module gives, bit for bit, at N=2, h=3, w=2; N=5, h=4, w=5"
    assert answer.out.splitlines()[1] == proof
    images = [torch.randn(2, 1, 8, 12), torch.randn(5, 1, 20, 8)]
    torch.save(images, "images.pt")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WITHOUT_US], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    for x, found in zip(images, torch.load("found.pt"), strict=True):
        assert (found - module(x)["logits"]).abs().max() < 1e-6


@apart
def test_a_program_that_differs_is_not_written(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "CLOSE", -1.0)
    graph = cnnspec.compile("tiny.yaml").inference()
    with pytest.raises(RefutedError, match=r"the exported program differs from the module by 0\.0e"):
        exporting.export(graph, graph.lower("torch"), Path("tiny.pt2"))
    assert not Path("tiny.pt2").exists()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ("", "error: --target torch wants -o FILE.pt2\n"),
        ("-o a.pt2 --opset 18", "error: --opset is for --target onnx\n"),
        ("-o no/a.pt2", "error: cannot write no/a.pt2: there is no folder no\n"),
        ("-o tiny.yaml", "error: -o tiny.yaml does not end in .pt2\n"),
        ("-o old.pt2", "error: old.pt2 is there already\n  help: --force overwrites it\n"),
    ],
)
def test_a_wrong_export_is_refused(capsys: Capture, options: str, text: str) -> None:
    Path("old.pt2").touch()
    answer = run(capsys, "compile", "./tiny.yaml", "--target", "torch", *options.split())
    assert (answer.code, answer.out, answer.err) == (2, "", text)
