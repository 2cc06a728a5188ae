"""Test errors on MNIST: LeNet-5 of today and of 1998, without distortions and with them, the means of some seeds.

Every run is a command of `cnnspec`, which is printed; nothing is downloaded. LeNet-5 of 1998 learns by the paper's own
loss (equation 9) and scales its input itself (ink 1.175, paper -0.1).

    python benchmarks/mnist.py DIR --seeds 3 --jobs 2
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent
OWN = ("--set", "recipe.mean=[0]", "--set", "recipe.std=[1]", "--set", "recipe.margin=1")
"""What the network of 1998 needs besides the recipe."""
NETWORKS = {
    "LeNet-5 of today": (str(HERE / "lenet5-mnist.yaml"), ()),
    "LeNet-5 of 1998": ("lenet5-1998", (*OWN, "--set", "recipe.weight_decay=0.02")),
}
RECIPES = {"without": "mnist", "with": "mnist-distorted"}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("root", type=Path, help="the folder that holds MNIST/raw")
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--jobs", type=int, default=1, help="runs at once, a thread each")
    options.add_argument("--only", default="", help="rows whose name holds this")
    options.add_argument("--json", action="store_true")
    given = options.parse_args()
    works = [(network, distortions) for network in NETWORKS for distortions in RECIPES]
    works = [work for work in works if given.only in f"{work[0]}, {work[1]} distortions"]
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(given.jobs) as pool:
        runs = [
            [pool.submit(train, Path(folder), given.root, *work, seed) for seed in range(given.seeds)] for work in works
        ]
        rows = [
            {"network": network, "distortions": distortions, "errors": [run.result() for run in some]}
            for (network, distortions), some in zip(works, runs, strict=True)
        ]
    if given.json:
        print(json.dumps({"benchmark": "mnist", "rows": rows}, indent=2))
        return
    for row in rows:
        errors = [f"{error:.2%}" for error in row["errors"]]
        mean = statistics.fmean(row["errors"])
        print(
            f"{row['network']}, {row['distortions']} distortions: {mean:.2%} of test digits wrong ({', '.join(errors)})"
        )


def train(folder: Path, root: Path, network: str, distortions: str, seed: int) -> float:
    """The part of MNIST's 10,000 test digits that is read wrong."""
    spec, changes = NETWORKS[network]
    run = folder / f"{network}-{distortions}-{seed}".replace(" ", "-")
    command = ["cnnspec", "train", spec, "--recipe", RECIPES[distortions], "--data-root", str(root)]
    command += [*changes, "--seed", str(seed), "-o", str(run), "--device", "cpu", "--json"]
    print(" ".join(command), file=sys.stderr, flush=True)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", *command], env=environment, stdout=subprocess.PIPE, text=True, timeout=7200
    )
    if done.returncode:
        sys.exit(done.stdout)
    return 1 - float(json.loads(done.stdout.splitlines()[-1])["data"]["test"]["top1"])


if __name__ == "__main__":
    main()
