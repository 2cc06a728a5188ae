"""What making an ONNX file takes and how large it is, beside torch's two exporters on torchvision's network.

`--part time`: from a spec's name to the model, without weights and with them in a file, the spec compiled each time;
theirs begins with the network built. Goals: without weights at most 1/50 of the exporter that `dynamo=True` chooses and
1/10 of the old one, with weights 1/12 and 1/3. `--part size`: ours, optimized, at most 1 % larger than either.
"""

from __future__ import annotations

from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import torch
from exported import EXPORTERS, export, graph_alone, save, size, write
from library import image, pair
from measure import compared, parser, show_parts, together

import cnnspec

GOALS = {
    ("graph alone", "dynamo"): 50,
    ("graph alone", "old"): 10,
    ("with weights", "dynamo"): 12,
    ("with weights", "old"): 3,
}
"""How many times as fast ours is to be."""
LARGER = 1.01


def times(name: str, rounds: int) -> list[dict[str, object]]:
    ours, theirs = (module.eval() for module in pair(name))
    state, x = ours.state_dict(), torch.randn(1, *image(name, 224))
    with TemporaryDirectory() as folder:
        works = {
            "compile": lambda: cnnspec.compile(name),
            "graph alone": lambda: graph_alone(name),
            "with weights": lambda: save(name, state, Path(folder) / "ours.onnx"),
            "dynamo": lambda: export(theirs, x, Path(folder) / "dynamo.onnx", dynamo=True),
            "old": lambda: export(theirs, x, Path(folder) / "old.onnx", dynamo=False),
        }
        took = together(works, rounds)
    rows: list[dict[str, object]] = []
    for (what, exporter), goal in GOALS.items():
        found = compared(took[exporter], took[what])
        rows.append(
            {
                "network": name,
                "what": what,
                "beside": exporter,
                "compile ms": 1000 * median(took["compile"]),
                "ours ms": 1000 * found.theirs,
                "theirs ms": 1000 * found.ours,
                "times as fast": found.ratio,
                "95 % low": found.low,
                "95 % high": found.high,
                "goal": goal,
                "met": found.ratio >= goal,
            }
        )
    return rows


def sizes(name: str) -> list[dict[str, object]]:
    ours, theirs = (module.eval() for module in pair(name))
    with TemporaryDirectory() as folder:
        paths = write(name, ours, theirs, torch.randn(1, *image(name, 224)), Path(folder))
        bytes = {what: size(path) for what, path in paths.items()}
    rows: list[dict[str, object]] = []
    for what, most in (("ours", None), ("ours optimized", LARGER)):
        for exporter in EXPORTERS:
            ratio = bytes[what] / bytes[exporter]
            met = None if most is None else ratio <= most
            row = {"network": name, "what": what, "beside": exporter, "bytes": bytes[what], "theirs": bytes[exporter]}
            rows.append({**row, "ratio": ratio, "goal": most, "met": met})
    return rows


def main() -> None:
    options = parser("making ONNX files, beside torch's exporters", rounds=10)
    options.add_argument("--part", choices=("time", "size"), help="only this part")
    options.add_argument("--all", action="store_true", help="ResNet-152 too")
    args = options.parse_args()
    names = [name for name in ("resnet34", *(["resnet152"] if args.all else [])) if not args.only or args.only in name]
    parts: dict[str, list[dict[str, object]]] = {}
    if args.part != "size":
        parts["time"] = [row for name in names for row in times(name, args.rounds)]
    if args.part != "time":
        parts["size"] = [row for name in names for row in sizes(name)]
    show_parts("onnx_export", parts, args.json)


if __name__ == "__main__":
    main()
