"""Second half of `make demo`: says what the training came to, and writes some held-out digits out as PNG files."""

import json
import sys
from pathlib import Path

from PIL import Image

from cnnspec import datasets, recipe
from cnnspec.datasets.digits import digits

WANTED = 0.98

folder = Path(sys.argv[1])
result = json.loads((folder / "train.jsonl").read_text(encoding="utf-8").splitlines()[-1])["data"]
found = result["test"]["top1"]
right = round(found * result["test_images"])
print(f"learned in {result['seconds']:.1f} s; of the held-out digits {right} of {result['test_images']} are read right")
print(f"that is {found:.2%}, at least {WANTED:.0%} are wanted")
pixels, classes = digits()
held_out = datasets.split(classes, (recipe.load("classify").split.test,), recipe.load("classify").split_seed)[0]
for position in held_out[:5]:
    Image.fromarray(pixels[position][..., 0]).save(folder / f"digit-{classes[position]}-{position}.png")
sys.exit(0 if found >= WANTED else 1)
