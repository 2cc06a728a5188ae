"""The colours of drawings: by the operator's family, or by a node's share of the whole network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cnnspec.commands.common import bytes_text, scaled
from cnnspec.cost import Row
from cnnspec.ops.base import AbstractOp

INK = "#1f2933"
FAINT = "#5b6773"
LINE = "#8a96a3"
RIM = "#cfd6de"
PAPER = "#ffffff"
CLUSTERS = ("#f5f7fa", "#eceff4", "#e4e8ef")
"""Fills of clusters by how deep they are."""


@dataclass(frozen=True)
class Paint:
    fill: str
    line: str
    ink: str = INK


PLAIN = Paint("#ffffff", "#8a96a3")
BLOCK = Paint("#e6ebf2", "#8fa1b8")
FAMILIES = {
    "conv": Paint("#d6e6fa", "#6f9ed6"),
    "dense": Paint("#e3dcf6", "#9a86d0"),
    "norm": Paint("#eef1f4", "#a9b4c0"),
    "activation": Paint("#fdeed6", "#dcae62"),
    "pool": Paint("#dcf0e1", "#7fb98f"),
    "merge": Paint("#fbdfe0", "#d88b90"),
    "shape": Paint("#dff1f3", "#7db6be"),
}


def of_family(op: AbstractOp) -> Paint:
    return FAMILIES.get(type(op).__module__.rpartition(".")[2], PLAIN)


SHARES = (
    (0.01, Paint("#edf3fb", "#9db8dc")),
    (0.03, Paint("#cfe1f7", "#86abdc")),
    (0.1, Paint("#9fc5ef", "#5f93d2")),
    (0.3, Paint("#6ba4e4", "#3a72b8")),
    (1.0, Paint("#24599f", "#173f75", "#ffffff")),
)
"""The most a share may be of the whole, and its colour."""


def of_share(share: float) -> Paint:
    return next((paint for most, paint in SHARES if share <= most), SHARES[-1][1])


@dataclass(frozen=True)
class Measure:
    """What colours can tell of a node, and how it is written."""

    name: str
    of: Callable[[Row], int]
    text: Callable[[int], str]


MEASURES = {
    "macs": Measure("MACs", lambda row: row.macs, lambda value: f"{scaled(value)} MACs"),
    "params": Measure("parameters", lambda row: row.params, lambda value: f"{scaled(value)} parameters"),
    "memory": Measure("bytes of activations", lambda row: row.activation_bytes, bytes_text),
}


@dataclass(frozen=True)
class Legend:
    title: str
    entries: tuple[tuple[Paint, str], ...]


def legend_of(measure: Measure) -> Legend:
    least = [0.0, *(most for most, _ in SHARES)]
    texts = [
        f"{low:.0%} to {most:.0%}".replace("%", " %") if low else f"up to {100 * most:.0f} %"
        for low, (most, _) in zip(least, SHARES, strict=False)
    ]
    entries = ((paint, text) for (_, paint), text in zip(SHARES, texts, strict=True))
    return Legend(f"share of the {measure.name}", ((PLAIN, "none"), *entries))
