"""What is learned: figures on the test parts, for the rows of docs/results.md; each of some seeds, and their means.

Every run is a command of `cnnspec` in benchmarks/specs, printed with its figures as it ends; nothing is downloaded.
Rows on data of a folder are left out where it is not told. `--jobs` runs go on at once, a thread each; unless told,
one, with all threads.

    python benchmarks/learned.py --only digits-
    python benchmarks/learned.py --mnist DIR --bccd DIR --camvid DIR --seeds 3 --jobs 2
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SPECS = Path(__file__).parent / "specs"
DATA = ("mnist", "bccd", "camvid")
OWN = "--set recipe.mean=[0] --set recipe.std=[1] --set recipe.margin=1 --set recipe.weight_decay=0.02"
"""What the network of 1998 needs besides the recipe: it scales its input itself; equation 9 of its paper."""
WORKS = {
    "digits-located": "./digits-located.yaml",
    "digits-scenes": "./digits-scenes.yaml",
    "digits-masks": "./digits-masks.yaml",
    "mnist, fashion-cnn": "fashion-cnn --recipe mnist --epochs 2",
    "mnist, LeNet-5 of today": "./lenet5-mnist.yaml --recipe mnist",
    "mnist, LeNet-5 of today, distorted": "./lenet5-mnist.yaml --recipe mnist-distorted",
    "mnist, LeNet-5 of 1998": f"lenet5-1998 --recipe mnist {OWN}",
    "mnist, LeNet-5 of 1998, distorted": f"lenet5-1998 --recipe mnist-distorted {OWN}",
    "bccd, yolo-small": "./bccd.yaml --recipe bccd",
    "camvid, FCN-32s": "./camvid-fcn32s.yaml --recipe ./camvid-recipe.yaml",
    "camvid, FCN-16s": "./camvid-fcn16s.yaml --recipe ./camvid-recipe.yaml",
    "camvid, FCN-8s": "./camvid-fcn8s.yaml --recipe ./camvid-recipe.yaml",
    "camvid, torchvision's FCN head": "./camvid-fcn-head.yaml --recipe ./camvid-recipe.yaml",
    "camvid, torchvision's LR-ASPP": "./camvid-lraspp.yaml --recipe ./camvid-recipe.yaml",
}
Figures = dict[str, float]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in DATA:
        options.add_argument(f"--{name}", type=Path, metavar="DIR")
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--jobs", type=int, default=0)
    options.add_argument("--only", default="", help="rows whose name holds this")
    options.add_argument("--set", action="append", default=[], metavar="NAME=V", help="for every run")
    options.add_argument("--json", action="store_true")
    given = options.parse_args()
    folders = {name: vars(given)[name].absolute() for name in DATA if vars(given)[name]}
    works = [name for name in WORKS if given.only in name and (name.split(",")[0] in {*folders} or "," not in name)]
    with ThreadPoolExecutor(max(1, given.jobs)) as pool:
        runs = [
            (
                name,
                [
                    pool.submit(train, command(name, folders, seed, given.set), given.jobs)
                    for seed in range(given.seeds)
                ],
            )
            for name in works
        ]
        rows = [row(name, [figures for one in some if (figures := one.result())]) for name, some in runs]
    print(json.dumps({"benchmark": "learned", "rows": rows}, indent=2) if given.json else "\n".join(map(str, rows)))
    sys.exit(any(len(one["runs"]) < given.seeds for one in rows))


def command(name: str, folders: dict[str, Path], seed: int, changes: list[str]) -> list[str]:
    data = name.split(",")[0]
    where = [("--data-root" if data == "mnist" else "--data"), f"{folders[data]}/"] if data in folders else []
    return [
        "cnnspec",
        "train",
        *shlex.split(WORKS[name]),
        *where,
        *(f"--set={one}" for one in changes),
        f"--seed={seed}",
    ]


def train(words: list[str], jobs: int) -> Figures | None:
    """One run: its figures on the test part, and the minutes that it learned; nothing where it failed."""
    environment = {**os.environ, **({"OMP_NUM_THREADS": "1"} if jobs else {})}
    with tempfile.TemporaryDirectory() as out:
        words = [*words, "--device", "cpu", "--json"]
        done = subprocess.run(
            [sys.executable, "-m", *words, "-o", f"{out}/run"],
            cwd=SPECS,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
    answer = json.loads(done.stdout.splitlines()[-1]) if done.stdout else {"ok": False}
    found = answer["data"]["test"] | {"minutes": answer["data"]["seconds"] / 60} if answer["ok"] else None
    print(f"{shlex.join(words)}: {found or done.stdout}", file=sys.stderr, flush=True)
    return found


def row(name: str, runs: list[Figures]) -> dict[str, object]:
    means = {figure: round(statistics.fmean(run[figure] for run in runs), 6) for figure in runs[0]} if runs else {}
    return {"work": name, "means": means, "runs": runs}


if __name__ == "__main__":
    main()
