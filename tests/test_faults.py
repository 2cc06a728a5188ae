"""What stops a run: numbers that are not finite, too little memory, bad data."""

from __future__ import annotations

import re
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from cnnspec import recipe
from cnnspec.datasets import loading
from cnnspec.diagnostics import RunError
from cnnspec.front import compile_text
from cnnspec_torch import checkpoints, optimizing, signed, training
from cnnspec_torch.network import Network
from door import TINY, run, write
from forked import forked

Capture = pytest.CaptureFixture[str]
Fault = Callable[[Network, Any], Any]
GRAPH = compile_text(TINY)
CPU = training.Machine("cpu", workers=0)


def changes(**more: str) -> dict[str, str]:
    return {"epochs": "1", "batch": "100", "checkpoint_minutes": "1e-9", **more}


def quietly(event: dict[str, Any]) -> None:
    pass


# -- numbers that are not finite


def of_input(network: Network, batch: Any) -> Any:
    images, targets, whole = batch
    images = images.clone()
    images[3, 0, 2, 2] = torch.nan
    return images, targets, whole


def of_loss(network: Network, batch: Any) -> Any:
    task, _ = network.tasks[0]
    loss, step = task.loss, network.position.step

    def bad(outputs: Any, targets: Any) -> dict[str, Tensor]:
        found = loss(outputs, targets)
        return {name: part * torch.inf for name, part in found.items()} if network.position.step == step else found

    task.loss = bad  # type: ignore[method-assign]
    return batch


def of_weight(network: Network, batch: Any) -> Any:
    network.net.get_parameter("c2.conv.weight").data[0, 0, 0, 0] = torch.nan
    return batch


def of_gradient(network: Network, batch: Any) -> Any:
    step = network.position.step
    weight = network.net.get_parameter("c2.conv.weight")
    weight.register_hook(lambda grad: grad * torch.nan if network.position.step == step else grad)
    return batch


FAULTS: dict[str, tuple[Fault, str]] = {
    "input": (of_input, r"the loss is nan at STEP; it begins at the input; samples \d+"),
    "loss": (of_loss, r"the loss is inf at STEP; it begins at the loss itself; samples (\d+, ){8}\.\.\."),
    "weight": (
        of_weight,
        r"the loss is nan at STEP; it begins at the weight c2\.conv\.weight; samples (\d+, ){8}\.\.\.",
    ),
    "gradient": (
        of_gradient,
        r"a gradient is not finite at STEP; it begins at the gradient of c2\.conv\.weight; samples (\d+, ){8}\.\.\.",
    ),
}
STEP = r"step 7, epoch 1, learning rate 0\.00\d+"


def at_step_7(
    monkeypatch: pytest.MonkeyPatch, fault: Fault, around: Callable[[Network], None] = lambda net: None
) -> None:
    taken = Network.training_step

    def step(self: Network, batch: Any, index: int) -> None:
        number = self.position.step + 1
        batch = fault(self, batch) if number == 7 else batch
        if number == 7:
            around(self)
        taken(self, batch, index)
        if number == 7:
            around(self)

    monkeypatch.setattr(Network, "training_step", step)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(("fault", "said"), FAULTS.values(), ids=FAULTS)
def test_a_number_that_is_not_finite_stops_the_run_in_its_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Fault, said: str, precision: str
) -> None:
    at_step_7(monkeypatch, fault)
    chosen = recipe.load("classify", changes(precision=precision))
    with pytest.raises(RunError) as caught:
        training.fit(GRAPH, chosen, tmp_path, quietly, CPU)
    assert re.fullmatch(said.replace("STEP", STEP), caught.value.message), caught.value.message
    assert (caught.value.exit_code, caught.value.help) == (4, "try a lower rate: --set recipe.lr=0.0004")
    assert newest(tmp_path) == 6


def newest(folder: Path) -> int:
    """The step of the newest checkpoint, whose numbers are finite."""
    position, tensors, skipped = checkpoints.load(folder, GRAPH, recipe.load(str(folder / "recipe.yaml")))
    assert skipped == []
    assert all(torch.isfinite(tensor).all() for tensor in tensors.values())
    return position.step


