"""What to say where a run fails: numbers that are not finite, memory that does not suffice, workers that die."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from cnnspec.diagnostics import RunError
from cnnspec_torch import room

if TYPE_CHECKING:
    from cnnspec.graph import Graph
    from cnnspec.recipe import Recipe
    from cnnspec_torch.batches import Loaded
    from cnnspec_torch.network import Network

SHOWN = 8
NO_MEMORY = ("out of memory", "not enough memory", "allocate memory", "bad_alloc")
ALONE = "--workers 0 reads in this process"


def not_finite(network: Network, batch: Loaded, rate: float, loss: Tensor) -> str:
    """What of a step is not finite, and where it began: the forward pass is run once more to see."""
    images, targets, _ = batch
    position = network.position
    bad = torch.isfinite(loss).logical_not()
    what = f"the loss is {float(loss)}" if bad else "a gradient is not finite"
    samples: list[int] = targets["index"].tolist()
    if not (good := torch.isfinite(images).flatten(1).all(1)).all():
        samples = [one for one, is_good in zip(samples, good.tolist(), strict=True) if not is_good]
    where = first_bad(network, images) or ("the loss itself" if bad else _bad_gradient(network.net))
    return (
        f"{what} at step {position.step + 1}, epoch {position.epoch + 1}, learning rate {rate:.3g}; "
        f"it begins at {where}; samples {listed(samples)}"
    )


def lower_rate(recipe: Recipe, phase: int) -> str:
    """The way out where numbers of a phase are not finite."""
    if recipe.phases and (own := recipe.phases[phase].lr) is not None:
        return f"try a lower rate: phase {phase + 1} of the recipe has lr {own:g}"
    return f"try a lower rate: --set recipe.lr={recipe.lr / 10:g}"


def listed(samples: list[int]) -> str:
    return ", ".join(map(str, samples[:SHOWN])) + (", ..." if len(samples) > SHOWN else "")


def first_bad(network: Network, images: Tensor) -> str | None:
    """Where numbers cease to be finite: the input, a weight, or the first node whose result is not, as they run."""
    if not torch.isfinite(images).all():
        return "the input"
    for name, parameter in network.net.named_parameters():
        if not torch.isfinite(parameter).all():
            return f"the weight {name}"
    found: list[str] = []
    paths = {module: path for path, module in network.net.named_modules()}

    def look(module: nn.Module, given: object, result: object) -> None:
        if isinstance(result, Tensor) and not found and not torch.isfinite(result).all():
            found.append(paths[module])

    leaves = [module for module in network.net.modules() if not [*module.children()]]
    hooks = [module.register_forward_hook(look) for module in leaves]
    try:
        with torch.no_grad(), network._cast():
            network.net(images)
    finally:
        for hook in hooks:
            hook.remove()
    return f"node {found[0]}" if found else None


def _bad_gradient(net: nn.Module) -> str | None:
    for name, parameter in net.named_parameters():
        if parameter.grad is not None and not torch.isfinite(parameter.grad).all():
            return f"the gradient of {name}"
    return None


def explained(error: BaseException, graph: Graph, recipe: Recipe, awaited: str) -> RunError | None:
    """The failure of a library as a user can mend it; None for any other. `awaited` says what was to be done."""
    text = str(error)
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)) or any(said in text for said in NO_MEMORY):
        said = re.sub(r"^\[enforce fail [^\]]*\]( err == 0)?\.? *", "", text.strip() or "out of memory").splitlines()[
            0
        ][:200]
        message = f"a step of {recipe.batch} images found too little memory {awaited}: {said}"
        return RunError(message, room.fitting(graph, recipe, room.allowed()))
    if found := re.search(
        r"DataLoader worker \(pid\(?s?\)? ?([0-9, ]+)\).*?(killed by signal: [^.]+|unexpectedly)", text
    ):
        ended = "ended" if found[2] == "unexpectedly" else f"was {found[2].strip()}"
        why = "often the memory or /dev/shm is full"
        return RunError(f"the data worker {found[1]} {ended} {awaited}; {why}", ALONE)
    if found := re.search(r"DataLoader timed out after (\d+)", text):
        return RunError(f"no data worker answered for {found[1]} s {awaited}; one may hang or have been stopped", ALONE)
    if "gloo" in text or "NCCL" in text or "Connection closed by peer" in text:
        return RunError(f"another process of this run has ended {awaited}: {text.splitlines()[0][:200]}")
    return None
