"""Lowered networks against the library's with the same weights, eager, on the CPU: forward, and forward with backward.

Paired rounds in alternating order; the ratio is ours over theirs. Goal: the upper end of its 95 % interval at most
1.02. Four networks at 224 x 224; with `--zoo` every one that torchvision or timm has, at small sizes. Fast ones run
more rounds than asked for, until they fill some seconds.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from library import image, networks, pair, results, same
from measure import CLOCKS, Clock, Ratio, paired, parser, seconds, show
from torch import Tensor, nn

import cnnspec

GOAL = 1.02
MODELS = {"resnet34": 2, "vgg16": 1, "densenet121": 2, "mobilenet-v2": 4}
"""Networks and the batch of each."""
SMALL, USUAL = 96, 224
"""Pixels of the zoo, where a network leaves them free: the latter for networks of fewer MACs than LIGHT."""
LIGHT = 2.2e9
FILL, MOST = 3.0, 60
"""Seconds that the rounds are to fill, and how many may be run for that."""


Work = Callable[[], object]


def forward(model: nn.Module, x: Tensor) -> list[Tensor]:
    with torch.inference_mode():
        return results(model(x))


def step(model: nn.Module, x: Tensor) -> None:
    model.zero_grad(set_to_none=True)
    loss: Tensor = sum(y.square().mean() for y in results(model(x)))  # type: ignore[assignment]
    loss.backward()  # type: ignore[no-untyped-call]


def run(ours: Work, theirs: Work, rounds: int, clock: Clock) -> Ratio:
    ours(), theirs()
    fitting = int(FILL / (seconds(ours) + seconds(theirs)))
    return paired(ours, theirs, max(rounds, min(fitting, MOST)), 1, clock)


def measure(name: str, batch: int, least: int, rounds: int, clock: Clock) -> list[dict[str, object]]:
    torch.manual_seed(0)
    ours, theirs = pair(name)
    x = torch.randn(batch, *image(name, least))
    ours.eval(), theirs.eval()
    auxiliary = getattr(theirs, "aux_classifier", None)
    if auxiliary is not None:  # torchvision's segmentation networks run it in inference too
        theirs.aux_classifier = None  # type: ignore[assignment]
    difference = same(forward(ours, x)[0], forward(theirs, x)[0], name)
    alone = run(lambda: forward(ours, x), lambda: forward(theirs, x), rounds, clock)
    if auxiliary is not None:
        theirs.aux_classifier = auxiliary
    ours.train(), theirs.train()
    both = run(lambda: step(ours, x), lambda: step(theirs, x), rounds, clock)
    return [
        _row(name, tuple(x.shape), "forward", alone, difference),
        _row(name, tuple(x.shape), "forward, backward", both, None),
    ]


def _row(name: str, shape: tuple[int, ...], what: str, found: Ratio, difference: float | None) -> dict[str, object]:
    return {
        "network": name,
        "input": "x".join(map(str, shape)),
        "what": what,
        "ours ms": 1000 * found.ours,
        "theirs ms": 1000 * found.theirs,
        "ratio": found.ratio,
        "95 % low": found.low,
        "95 % high": found.high,
        "met": found.high <= GOAL,
        "difference": difference,
    }


def main() -> None:
    options = parser("lowered networks against the library's", rounds=20, clock=True)
    options.add_argument("--zoo", action="store_true", help="every network that torchvision or timm has, small")
    args = options.parse_args()
    wanted = {name: 1 if name.startswith("vgg") else 2 for name in networks()} if args.zoo else MODELS
    rows: list[dict[str, object]] = []
    for name, batch in wanted.items():
        if not args.only or args.only in name:
            heavy = args.zoo and cnnspec.compile(name).cost().macs > LIGHT
            rows += measure(name, batch, SMALL if heavy else USUAL, args.rounds, CLOCKS[args.clock])
    show("torch_speed", rows, args.json)


if __name__ == "__main__":
    main()
