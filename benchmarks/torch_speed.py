"""Lowered networks against torchvision's with the same weights, eager, on the CPU: forward, and forward with backward.

Paired rounds in alternating order; the ratio is ours over torchvision's. Goal: the upper end of its 95 % interval at
most 1.02.
"""

from __future__ import annotations

from typing import Any

import torch
import torchvision
from measure import CLOCKS, Clock, options, paired, show

import cnnspec

MODELS = {
    "resnet34": ("resnet34", 2),
    "vgg16": ("vgg16", 1),
    "densenet121": ("densenet121", 2),
    "mobilenet-v2": ("mobilenet_v2", 4),
}
"""Our name: torchvision's, and the batch."""


def pair(name: str) -> tuple[torch.nn.Module, torch.nn.Module]:
    """Our network and torchvision's, holding the same weights."""
    theirs = getattr(torchvision.models, MODELS[name][0])(weights=None)
    ours: torch.nn.Module = cnnspec.compile(name).lower("torch")
    cnnspec.load_weights(ours, theirs.state_dict(), names="torchvision")
    return ours, theirs


def forward(model: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        y: torch.Tensor = model(x)
    return y


def step(model: torch.nn.Module, x: torch.Tensor) -> None:
    model.zero_grad(set_to_none=True)
    model(x).square().mean().backward()


def measure(name: str, rounds: int, clock: Clock) -> list[dict[str, object]]:
    torch.manual_seed(0)
    ours, theirs = pair(name)
    x = torch.randn(MODELS[name][1], 3, 224, 224)
    ours.eval(), theirs.eval()
    difference = (forward(ours, x) - forward(theirs, x)).abs().max().item()
    rows = [
        _row(
            name, "forward", paired(lambda: forward(ours, x), lambda: forward(theirs, x), rounds, 3, clock), difference
        )
    ]
    ours.train(), theirs.train()
    both = paired(lambda: step(ours, x), lambda: step(theirs, x), rounds, 2, clock)
    return [*rows, _row(name, "forward, backward", both, None)]


def _row(name: str, what: str, found: Any, difference: float | None) -> dict[str, object]:
    return {
        "network": name,
        "batch": MODELS[name][1],
        "what": what,
        "ours ms": 1000 * found.ours,
        "torchvision ms": 1000 * found.theirs,
        "ratio": found.ratio,
        "95 % low": found.low,
        "95 % high": found.high,
        "met": found.high <= 1.02,
        "difference": difference,
    }


def main() -> None:
    args = options("lowered networks against torchvision's", rounds=20, clock=True)
    names = [name for name in MODELS if not args.only or args.only in name]
    show("torch_speed", [row for name in names for row in measure(name, args.rounds, CLOCKS[args.clock])], args.json)


if __name__ == "__main__":
    main()
