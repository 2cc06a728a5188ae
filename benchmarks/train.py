"""A training step of ours beside plain PyTorch loops, step by step in turn; and the share of it that waits for data.

ResNet-34 at batch 16 and 224 pixels, SGD with momentum, beside torchvision's network in a plain loop (eager, NCHW, and
channels_last). LeNet-5 at batch 64, Adam, beside a plain loop over the same network with the same loader; so yolo-small
and an FCN at batch 16, AdamW, on the built-in scenes, with the product's own losses in both loops. Each round is
one step of each; ours is a step as `cnnspec train` takes it, from the end of the one before to its own end. With
`--keras`, an interpreter that has Keras on TensorFlow: a step of its ResNet-34 too, and epochs of LeNet-5 beside ours.

    python benchmarks/train.py --rounds 12 --keras PYTHON
    python benchmarks/train.py --only lenet5 --rounds 900 --data mnist --data-root DIR
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision
from measure import compared, parser, show
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import cnnspec
from cnnspec import recipe
from cnnspec.graph import Graph
from cnnspec.recipe import Recipe
from cnnspec_torch import batches, data, tasks, training
from cnnspec_torch.tasks import Targets

Step = Callable[[], object]
Work = Callable[[Path, int, Any], list[dict[str, object]]]


class Done(Exception):
    """Enough rounds."""


def main() -> None:
    options = parser(__doc__ or "", 12)
    options.add_argument("--data", help="for lenet5; random images unless given")
    options.add_argument("--data-root")
    options.add_argument("--keras", metavar="PYTHON", help="an interpreter that has Keras on TensorFlow")
    given = options.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, work in WORKS.items():
            if (given.only is None or given.only in name) and (given.keras or work is not epochs):
                (Path(folder) / name).mkdir()
                rows += work(Path(folder) / name, given.rounds, given)
    show("train", rows, given.json)


def resnet34(folder: Path, rounds: int, given: Any) -> list[dict[str, object]]:
    write_random(folder, 16 * (rounds + 2), 224, 3, 1000)
    graph = cnnspec.compile("resnet34")
    changes = {"data": f"{folder}/", "batch": "16", "optimizer": "sgd", "lr": "0.01", "epochs": "1", "augment": "{}"}
    made = recipe.load("classify", changes)
    images, classes = torch.randn(16, 3, 224, 224), torch.arange(16)
    peers: dict[str, Step] = {}
    for name, layout in (("NCHW", torch.contiguous_format), ("channels_last", torch.channels_last)):
        net = torchvision.models.resnet34().train().to(memory_format=layout)
        optimizer = torch.optim.SGD(net.parameters(), 0.01, momentum=0.9)
        peers[f"torchvision {name}"] = plain(net, optimizer, lambda x=images.to(memory_format=layout): (x, classes))
    if given.keras:
        peers["Keras"] = keras(given.keras, "resnet34")
    return together("resnet34, batch 16", graph, made, folder, peers, rounds)


def lenet5(folder: Path, rounds: int, given: Any) -> list[dict[str, object]]:
    if given.data is None:
        write_random(folder, 64 * (rounds + 2), 28, 1, 10)
    graph = cnnspec.compile("lenet5")
    changes = {"data": given.data or f"{folder}/", "batch": "64", "epochs": "1", "augment": "{}"}
    changes |= {"data_root": given.data_root} if given.data_root else {}
    made = recipe.load("classify", changes)
    ready = training.prepare(graph, made, "cpu")
    net = graph.lower("torch")
    stream = ((images, targets["classes"]) for images, targets in endless(ready, made, "classes", (32, 32)))
    adam = torch.optim.Adam(net.parameters(), 0.004)
    peers = {"plain loop, same loader": plain(net, adam, lambda: next(stream))}
    return together("lenet5, batch 64", graph, made, folder, peers, rounds, ready)


def scenes(name: str, kind: str, truth: str, folder: Path, rounds: int) -> list[dict[str, object]]:
    graph = cnnspec.compile(Path(__file__).parent / "specs" / f"{name}.yaml")
    made = recipe.load(kind, {"epochs": "1"})
    ready = training.prepare(graph, made, "cpu")
    net, ((task, _),) = graph.lower("torch").train(), tasks.of(graph, made)
    sizes = graph.at().nodes["image"].type.concrete
    stream = endless(ready, made, truth, (sizes[2], sizes[3]))
    optimizer = torch.optim.AdamW(net.parameters(), made.lr)

    def step() -> None:
        images, targets = next(stream)
        optimizer.zero_grad()
        found = net(images)
        outputs = found if isinstance(found, dict) else {graph.outputs[0].name: found}
        torch.stack([*task.loss(outputs, targets).values()]).sum().backward()
        optimizer.step()

    return together(
        f"{name}, batch {made.batch}", graph, made, folder, {"plain loop, same loader": step}, rounds, ready
    )


def epochs(folder: Path, rounds: int, given: Any) -> list[dict[str, object]]:
    """Five epochs of ours on 57,000 images, without validation, and as many of Keras's, the first of each left out."""
    images = 57_000
    write_random(folder, images, 28, 1, 10)
    made = recipe.load("classify", {"data": f"{folder}/", "batch": "64", "epochs": "6", "augment": "{}"})
    ours: list[float] = []
    theirs: list[float] = []
    peer = keras(given.keras, "lenet5", str(images))

    def report(event: dict[str, Any]) -> None:
        if event["event"] == "epoch":
            ours.append(images / event["images_per_second"])
            start = time.perf_counter()
            peer()
            theirs.append(time.perf_counter() - start)

    (folder / "run").mkdir()
    training.fit(cnnspec.compile("lenet5"), made, folder / "run", report, training.Machine("cpu", workers=0))
    return [row("lenet5, an epoch of 57,000", "Keras", ours[1:], theirs[1:], waiting=None)]


