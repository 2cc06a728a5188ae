"""`summarize --device NAME` of a GPU: the least time of every node, and the batches that fit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from cnnspec import backend
from cnnspec.commands.common import bytes_text, seconds_text
from cnnspec.cost import Cost
from cnnspec.devices import DEVICES, Device
from cnnspec.diagnostics import UsageError, did_you_mean
from cnnspec.graph import Graph
from cnnspec.limits import DIMENSION
from cnnspec.memory import Allocations
from cnnspec.roofline import Fit, Roofline, fit, roofline

TIME = "time"
"""The column of a row's least time."""


def named(device: str, amp: str | None) -> Device | None:
    """The GPU of that name, None for a kind alone; raises UsageError where it is neither, and for mixed precision."""
    if device in backend.DEVICES:
        return None
    if device.lower() not in DEVICES:
        known = [*backend.DEVICES, *DEVICES]
        raise UsageError(f"unknown device '{device}'", did_you_mean(device, known) or f"one of {', '.join(known)}")
    if amp is not None:
        message = f"mixed precision is told as autocast has it on the CPU, not on {device}"
        raise UsageError(message, "leave out one of --amp and --device")
    return DEVICES[device.lower()]


def with_time(columns: Iterable[str], gpu: Device | None) -> list[str]:
    """The columns shown unless others are asked for."""
    return [name for name in columns if name != TIME] + ([TIME] if gpu else [])


def with_times(graph: Graph, cost: Cost, gpu: Device | None) -> Cost:
    return roofline(graph, cost, gpu).cost if gpu else cost


class Timing:
    """What a GPU makes of one graph's cost."""

    def __init__(self, graph: Graph, cost: Cost, gpu: Device, optimizer: str, table: Allocations | None) -> None:
        self.roofline: Roofline = roofline(graph, cost, gpu)
        symbols = dict(cost.symbols)
        self.fit: Fit = fit(graph, gpu, dtype=cost.dtype, optimizer=optimizer, symbols=symbols, backend=table)
        self.optimizer = optimizer

    def data(self) -> dict[str, Any]:
        line = self.roofline
        return {
            "device": asdict(line.device),
            "seconds": line.seconds,
            "by_arithmetic": line.by_arithmetic,
            "fits": asdict(self.fit),
        }

    def said(self) -> list[tuple[str, str]]:
        line, gpu = self.roofline, self.roofline.device
        rest = line.seconds - line.by_arithmetic
        parts = f"{seconds_text(line.by_arithmetic)} bound by arithmetic, {seconds_text(rest)} by memory"
        batches = (
            f"{_most(self.fit.inference)} in inference, {_most(self.fit.training)} in training with {self.optimizer}"
        )
        return [
            ("least time", f"{seconds_text(line.seconds)} on {gpu.name}: {parts}"),
            ("largest batch", f"{batches}, in {bytes_text(gpu.memory)}"),
        ]


def _most(batch: int) -> str:
    return f"{batch:,} and more" if batch == DIMENSION else f"{batch:,}"
