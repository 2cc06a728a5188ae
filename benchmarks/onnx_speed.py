"""How fast our ONNX files run: every way of running a network once a round, with the same weights and images.

`--part files`: onnxruntime on ours, plain and optimized, beside it on the files of torch's two exporters and on what
onnxslim makes of those; goal: at most 1.02 of each, by the upper end of the 95 % interval. Theirs are of one size; ours
take every legal one, but for `fixed`. `--part torch`: beside torch itself, eager, channels last and compiled, on the
library's network, ours and ours optimized.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import onnxruntime
import torch
from exported import OURS, write
from library import image, pair, results, same
from measure import CLOCKS, Clock, Ratio, compared, parser, show_parts, together
from torch import Tensor, nn

import cnnspec

GOAL = 1.02
NETWORKS = ("resnet34", "googlenet-bn", "vgg16", "mobilenet-v2")
Run = Callable[[], Tensor]


def session(path: Path, x: Tensor, threads: int) -> Run:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    made = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    feed = {made.get_inputs()[0].name: x.numpy()}
    return lambda: torch.from_numpy(made.run(None, feed)[0])


def beside_files(name: str, x: Tensor, rounds: int, threads: int, clock: Clock) -> list[dict[str, object]]:
    ours, theirs = (module.eval() for module in pair(name))
    with TemporaryDirectory() as folder:
        paths = write(name, ours, theirs, x, Path(folder))
        runs = {what: session(path, x, threads) for what, path in paths.items()}
    took = agreed(name, runs, rounds, clock)
    rows: list[dict[str, object]] = []
    for what in OURS:
        for other in sorted(took.keys() - OURS):
            found = compared(took[what], took[other])
            rows.append({**_row(name, what, other, found), "met": found.high <= GOAL})
    return rows


def beside_torch(name: str, x: Tensor, rounds: int, threads: int, clock: Clock) -> list[dict[str, object]]:
    ours, theirs = (module.eval() for module in pair(name))
    with TemporaryDirectory() as folder:
        paths = write(name, ours, theirs, x, Path(folder))
        runs = {f"{what}, onnxruntime": session(paths[what], x, threads) for what in OURS}
    graph, state = cnnspec.optimize(cnnspec.compile(name), ours.state_dict())
    optimized = graph.lower("torch").eval()
    optimized.load_state_dict(state)
    for what, model in (("ours", ours), ("ours optimized", optimized), ("library", theirs)):
        runs |= {f"{what}, {way}": run for way, run in ways(model, x).items()}
    took = agreed(name, runs, rounds, clock)
    return [_row(name, what, "library, eager", compared(took[what], took["library, eager"])) for what in took]


def ways(model: nn.Module, x: Tensor) -> dict[str, Run]:
    """The model eager, eager over maps whose channels come last, and compiled."""
    last = deepcopy(model).to(memory_format=torch.channels_last)
    x_last, compiled = x.to(memory_format=torch.channels_last), torch.compile(deepcopy(model))

    def run(of: Callable[[Tensor], Any], x: Tensor) -> Run:
        def forward() -> Tensor:
            with torch.inference_mode():
                return results(of(x))[0]

        return forward

    return {"eager": run(model, x), "channels last": run(last, x_last), "compiled": run(compiled, x)}


def agreed(name: str, runs: Mapping[str, Run], rounds: int, clock: Clock) -> dict[str, list[float]]:
    """The seconds of each, once all are seen to give the same."""
    expected = next(iter(runs.values()))()
    for what, run in runs.items():
        same(run(), expected, f"{name}: {what}")
    return together(runs, rounds, 2, clock)


def _row(name: str, what: str, other: str, found: Ratio) -> dict[str, object]:
    return {
        "network": name,
        "what": what,
        "beside": other,
        "ours ms": 1000 * found.ours,
        "theirs ms": 1000 * found.theirs,
        "ratio": found.ratio,
        "95 % low": found.low,
        "95 % high": found.high,
    }


def main() -> None:
    options = parser("running our ONNX files, beside others", rounds=12, clock=True)
    options.add_argument("--part", choices=("files", "torch"), help="only this part")
    options.add_argument("--all", action="store_true", help="beside torch: every network, not the first alone")
    options.add_argument("--batch", type=int, default=8, help="images at a time (8)")
    options.add_argument("--pixels", type=int, default=224, help="their sides, where a network leaves them free (224)")
    options.add_argument("--threads", type=int, default=1, help="threads of an operator (1)")
    args = options.parse_args()
    torch.set_num_threads(args.threads)
    parts = {"files": (beside_files, NETWORKS), "torch": (beside_torch, NETWORKS if args.all else NETWORKS[:1])}
    found: dict[str, list[dict[str, object]]] = {}
    for part, (measure, networks) in parts.items():
        for name in networks if args.part in (None, part) else ():
            if not args.only or args.only in name:
                torch.manual_seed(0)
                x = torch.randn(args.batch, *image(name, args.pixels))
                rows = measure(name, x, args.rounds, args.threads, CLOCKS[args.clock])
                found.setdefault(part, []).extend(rows)
    show_parts("onnx_speed", found, args.json)


if __name__ == "__main__":
    main()
