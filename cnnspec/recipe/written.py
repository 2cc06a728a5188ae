"""Values as the YAML of a recipe."""

from __future__ import annotations

import json
import re


def flow(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{written(key)}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return written(value) if isinstance(value, str) else str(value)


def written(text: str) -> str:
    """A text as YAML reads it back; quoted where it could be something else."""
    plain = re.fullmatch(r"[a-z_][a-z0-9_]*", text) and text not in ("true", "false", "null")
    return text if plain else json.dumps(text, ensure_ascii=False)
