"""What a run folder says of a run, read without any framework."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnspec.diagnostics import MissingError, RunError

Row = dict[str, float]
PAGE = "report.html"


@dataclass(frozen=True)
class Run:
    """`rows` are the epochs as metrics.csv has them; `events` those of events.jsonl; the rest is text as it stands."""

    folder: Path
    spec: str
    recipe: str
    environment: dict[str, Any]
    rows: list[Row]
    events: list[dict[str, Any]]

    @property
    def begin(self) -> dict[str, Any]:
        """The last event that a run began with; empty where there is none."""
        return next((one for one in reversed(self.events) if one.get("event") == "begin"), {})

    @property
    def end(self) -> dict[str, Any]:
        """The event that a run ended with; empty where it did not end."""
        return next((one for one in reversed(self.events) if one.get("event") == "end"), {})

    @property
    def best(self) -> Row | None:
        """The last of the epochs that were the best so far."""
        return next((row for row in reversed(self.rows) if row.get("best")), None)


def read(folder: Path) -> Run:
    """A run folder. Raises MissingError where it is none, RunError, naming the file, where one cannot be read."""
    if not (folder / "spec.yaml").is_file():
        raise MissingError(f"{folder} is no run folder: there is no spec.yaml in it")
    texts = {name: _text(folder / name) for name in ("spec.yaml", "recipe.yaml", "environment.json")}
    rows, events = _text(folder / "metrics.csv"), _text(folder / "events.jsonl")
    return Run(
        folder,
        texts["spec.yaml"],
        texts["recipe.yaml"],
        _json(folder / "environment.json", texts["environment.json"] or "{}"),
        _rows(folder / "metrics.csv", rows),
        [_json(folder / "events.jsonl", line) for line in rows_of(events)],
    )


def outcome(folder: Path) -> dict[str, Any] | None:
    """What a run came to that has ended, as `train --json` says it; None of one that may go on, or is damaged."""
    if not (folder / PAGE).is_file():  # it is written last
        return None
    try:
        run = read(folder)
    except RunError:
        return None
    end, images = run.end, run.begin.get("test")
    best = next((row for row in run.rows if row.get("epoch") == end.get("epoch")), None)
    test = end.get("test")
    if run.events[-1:] != [end] or best is None or not isinstance(images, int) or not isinstance(test, dict):
        return None
    if not all(isinstance(value, int | float) for value in test.values()):
        return None
    validation = {k.removeprefix("validation_"): v for k, v in best.items() if k.startswith("validation_")}
    return {
        "folder": str(folder),
        "epoch": int(best["epoch"]),
        "validation": validation,
        "test": test,
        "test_images": images,
        "seconds": run.rows[-1].get("seconds", 0.0),
    }


def rows_of(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


def _text(path: Path) -> str:
    """Empty where there is no such file."""
    try:
        return path.read_text(encoding="utf-8") if path.exists() else ""
    except (OSError, ValueError) as error:
        raise RunError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None


def _json(path: Path, text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise RunError(f"{path} is damaged: {error}") from None
    if not isinstance(found, dict):
        raise RunError(f"{path} is damaged: an object is due, not {text[:40]!r}")
    return found


def _rows(path: Path, text: str) -> list[Row]:
    rows = []
    for number, row in enumerate(csv.DictReader(rows_of(text)), 2):
        try:
            rows.append({name: float(value) for name, value in row.items()})
        except (TypeError, ValueError):
            raise RunError(f"{path}:{number} is damaged: numbers under {', '.join(map(str, row))} are due") from None
    return rows