def keras(python: str, *args: str) -> Step:
    """Works of another process, which waits meanwhile."""
    script = str(Path(__file__).with_name("peer_keras.py"))
    peer = subprocess.Popen([python, script, *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert peer.stdin is not None
    assert peer.stdout is not None
    asks, answers = peer.stdin, peer.stdout
    print(answers.readline(), end="", file=sys.stderr)

    def step() -> None:
        print("go", file=asks, flush=True)
        while answers.readline() != "done\n":
            assert peer.poll() is None, "Keras ended"

    return step


def write_random(folder: Path, number: int, size: int, channels: int, classes: int) -> None:
    """Images and labels in a layout that the product reads."""
    random = np.random.default_rng(0)
    for part, some in (("train", number), ("val", 8), ("test", 8)):
        np.save(folder / f"{part}-images.npy", random.integers(0, 256, (some, size, size, channels), np.uint8))
        np.save(folder / f"{part}-labels.npy", np.r_[classes - 1, random.integers(0, classes, some - 1)])


def endless(ready: data.Data, made: Recipe, truth: str, size: tuple[int, int]) -> Iterator[tuple[Tensor, Targets]]:
    order = batches.Order(ready.training, made.batch, seed=1)
    samples = batches.Samples(ready.training, made, ready.mean, ready.std, frozenset({truth}), size, 1)
    while True:
        for images, targets, _ in batches.loader(samples, order):
            yield images, targets


def plain(net: nn.Module, optimizer: torch.optim.Optimizer, batch: Callable[[], tuple[Tensor, Tensor]]) -> Step:
    def step() -> None:
        images, classes = batch()
        optimizer.zero_grad()
        loss = cross_entropy(net(images), classes)
        loss.backward()
        optimizer.step()

    return step


def together(
    name: str,
    graph: Graph,
    made: Recipe,
    folder: Path,
    peers: dict[str, Step],
    rounds: int,
    ready: data.Data | None = None,
) -> list[dict[str, object]]:
    """The peers take a step after each of ours, within the trainer's own loop."""
    ours: list[float] = []
    theirs: dict[str, list[float]] = {peer: [] for peer in peers}
    waiting = 0.0
    last = 0.0

    def report(event: dict[str, Any]) -> None:
        nonlocal last, waiting
        if event["event"] != "step":
            return
        now = time.perf_counter()
        if event["step"] > 1:  # the first of each warms up
            ours.append(now - last)
            waiting = event["waiting"]
        for peer, step in peers.items():
            start = time.perf_counter()
            step()
            if event["step"] > 1:
                theirs[peer].append(time.perf_counter() - start)
        if len(ours) == rounds:
            raise Done
        last = time.perf_counter()

    run = folder / "run"
    run.mkdir()
    with contextlib.suppress(Done):
        training.fit(graph, made, run, report, training.Machine("cpu", workers=0), ready)
    return [row(name, peer, ours, times, waiting) for peer, times in theirs.items()]


def row(
    name: str, peer: str, ours: Sequence[float], theirs: Sequence[float], waiting: float | None
) -> dict[str, object]:
    found = compared(ours, theirs)
    return {
        "work": name,
        "peer": peer,
        "ours ms": found.ours * 1000,
        "theirs ms": found.theirs * 1000,
        "ratio": found.ratio,
        "from": found.low,
        "to": found.high,
        "waiting": waiting,
    }


WORKS: dict[str, Work] = {
    "resnet34": resnet34,
    "lenet5": lenet5,
    "lenet5 epochs": epochs,
    "yolo-small": lambda folder, rounds, given: scenes("digits-scenes", "detect", "boxes", folder, rounds),
    "fcn": lambda folder, rounds, given: scenes("digits-masks", "segment", "masks", folder, rounds),
}

if __name__ == "__main__":
    main()
