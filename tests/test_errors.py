"""Every wrong spec of tests/errors, and the text it gets, word for word; beside some stand their valid neighbours.

`python tests/test_errors.py` writes the texts anew; read what changed before it is kept.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from cnnspec.diagnostics import CnnspecError, render
from cnnspec.front import compile_file

FOLDER = Path(__file__).parent / "errors"
SPECS = sorted(path.name for path in FOLDER.glob("*.yaml"))


def said(spec: str) -> str:
    """What compiling a file of the folder says: its errors, its warnings, or `ok`."""
    with contextlib.chdir(FOLDER):
        try:
            graph = compile_file(spec)
        except CnnspecError as error:
            return f"{error}\n"
    return f"{render(graph.warnings) or 'ok'}\n"


@pytest.mark.parametrize("spec", SPECS)
def test_text(spec: str) -> None:
    golden = FOLDER / spec.replace(".yaml", ".txt")
    assert golden.read_text(encoding="utf-8") == said(spec), "to write it anew: python tests/test_errors.py"


def test_every_text_has_its_spec() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.txt")) == sorted(Path(spec).stem for spec in SPECS)


if __name__ == "__main__":
    for stale in FOLDER.glob("*.txt"):
        stale.unlink()
    for name in SPECS:
        (FOLDER / name.replace(".yaml", ".txt")).write_text(said(name), encoding="utf-8")
