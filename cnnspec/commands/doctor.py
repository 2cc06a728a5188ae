"""`cnnspec doctor`: what is installed, and the exact command to get what is not. Works without torch."""

from __future__ import annotations

import platform
import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cnnspec import zoo
from cnnspec.commands.common import DebugFlag, JsonFlag, answer
from cnnspec.commands.table import Column, plain

_PROBE = """
import torch
print("cpu")
for i in range(torch.cuda.device_count()):
    print(f"cuda:{i} ({torch.cuda.get_device_name(i)})")
if torch.backends.mps.is_available():
    print("mps")
"""


def doctor(json: JsonFlag = False, debug: DebugFlag = False) -> int:
    data = {
        "python": platform.python_version(),
        "executable": sys.executable,
        "platform": platform.platform(),
        "cnnspec": _version("cnnspec"),
        "specs": {"folder": str(zoo.folder()), "count": len(zoo.names())},
        "extras": {name: _extra(name, packages) for name, packages in requirements().items()},
        "backends": _backends(),
        "devices": _devices(),
    }
    return answer("doctor", json=json, data=data, text=_text(data))


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _extra(name: str, packages: list[str]) -> dict[str, Any]:
    versions = {package: _version(package) for package in packages}
    missing = [package for package, found in versions.items() if found is None]
    target = "cnnspec" if name == "base" else f"'cnnspec[{name}]'"
    return {"present": not missing, "packages": versions, "install": f"pip install {target}" if missing else None}


def _backends() -> list[str]:
    from importlib.metadata import entry_points

    return sorted(point.name for point in entry_points(group="cnnspec.backends"))


def _devices() -> list[str]:
    """What torch can compute on, asked in a process of its own: a broken torch may do more than raise."""
    if find_spec("torch") is None:
        return []
    command = [sys.executable, "-c", _PROBE]
    try:
        ran = subprocess.run(
            command, capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return ran.stdout.splitlines() if ran.returncode == 0 else []


def requirements() -> dict[str, list[str]]:
    """Distributions by extra (`base` for none), from the installed package or the checkout's pyproject.toml."""
    try:
        listed = requires("cnnspec") or []
    except PackageNotFoundError:
        listed = _declared()
    found: dict[str, list[str]] = {"base": []}
    for text in listed:
        name = re.match(r"[A-Za-z0-9._-]+", text)
        extra = re.search(r"extra == ['\"]([^'\"]+)", text)
        if name and name[0] != "cnnspec":
            found.setdefault(extra[1] if extra else "base", []).append(name[0])
    return found


def _declared() -> list[str]:
    path = Path(__file__).resolve().parents[2] / "pyproject.toml"
    if not path.is_file():
        return []
    project = tomllib.loads(path.read_text(encoding="utf-8")).get("project", {})
    extras = project.get("optional-dependencies", {}).items()
    return [
        *project.get("dependencies", []),
        *(f"{text}; extra == '{extra}'" for extra, group in extras for text in group),
    ]


def _text(data: dict[str, Any]) -> str:
    head = [
        f"cnnspec {data['cnnspec'] or '(a checkout, not installed)'}, Python {data['python']} at {data['executable']}",
        f"on {data['platform']}",
        f"specs: {data['specs']['count']} in {data['specs']['folder']}",
        f"backends: {', '.join(data['backends']) or 'none'}",
        f"devices: {', '.join(data['devices']) or 'none that torch can reach'}",
    ]
    rows = []
    for name, extra in data["extras"].items():
        versions = ", ".join(f"{package} {found or 'missing'}" for package, found in extra["packages"].items())
        rows.append((name, "yes" if extra["present"] else "no", versions, extra["install"] or ""))
    table = plain((Column("extra"), Column("there"), Column("packages"), Column("to get it")), rows)
    return "\n".join([*head, "", table])