RARELY: tuple[dict[str, str], ...] = ({}, {"checkpoint_minutes": "10"})
"""A spoilt weight is found when the next checkpoint is due, or after some steps."""


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", FAULTS)
def test_a_skipped_step_changes_no_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, precision: str
) -> None:
    states: list[str] = []

    def around(network: Network) -> None:
        made = optimizing.named_state(network.net, network._optimizer())
        assert network.average is not None
        kept = {f"average {key}": tensor for key, tensor in network.average.kept.items()}
        states.append(signed.digest(sorted({**network.net.state_dict(), **made, **kept}.items())))

    at_step_7(monkeypatch, FAULTS[name][0], around)
    events: list[dict[str, Any]] = []
    often = changes(precision=precision, on_nan="skip", ema="0.9", batch="50")
    chosen = recipe.load("classify", often | RARELY[name == "weight"])

    def fit() -> None:
        training.fit(GRAPH, chosen, tmp_path, events.append, CPU)

    if name == "weight":  # there is no mending it
        with pytest.raises(RunError, match=r"the loss is nan at step 17, .* begins at the weight c2\.conv\.weight"):
            fit()
    else:
        fit()
        assert newest(tmp_path) == 26
    assert len(states) == 2
    assert states[0] == states[1]
    said = [event["message"] for event in events if event["event"] == "warning"]
    assert re.fullmatch(FAULTS[name][1].replace("STEP", STEP) + ": the step is skipped", said[0])
    assert len(said) == 1 or name == "weight"


def test_a_step_that_spoils_the_weights_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = torch.optim.Adam.step

    def spoiled(self: Any, *args: Any, **options: Any) -> Any:
        result = step(self, *args, **options)
        weight = self.param_groups[0]["params"][0]
        if self.state[weight]["step"] == 7:
            weight.data[0] = torch.inf
        return result

    monkeypatch.setattr(torch.optim.Adam, "step", spoiled)
    with pytest.raises(RunError) as caught:
        training.fit(GRAPH, recipe.load("classify", changes()), tmp_path, quietly, CPU)
    said = "a number of c1.conv.weight is not finite after step 7; no checkpoint was written"
    assert caught.value.message == said
    assert newest(tmp_path) == 6


@pytest.mark.parametrize(
    ("more", "help"),
    [
        ({}, "try a lower rate: --set recipe.lr=0.0004"),
        ({"phases": "[{lr: 0.004}]"}, "try a lower rate: phase 1 of the recipe has lr 0.004"),
    ],
)
def test_a_validation_loss_that_is_not_finite_is_named_with_the_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: dict[str, str], help: str
) -> None:
    taken = Network.training_step

    def step(self: Network, batch: Any, index: int) -> None:
        taken(self, batch, index)
        if self.position.step == self.order.steps:
            of_weight(self, batch)

    monkeypatch.setattr(Network, "training_step", step)
    with pytest.raises(RunError) as caught:
        training.fit(GRAPH, recipe.load("classify", changes(checkpoint_minutes="10", **more)), tmp_path, quietly, CPU)
    assert caught.value.message == "the validation loss is nan after epoch 1, learning rate up to 0.004"
    assert caught.value.help == help


# -- too little memory

WIDE = """\
cnnspec: 1
name: wide
input: {image: [N, 1, 8, 8]}
net: {logits: "image -> conv(512, 3) -> relu -> global_avgpool -> dense(10)"}
outputs: [logits]
heads: {logits: {classify: {}}}
"""


def test_memory_that_runs_out_is_named_with_a_batch_that_should_fit(tmp_path: Path) -> None:
    graph = compile_text(WIDE)
    chosen = recipe.load("classify", changes(batch="600"))

    def report(event: dict[str, Any]) -> None:
        if event["event"] == "step" and event["step"] == 1:
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            limit = pages * resource.getpagesize() + 2**26  # a map of 600 images takes 79 MB
            resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))

    def work() -> None:
        with pytest.raises(RunError) as caught:
            training.fit(graph, chosen, tmp_path, report, CPU)
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        found = re.fullmatch(
            r"a step of 600 images found too little memory at step 2, epoch 1; samples (\d+, ){8}\.\.\.: .+",
            caught.value.message,
        )
        assert found, caught.value.message
        assert "[enforce fail" not in caught.value.message
        assert caught.value.help == "--set recipe.batch=300 should fit"

    assert forked(work) == 0
    position, _, _ = checkpoints.load(tmp_path, graph, recipe.load(str(tmp_path / "recipe.yaml")))
    assert position.step == 1


