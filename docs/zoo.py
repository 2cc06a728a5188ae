"""Writes docs/zoo.md from the shipped specs: `python docs/zoo.py`."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from statistics import median_low

import cnnspec
from cnnspec import files, zoo
from cnnspec_torch.naming import shipped_maps

HEAD = """\
# The zoo

Written by `python docs/zoo.py` from the specs in `specs/`, whose first lines say more of their sources. MACs are
multiply-accumulates of convolutions and dense layers on one input of the typical size. Where training has outputs of
its own, its parameters stand in brackets. Each network that learns is held to a second implementation with the same
weights: outputs, loss, every gradient, and every number after a step of training agree to 1e-8 in float64. That peer is
torchvision's or timm's network, or one in plain PyTorch written from the source. `weights` are published ones, for
`--weights NAME`.

| spec | source | parameters | input | MACs | lines | peer | weights |
|---|---|---|---|---|---|---|---|
"""


def page() -> str:
    peers = {spec: found.peer for found in shipped_maps() for spec in found.specs}
    rows = [row(name, peers.get(name, "plain PyTorch")) for name in zoo.names()]
    return HEAD + "\n".join(rows) + "\n\n" + sharing(zoo.names())


def row(name: str, peer: str) -> str:
    graph = cnnspec.compile(name)
    cost = graph.cost()
    params, training = cost.params.trainable, cost.params.training_total
    inputs = ", ".join("x".join(map(str, r.shape[1:])) for r in cost.rows if r.path in graph.inputs)
    bracket = f" ({training:,})" if training != params else ""
    cells = (name, source(graph.about), f"{params:,}{bracket}", inputs, f"{cost.macs:,}", str(lines(name)), peer)
    cells = (*cells, ", ".join(graph.weights))
    return f"| {' | '.join(cells)} |"


def source(about: str) -> str:
    """Title, authors and year."""
    found = re.match(r".*?\b(19|20)\d\d\b", about)
    return found[0] if found else about


@cache
def lines(name: str) -> int:
    """Of the network: where published weights are is no part of it."""
    text = (zoo.folder() / f"{name}.yaml").read_text(encoding="utf-8")
    return len(text.partition("\nweights:")[0].splitlines())


def behind(name: str) -> set[str]:
    """The specs that one extends or uses, theirs included."""
    document = files.load(name).document
    named = {Path(target).stem for target in (document.extends, *document.use.values()) if target}
    return named.union(*map(behind, named))


def sharing(names: list[str]) -> str:
    """What stands below the table."""
    longest = max(names, key=lines)
    written = sum(map(lines, names))
    copied = written + sum(lines(other) for name in names for other in behind(name))
    return f"""\
The longest spec is {longest} with {lines(longest)} lines; the median has {median_low(map(lines, names))}. If every file
held what it extends and uses as a copy, these {len(names)} specs would have {copied:,} lines. They have {written:,}:
{1 - written / copied:.0%} of the lines are shared, not written.
"""


if __name__ == "__main__":
    Path(__file__).with_name("zoo.md").write_text(page(), encoding="utf-8")
