"""`cnnspec`, noting the samples of each step; a process gets a signal before a step where AT=PROCESS,STEP,SIGNAL says
so. Lightning starts it anew, as it would the command, for every further process."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from cnnspec.__main__ import main
from cnnspec.ranks import rank
from cnnspec_torch.network import Network


def noted(folder: Path) -> dict[int, list[list[int]]]:
    """By step the samples of each process."""
    found: dict[int, list[list[int]]] = {}
    for path in sorted(folder.glob("seen-*")):
        for line in path.read_text().splitlines():
            step, samples = json.loads(line)
            found.setdefault(step, []).append(samples)
    return found


def run(*args: str) -> int:
    """The command, its steps noted in the working folder; gives the exit code."""
    taken = Network.training_step
    process, at, number = map(int, os.environ.get("AT", "-1,0,0").split(","))

    def step(self: Network, batch: Any, index: int) -> None:
        with Path(f"seen-{rank()}").open("a") as file:
            file.write(json.dumps([self.position.step + 1, batch[1]["index"].tolist()]) + "\n")
        if (rank(), self.position.step + 1) == (process, at):
            os.kill(os.getpid(), number)
        taken(self, batch, index)

    Network.training_step = step  # type: ignore[method-assign]
    return main([*args])


if __name__ == "__main__":
    sys.exit(run(*sys.argv[1:]))
