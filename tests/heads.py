"""Runs of a network of every kind of head, trained once for the tests of a process."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pytest

from door import write
from small import HEADS, TWO, spec, write_data

KINDS = (*HEADS, "two")
each = pytest.mark.parametrize("here", KINDS, indirect=True)


@cache
def trained(root: Path, kind: str) -> Path:
    """A folder with spec and data, a run on it, and the run's network as ONNX."""
    from cnnspec.__main__ import main

    folder = Path(mkdtemp(dir=root))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_data("box" if kind == "two" else kind)
        write(folder, TWO if kind == "two" else spec(kind), "net.yaml")
        args = ["--data", "d/", "--epochs", "2", "--device", "cpu", "-o", "run"]
        assert main(["train", "./net.yaml", *args]) == 0
        compiling = ["compile", "run/spec.yaml", "--target", "onnx", "--weights", "run", "--no-verify"]
        assert main([*compiling, "-o", "net.onnx"]) == 0
    return folder


@pytest.fixture
def here(
    tmp_path_factory: pytest.TempPathFactory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
) -> str:
    """The kind; its folder, a copy, is where the test stands."""
    kind = str(request.param)
    shutil.copytree(trained(tmp_path_factory.getbasetemp(), kind), tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()  # what training said
    return kind
