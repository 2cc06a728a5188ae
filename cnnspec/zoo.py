"""Finds the shipped specs: beside the package in a checkout, inside it in an installed wheel."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_HERE = Path(__file__).resolve().parent


@cache
def folder() -> Path:
    """The folder of the shipped specs."""
    inside = _HERE / "specs"
    return inside if inside.is_dir() else _HERE.parent / "specs"


def names() -> list[str]:
    """The shipped specs by name, sorted."""
    return sorted(path.stem for path in folder().glob("*.yaml"))


def is_path(text: str) -> bool:
    """Whether the text names a file: it has a separator or a suffix; else it names a shipped spec."""
    return "/" in text or "\\" in text or Path(text).suffix in (".yaml", ".yml") or text in (".", "..")


def labels(name: str) -> tuple[str, ...] | None:
    """The shipped class labels of that name, one a line, or None."""
    path = folder() / "labels" / f"{name}.txt"
    if not name.replace("-", "").replace("_", "").isalnum() or not path.is_file():
        return None
    return tuple(path.read_text(encoding="utf-8").splitlines())
