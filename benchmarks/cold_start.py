"""From nothing to a summary: `cnnspec summarize specs/resnet152.yaml` in a fresh process.

Beside the imports alone of the libraries the compiler is built on (goal: at most 1.8 times that), and beside torchinfo
on torchvision's resnet152, also from a cold start.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from measure import options, paired, show

ROOT = Path(__file__).resolve().parents[1]
OURS = [sys.executable, "-m", "cnnspec", "summarize", str(ROOT / "specs" / "resnet152.yaml")]
IMPORTS = [sys.executable, "-c", "import yaml, pydantic, networkx, typer"]
TORCHINFO = [
    sys.executable,
    "-c",
    "import torchinfo, torchvision; torchinfo.summary(torchvision.models.resnet152(), (1, 3, 224, 224))",
]


ENV = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""pip writes the bytecode of what it installs; a checkout's is written by the first run."""


def run(command: list[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=ROOT, env=ENV)


def main() -> None:
    args = options("cold start of cnnspec summarize", rounds=25)
    peers = [("imports of yaml, pydantic, networkx, typer", IMPORTS, 1.8, args.rounds)]
    if find_spec("torchinfo") and find_spec("torchvision"):
        peers.append(("torchinfo on torchvision's resnet152", TORCHINFO, 1.0, max(3, args.rounds // 5)))
    rows: list[dict[str, object]] = []
    for name, command, goal, rounds in peers:
        if args.only and args.only not in name:
            continue
        ratio = paired(lambda: run(OURS), lambda other=command: run(other), rounds)  # type: ignore[misc]
        rows.append(
            {
                "beside": name,
                "ours s": ratio.ours,
                "theirs s": ratio.theirs,
                "ratio": ratio.ratio,
                "95 % low": ratio.low,
                "95 % high": ratio.high,
                "goal": goal,
                "met": ratio.ratio <= goal,
            }
        )
    show("cold_start", rows, args.json)


if __name__ == "__main__":
    main()