def test_a_full_accelerator_is_named(capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(network: Network, batch: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.\nGPU 0 has a capacity of 15 GiB")

    at_step_7(monkeypatch, full)
    options = [text for key, value in changes().items() for text in ("--set", f"recipe.{key}={value}")]
    answer = run(capsys, "train", write(tmp_path, TINY), "-o", str(tmp_path / "run"), *options, "--device", "cpu")
    assert answer.code == 4
    first, second = answer.err.splitlines()[-2:]
    assert first.startswith("error: a step of 100 images found too little memory at step 7, epoch 1; samples ")
    assert first.endswith(", ...: CUDA out of memory. Tried to allocate 20.00 GiB.")
    assert second == "  help: --set recipe.batch=50 should fit"
    assert newest(tmp_path / "run") == 6


# -- bad data


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """320 pictures of two classes."""
    random = np.random.default_rng(0)
    for number in range(320):
        folder = tmp_path / "photos" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (8, 12), np.uint8)).save(folder / f"{number:03}.png")
    return tmp_path / "photos"


def corrupt(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:40])


def fit_photos(photos: Path, workers: int, report: Callable[[dict[str, Any]], None] = quietly) -> dict[str, list[Any]]:
    """Train on the pictures, as many at a time as tell their order: by epoch the pictures in theirs."""
    graph = compile_text(TINY.split("expect:")[0], classes=2)
    chosen = recipe.load("classify", {"data": str(photos), "on_bad_sample": "skip", "epochs": "2", "batch": "20"})
    given = training.prepare(graph, chosen, "cpu")
    seen: list[str] = []
    taken = Network.training_step

    def step(self: Network, batch: Any, index: int) -> None:
        seen.extend(given.training.place(position) for position in batch[1]["index"].tolist())
        taken(self, batch, index)

    folder = photos.parent / f"run-{workers}-{len(given.training)}"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Network, "training_step", step)
        training.fit(graph, chosen, folder, report, training.Machine("cpu", workers=workers), given)
    half = len(seen) // 2
    return {"seen": [seen[:half], seen[half:]], "warnings": given.warnings}


def test_a_bad_sample_left_out_leaves_the_others_order(photos: Path) -> None:
    whole = fit_photos(photos, 0)
    chosen = [Path(path) for path in whole["seen"][0]]
    bad = chosen[5:8]
    for path in bad:
        corrupt(path)
    for workers in (0, 2):
        fewer = fit_photos(photos, workers)
        # the last batch of an epoch, too small for its rest, may end elsewhere
        for some, all_ in zip(fewer["seen"], whole["seen"], strict=True):
            kept = [one for one in all_ if Path(one) not in bad]
            assert some == kept[: len(some)]
            assert len(some) >= len(kept) - 2
        (warning,) = fewer["warnings"]
        assert warning.startswith("3 of 320 samples are left out; the first: ")
    corrupt(chosen[8])
    with pytest.raises(
        RunError, match=r"4 of 320 samples are bad, more than 1%; the first: .*\.png: .*\(sample \d+ of"
    ):
        fit_photos(photos, 0)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_that_goes_bad_after_it_was_checked_is_named(
    photos: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setattr(loading, "free_memory", lambda: 0)  # decoded anew in each epoch

    def report(event: dict[str, Any]) -> None:
        if event["event"] == "epoch":
            for path in photos.glob("*/*.png"):
                corrupt(path)

    with pytest.raises(RunError) as caught:
        fit_photos(photos, workers, report)
    assert re.match(rf"{re.escape(str(photos))}/[ab]/\d+\.png: ", caught.value.message), caught.value.message
    assert "Traceback" not in str(caught.value)
    assert "\n" not in caught.value.message
