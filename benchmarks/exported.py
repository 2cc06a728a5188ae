"""ONNX files of one network: ours, ours optimized, torch's two exporters', and what onnxslim makes of those."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import onnx
import onnxslim
import torch
from torch import Tensor, nn

import cnnspec
from cnnspec_onnx import files, model

EXPORTERS = {"dynamo": True, "old": False}
"""torch's exporters, and what they are to `torch.onnx.export(dynamo=...)`."""
FIXED = "ours optimized, fixed"
OURS = ("ours", "ours optimized", FIXED)
logging.getLogger("torch.onnx").setLevel(logging.ERROR)


def graph_alone(name: str) -> None:
    model.build(cnnspec.compile(name), None)


def save(
    name: str, state: Mapping[str, Tensor], path: Path, optimized: bool = False, like: Tensor | None = None
) -> list[Path]:
    """Ours, of every legal size or, with `like`, of that tensor's sizes alone."""
    graph = cnnspec.compile(name)
    if like is not None:
        declared = graph.nodes[graph.inputs[0]].type.shape
        pairs = [(n, size) for n, size in zip(declared, like.shape, strict=True) if not isinstance(n, int)]
        graph = graph.at(**{n.symbol: (size - n.offset) // n.factor for n, size in pairs})
    kept = cnnspec.optimize(graph, state) if optimized else (graph, state)
    return files.save(model.build(*kept), path)


def export(theirs: nn.Module, x: Tensor, path: Path, dynamo: bool) -> None:
    """By torch's exporter, which warns and talks."""
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        torch.onnx.export(theirs, (x,), path, dynamo=dynamo, verbose=False)


def write(name: str, ours: nn.Module, theirs: nn.Module, x: Tensor, folder: Path) -> dict[str, Path]:
    """Every file, by what made it; theirs are of the sizes of `x` alone, as is the last of ours."""
    paths = {what: folder / f"{what.replace(' ', '-')}.onnx" for what in (*OURS, *EXPORTERS)}
    for what in OURS:
        save(name, ours.state_dict(), paths[what], what != "ours", x if what == FIXED else None)
    for what, dynamo in EXPORTERS.items():
        export(theirs, x, paths[what], dynamo)
    for what in EXPORTERS:
        paths[f"{what} slimmed"] = folder / f"{what}-slimmed.onnx"
        onnx.save(onnxslim.slim(str(paths[what])), paths[f"{what} slimmed"])
    return paths


def size(path: Path) -> int:
    """Bytes, with the tensors that lie in a file beside."""
    return sum(part.stat().st_size for part in path.parent.glob(f"{path.name}*"))
