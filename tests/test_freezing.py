"""What recipes freeze, told before training: as many numbers as torch then leaves untrained."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import cnnspec
from cnnspec.diagnostics import UsageError
from cnnspec.freezing import frozen
from cnnspec_torch import optimizing
from door import run, write

RECIPE = """\
recipe: 1
phases:
  - {epochs: 1, freeze: ["c*", "*.batchnorm"]}
  - {epochs: 2}
"""


@pytest.mark.parametrize("globs", [["stem"], ["c2", "c3.stage.unit"], ["*.batchnorm"], ["logits.dense.bias"], []])
def test_as_torch_freezes(globs: list[str]) -> None:
    graph = cnnspec.compile("resnet18")
    with torch.device("meta"):
        network = graph.lower("torch")
    optimizing.freeze(network, globs)
    sizes = [(parameter.requires_grad, parameter.numel()) for parameter in network.parameters()]
    assert frozen(graph, globs) == tuple(sum(size for on, size in sizes if on is way) for way in (True, False))


def test_a_glob_that_fits_nothing() -> None:
    with pytest.raises(UsageError, match="freeze: no parameter lies below 'c9'"):
        frozen(cnnspec.compile("resnet18"), ["c9"])


def test_summarize_tells_phases_apart(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    recipe = write(tmp_path, RECIPE, "recipe.yaml")
    lines = run(capsys, "summarize", "resnet18", "--recipe", recipe).out.splitlines()
    assert "phase 1           522,408 (522 k) trainable, 11,167,104 (11.2 M) frozen" in lines
    assert "phase 2           11,689,512 (11.7 M) trainable, 0 frozen" in lines
    data = run(capsys, "summarize", "resnet18", "--recipe", recipe, "--json").document["data"]
    assert data["phases"] == [{"trainable": 522_408, "frozen": 11_167_104}, {"trainable": 11_689_512, "frozen": 0}]
    assert "phase" not in run(capsys, "summarize", "resnet18").out
