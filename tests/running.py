"""A small run that may be stopped at any step, and all that it leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

import cnnspec
from cnnspec import recipe
from cnnspec_torch import checkpoints, signed, training
from door import write
from forked import die

SPEC = """\
cnnspec: 1
name: small
input: {image: [N, 1, 8, 8]}
net:
  body: image -> conv(4, 3) -> batchnorm -> relu -> maxpool(2) -> flatten -> dropout(0.3)
  logits: body -> dense(10)
outputs: [logits]
heads: {logits: {classify: {}}}
"""
CHANGES = {
    "batch": "100",
    "ema": "0.9",
    "accumulate": "2",
    "clip": "1.0",
    "checkpoint_minutes": "1e-9",
    "phases": "[{epochs: 1, freeze: [body], optimizer: sgd, lr: 0.1, nesterov: true, schedule: inverse, decay: 0.1}, "
    "{epochs: 2, optimizer: adamw, lr: 0.01, weight_decay: 0.01, schedule: cosine, warmup: 0.5}]",
    "augment": "{shift: 1, rotate: 10, zoom: [0.9, 1.1]}",
    "mixup": "0.2",
}
TIMES = ("seconds", "images_per_second", "waiting")


def learn(folder: Path, at: int | None = None, does: Any = die, resume: bool = False, workers: int = 0) -> None:
    """Train the small network; in step `at` something happens."""

    def report(event: dict[str, Any]) -> None:
        if event["event"] == "step":
            with (folder / "losses").open("a") as file:
                file.write(f"{event['step']} {event['loss']!r}\n")
            if event["step"] == at:
                does()

    torch.set_num_threads(1)
    folder.mkdir(exist_ok=True)
    graph = cnnspec.compile(write(folder.parent, SPEC, "small.yaml"))
    training.fit(
        graph,
        recipe.load("classify", CHANGES),
        folder,
        report,
        training.Machine("cpu", workers=workers),
        resume=resume,
    )


def state(folder: Path, step: int = 39) -> tuple[Any, ...]:
    """All that a run leaves, without its times."""
    graph, chosen = cnnspec.compile(folder / "spec.yaml"), recipe.load(str(folder / "recipe.yaml"))
    position, tensors, skipped = checkpoints.load(folder, graph, chosen)
    assert (position.step, skipped) == (step, [])
    rows = [{key: value for key, value in row.items() if key not in TIMES} for row in position.rows]
    best = (folder / "best.safetensors").read_bytes()
    logged = [line.split(",") for line in (folder / "metrics.csv").read_text().splitlines()]
    assert logged == [[*position.rows[0]], *([str(value) for value in row.values()] for row in position.rows)]
    return signed.digest(sorted(tensors.items())), rows, best, losses(folder)


def losses(folder: Path) -> dict[str, str]:
    """Each step's loss; one that was done again must have given the same."""
    found: dict[str, str] = {}
    for line in (folder / "losses").read_text().splitlines():
        step, loss = line.split()
        assert found.setdefault(step, loss) == loss, step
    return found
