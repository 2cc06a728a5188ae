"""The pictures of `evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cnnspec.commands.common import refuse_overwrite
from cnnspec.diagnostics import UsageError
from cnnspec.drawing import curves, matrix
from cnnspec.durable import write as write_file

if TYPE_CHECKING:
    from cnnspec.evaluating import Evaluation
    from cnnspec.judges import Outcome


def pictures(one: Outcome) -> dict[str, str]:
    """What there is to draw of an outcome, as SVG by what it shows."""
    found: dict[str, str] = {}
    labels = [row["label"] for row in one.classes]
    if one.confusion is not None:
        what = "images" if one.kind == "classify" else "pixels"
        found["confusion"] = matrix.svg(one.confusion, labels, f"{what} by class (rows) and what they were taken for")
    if one.curves:
        found["precision-recall"] = curves.svg(one.curves, "precision over recall at IoU 0.5")
    return found


def write(folder: Path, result: Evaluation, force: bool) -> list[Path]:
    """Write an SVG for each, under its head's number and kind where there are several heads.

    Raises UsageError where one is there already, or the folder cannot be made.
    """
    texts: dict[Path, str] = {}
    for number, one in enumerate(result.outcomes, 1):
        stem = f"{number}-{one.kind}-" if len(result.outcomes) > 1 else ""
        texts |= {folder / f"{stem}{what}.svg": text for what, text in pictures(one).items()}
    for path in texts:
        refuse_overwrite(path, force)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make the folder {folder}: {error.strerror}") from None
    for path, text in texts.items():
        write_file(path, text.encode())
    return list(texts)
