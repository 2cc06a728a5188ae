"""Recipes changed at random are read, or refused with their place: never anything else."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from cnnspec import recipe, zoo
from cnnspec.diagnostics import SpecError, UsageError
from door import write

RECIPES = [path.read_text(encoding="utf-8") for path in sorted((zoo.folder() / "recipes").glob("*.yaml"))]
KEYS = [*recipe.Recipe.model_fields, "phases", "operations", "validation", "lrr", "", "recipe.lr", "~", "a b"]
VALUES = [
    "0", "-1", "1e400", ".nan", "true", "no", "none", "null", "[]", "{}", "[[]]", "'", '"', "1.5", "9" * 400, "&a 1",
    "*a", "!!python/name:os.system x", "[1, 2", "{a: 1", "text", "[0.5, 1]", "{epochs: 1}", "[{epochs: 1}]", "\x00",
    "\u202e", "010", "{shift: -1}", "{randaugment: 3}", "[body, '*']", "{logits: nan}", "|\n  x",
]  # fmt: skip


def mutated(text: str, draw: random.Random) -> str:
    lines = text.splitlines()
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(len(lines) + 1)
        match draw.randrange(5):
            case 0:
                lines.insert(at, f"{draw.choice(KEYS)}: {draw.choice(VALUES)}")
            case 1 if lines:
                del lines[min(at, len(lines) - 1)]
            case 2 if lines:
                line = lines[at % len(lines)]
                cut = draw.randrange(len(line) + 1)
                lines[at % len(lines)] = line[:cut] + draw.choice([*VALUES, *"{}[]:,#'\"\t -"]) + line[cut:]
            case 3 if lines:
                key = lines[at % len(lines)].partition(":")[0]
                lines[at % len(lines)] = f"{key}: {draw.choice(VALUES)}"
            case _:
                lines.insert(at, draw.choice(lines) if lines else "recipe: 1")
    return "\n".join(lines) + "\n"


def refusal(target: str, changes: dict[str, str]) -> SpecError | UsageError | None:
    try:
        recipe.load(target, changes)
    except (SpecError, UsageError) as error:
        return error
    return None


def tried(folder: Path, numbers: range) -> tuple[int, int]:
    """How many were read and how many refused."""
    read = refused = 0
    for number in numbers:
        draw = random.Random(number)
        path = write(folder, mutated(draw.choice(RECIPES), draw), "r.yaml")
        if (error := refusal(path, {})) is not None:
            assert isinstance(error, SpecError), number
            assert error.diagnostics, number
            assert all(one.span is not None and one.message for one in error.diagnostics), number
            refused += 1
        else:
            found = recipe.load(path)
            assert recipe.load(write(folder, found.text(), "again.yaml")) == found, number
            read += 1
        error = refusal("classify", {draw.choice(KEYS): draw.choice(VALUES)})
        assert error is None or "--set recipe" in str(error), number
    return read, refused


def test_mutated_recipes(tmp_path: Path) -> None:
    read, refused = tried(tmp_path, range(300))
    assert read > 20
    assert refused > 100


@pytest.mark.long
def test_many_mutated_recipes(tmp_path: Path) -> None:
    tried(tmp_path, range(300, 20_000))
