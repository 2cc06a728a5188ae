"""What a pretrained body is worth: digits 5 to 9 from 20 images each, with a body that knows 0 to 4 and without.

scikit-learn's digits, or MNIST's. The body learns 0 to 4 from all of their training images. Then, for each seed, the
same network learns 5 to 9: from nothing for 40 epochs; and on that body, its head alone for 20 epochs and all of it at
a lower rate for 20 more. Judged on the same 30 % of the digits 5 to 9.
Every step is a command of `cnnspec`, which is printed.

    python benchmarks/transfer.py --seeds 3
    python benchmarks/transfer.py --seeds 3 --mnist DIR
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from cnnspec.datasets import idx

BODY = """\
cnnspec: 1
name: old-digits
input: {image: [N, 1, SIZE, SIZE]}
blocks:
  stage(filters): x -> conv(filters, 3, bias=false) -> batchnorm -> relu -> maxpool(2)
net:
  features: image -> stage(16) -> stage(32) -> stage(64) -> flatten
  logits:   features -> dense(5)
outputs: [logits]
heads: {logits: {classify: {}}}
"""
HEAD = """\
cnnspec: 1
name: new-digits
input: {image: [N, 1, SIZE, SIZE]}
use: {old: old.yaml}
net:
  body:   image -> old
  logits: body.features -> dense(5)
outputs: [logits]
heads: {logits: {classify: {}}}
"""
FROZEN = """\
recipe: 1
augment: {shift: 2}
batch: 20
phases:
  - {epochs: 20, lr: 0.004, freeze: [body]}
  - {epochs: 20, lr: 0.001}
"""
EACH = 20
"""Images of a class to learn from."""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--mnist", type=Path, help="a folder with MNIST/raw; scikit-learn's digits unless given")
    options.add_argument("--json", action="store_true")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, given.mnist)
        known = train(folder, "old.yaml", "-o", "body", "--data", "old/", "--epochs", "3" if given.mnist else "20")
        rows = [(seed, *both(folder, seed)) for seed in range(given.seeds)]
    means = [statistics.fmean(column) for column in list(zip(*rows, strict=True))[1:]]
    if given.json:
        print(json.dumps({"benchmark": "transfer", "old": known, "rows": rows, "means": means}))
        return
    print(f"digits 0 to 4, the body: {known:.2%}")
    for seed, alone, moved in rows:
        print(f"seed {seed}: digits 5 to 9 from nothing {alone:.2%}, on that body {moved:.2%}")
    print(f"means: {means[0]:.2%} and {means[1]:.2%}")


def write(folder: Path, mnist: Path | None) -> None:
    """Specs, the recipe, and the digits in two folders of arrays."""
    for name, text in (("old.yaml", BODY), ("new.yaml", HEAD), ("frozen.yaml", FROZEN)):
        (folder / name).write_text(text.replace("SIZE", "28" if mnist else "16"), encoding="utf-8")
    random = np.random.default_rng(0)
    if mnist:
        pixels, classes = (
            idx.read(mnist / f"MNIST/raw/train-{what}-ubyte.gz") for what in ("images-idx3", "labels-idx1")
        )
    else:
        bunch = load_digits()
        pixels, classes = np.rint(bunch.images * (255 / 16)).astype(np.uint8), bunch.target
    for name, first in (("old", 0), ("new", 5)):
        (folder / name).mkdir()
        mine = random.permutation(np.flatnonzero((classes >= first) & (classes < first + 5)))
        test, validation, rest = np.split(mine, [int(0.3 * len(mine)), int(0.4 * len(mine))])
        if name == "new":
            rest = np.concatenate([rest[classes[rest] == one][:EACH] for one in range(5, 10)])
        for part, some in (("train", rest), ("val", validation), ("test", test)):
            np.save(folder / name / f"{part}-images.npy", pixels[some])
            np.save(folder / name / f"{part}-labels.npy", classes[some].astype(np.int64) - first)


def both(folder: Path, seed: int) -> tuple[float, float]:
    """The share of digits 5 to 9 that is read right: from nothing, and on the body."""
    how = ("--data", "new/", "--seed", str(seed))
    alone = train(folder, "new.yaml", "-o", f"alone-{seed}", *how, "--epochs", "40", "--set", "recipe.batch=20")
    body = ("--weights", "body=body/best.safetensors", "--recipe", "./frozen.yaml")
    return alone, train(folder, "new.yaml", "-o", f"moved-{seed}", *how, *body)


def train(folder: Path, spec: str, *options: str) -> float:
    """Run `cnnspec train`; the share of the held-out images that is read right."""
    command = ["cnnspec", "train", f"./{spec}", *options, "--device", "cpu", "--json"]
    print(" ".join(command), file=sys.stderr)
    done = subprocess.run([sys.executable, "-m", *command], cwd=folder, stdout=subprocess.PIPE, text=True, timeout=3600)
    if done.returncode:
        sys.exit(done.stdout)
    return float(json.loads(done.stdout.splitlines()[-1])["data"]["test"]["top1"])


if __name__ == "__main__":
    main()
