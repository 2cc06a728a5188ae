"""`cnnspec anchors SPEC --data D`: sizes of anchors for the boxes of training, by k-means on 1 - IoU."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cnnspec.commands.common import (
    AtOption,
    BadLabel,
    DebugFlag,
    Fit,
    JsonFlag,
    SetOption,
    SpecArg,
    answer,
    compile_spec,
    say,
    sizes,
)
from cnnspec.diagnostics import MissingError, RunError, UsageError, printable

if TYPE_CHECKING:
    from cnnspec.datasets import Part
    from cnnspec.graph import Graph


def anchors(
    spec: SpecArg,
    data: Annotated[str, typer.Option("--data", metavar="NAME|DIR", help="Images with boxes.")],
    count: Annotated[
        int | None, typer.Option("--count", metavar="N", min=1, help="Anchors of a grid, where the head has none yet.")
    ] = None,
    write: Annotated[bool, typer.Option("--write", help="Write them into the spec's head.")] = False,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the starts.")] = 0,
    params: SetOption = None,
    at: AtOption = None,
    fit: Annotated[Fit, typer.Option("--fit", help="How images come to the input's size.")] = Fit.stretch,
    bad: Annotated[
        BadLabel, typer.Option("--on-bad-label", help="error, or skip: leave out boxes that cannot be right.")
    ] = BadLabel.error,
    json: JsonFlag = False,
    debug: DebugFlag = False,
) -> int:
    graph = compile_spec(spec, params=params, quiet=json)
    name = _head(graph)
    try:
        from cnnspec import anchors as finding
    except ModuleNotFoundError as error:
        raise MissingError(f"anchors needs {error.name}", "pip install 'cnnspec[predict]'") from None
    path = _writable(graph, name, spec, bool(params)) if write else None
    image = graph.at(**sizes(at)).nodes[graph.inputs[0]].type.concrete
    strides, counts = _grids(graph, name, count)
    found = _sizes(_training(data, image, bad is BadLabel.skip), image[2], image[3], fit.value)
    best = finding.clusters(found, sum(counts), seed)
    shares = finding.shared_out(best, strides, counts)
    report: dict[str, Any] = {
        "name": graph.name,
        "head": name,
        "input": [image[3], image[2]],
        "boxes": len(found),
        "anchors": shares,
        **asdict(finding.fitted(found, best)),
        "before": None,
        "file": str(path) if path else None,
    }
    if (old := graph.heads[name].anchors) is not None:
        import numpy as np

        report["before"] = asdict(finding.fitted(found, np.array([pair for grid in old for pair in grid])))
    if path is not None:
        _write(path, name, shares)
    return answer("anchors", json=json, data=report, text=_text(report, graph))


def _head(graph: Graph) -> str:
    """The one head of boxes. Raises UsageError where there is none or several, and for other inputs than an image."""
    heads = [name for name, head in graph.inference().heads.items() if head.kind == "detect"]
    if len(heads) != 1:
        raise UsageError(f"{graph.name} has {len(heads)} detect heads, one is wanted")
    if len(graph.inputs) != 1 or graph.nodes[graph.inputs[0]].type.rank != 4:
        raise UsageError(f"{graph.name} does not take one image [N, C, H, W]")
    return heads[0]


def _grids(graph: Graph, name: str, count: int | None) -> tuple[list[int], list[int]]:
    """Of every grid the pixels of a cell, and how many anchors it has, or is to have."""
    from cnnspec.grids import stride

    head = graph.heads[name]
    if head.anchors is None and count is None:
        raise UsageError(f"the head '{name}' has no anchors yet", "--count N says how many each grid is to have")
    if head.anchors is not None and count is not None:
        raise UsageError(f"--count is for a head without anchors; '{name}' has {[len(g) for g in head.anchors]}")
    nodes = {output.name: output.node for output in graph.outputs}
    image = graph.nodes[graph.inputs[0]].type.spatial[0]
    strides = [stride(image, graph.nodes[nodes[output]].type.spatial[0], output) for output in head.of]
    return strides, [len(grid) for grid in head.anchors] if head.anchors else [count or 0] * len(head.of)


def _training(data: str, image: tuple[int, ...], skip: bool) -> Part:
    """The boxes to learn from; all of them where the data is not divided."""
    from cnnspec import datasets

    found = datasets.find(data, image[1], kinds=frozenset({"boxes"}))
    part = "train" if "train" in found.parts else next(iter(found.parts), "")
    raw = {part: found.parts[part]} if part else {}
    wanted = datasets.Wanted(image[1], 0, 0, None, max(1, found.classes), kinds=frozenset({"boxes"}), skip_labels=skip)
    loaded = datasets.load(found.name, raw, wanted, found.faults)
    for warning in loaded.warnings:
        say(f"warning: {warning}")
    return loaded.parts[part]


def _sizes(part: Part, height: int, width: int, fit: Any) -> Any:
    """Width and height of every box in pixels of the input, [n, 2]. Raises RunError where there is none."""
    import numpy as np

    from cnnspec.boxes import placed

    found = []
    for (rows, columns), boxes in zip(part.sizes.tolist(), part.boxes or (), strict=True):
        corners = placed((columns, rows), height, width, fit).into(boxes.corners.astype(np.float64))
        found.append(corners[:, 2:] - corners[:, :2])
    if not sum(map(len, found)):
        raise RunError("the data has no box: there are no sizes to find anchors for")
    return np.concatenate(found)


def _writable(graph: Graph, name: str, spec: str, changed: bool) -> Path:
    """The file that anchors are written to. Raises UsageError where they cannot be."""
    from cnnspec import zoo
    from cnnspec.reader import read

    if not zoo.is_path(spec):
        help = f"extends: {spec}, with heads, in a file of your own"
        raise UsageError(f"{spec} is shipped: it is not written to", help)
    if changed:
        raise UsageError("--write and --set exclude each other: what is written is for the file as it stands")
    assert graph.source is not None
    if name not in getattr(read(graph.source)[0].entries.get("heads"), "entries", {}):
        help = f"give it heads of its own: heads: {{{name}: {{detect: {{}}}}}}"
        raise UsageError(f"{spec} inherits the head '{name}'", help)
    return Path(spec)


def _write(path: Path, name: str, shares: list[list[list[float]]]) -> None:
    from cnnspec import durable
    from cnnspec.anchors import rewritten
    from cnnspec.reader import read, read_file

    source = read_file(path)
    mark = b"\xef\xbb\xbf" if path.read_bytes().startswith(b"\xef\xbb\xbf") else b""
    durable.write(path, mark + rewritten(source.text, read(source)[0], name, shares).encode())


def _text(report: dict[str, Any], graph: Graph) -> str:
    width, height = report["input"]
    lines = [f"{report['boxes']:,} boxes at {width} x {height}"]
    for output, grid in zip(graph.heads[report["head"]].of, report["anchors"], strict=True):
        lines.append(f"  {output}  " + "  ".join(f"{w:g} x {h:g}" for w, h in grid))
    lines.append(f"mean IoU {report['mean_iou']:.4f}, recall {report['recall']:.2%} at IoU above 0.5")
    if before := report["before"]:
        lines.append(f"  now in the spec: {before['mean_iou']:.4f}, {before['recall']:.2%}")
    if report["file"]:
        lines.append(f"wrote {report['file']}")
    return "\n".join(map(printable, lines))
