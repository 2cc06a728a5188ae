"""`cnnspec compile`: what compiling proved, the graph itself, or what a target makes of it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cnnspec.commands import export
from cnnspec.commands.common import (
    AllowUnusedFlag,
    AtOption,
    BatchOption,
    ConfidenceOption,
    DebugFlag,
    DownloadFlag,
    FitOption,
    ForceFlag,
    IgnoreOption,
    InputOption,
    JsonFlag,
    MeanOption,
    NamesOption,
    OutOption,
    OverlapOption,
    SetOption,
    SpecArg,
    StdOption,
    StrictFlag,
    WeightsOption,
    answer,
    bytes_text,
    compile_spec,
    count,
    numbers,
    refuse_overwrite,
    say,
    sizes,
    want_suffix,
    warnings_of,
    write_new,
)
from cnnspec.cost import Cost, cost_of
from cnnspec.diagnostics import UsageError, printable
from cnnspec.wording import written

if TYPE_CHECKING:
    from cnnspec.graph import Graph


class Target(StrEnum):
    report = "report"
    graph = "graph"
    onnx = "onnx"
    torch = "torch"
    python = "python"


BareFlag = Annotated[bool, typer.Option("--no-weights", help="ONNX: weights are inputs.")]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="ONNX, torch: of the start weights.")]
OpsetOption = Annotated[int | None, typer.Option("--opset", metavar="N", help="ONNX: 18 unless told otherwise.")]
VerifyFlag = Annotated[bool, typer.Option("--verify/--no-verify", help="ONNX: prove the model before it is written.")]
OptimizeFlag = Annotated[bool, typer.Option("--optimize", help="ONNX, torch: fold batch norm, drop what does nothing.")]
NmsFlag = Annotated[bool, typer.Option("--nms", help="ONNX: give boxes, scores and classes in place of maps.")]
PixelsFlag = Annotated[bool, typer.Option("--pixels", help="ONNX: take uint8 [N, H, W, C], prepared inside.")]


def compile(
    spec: SpecArg,
    target: Annotated[
        Target, typer.Option("--target", help="report, graph (JSON), onnx, torch, python.")
    ] = Target.report,
    output: OutOption = None,
    params: SetOption = None,
    at: AtOption = None,
    inputs: InputOption = None,
    batch: BatchOption = 1,
    weights: WeightsOption = None,
    names: NamesOption = None,
    download: DownloadFlag = False,
    bare: BareFlag = False,
    seed: SeedOption = 0,
    opset: OpsetOption = None,
    verify: VerifyFlag = True,
    optimize: OptimizeFlag = False,
    pixels: PixelsFlag = False,
    nms: NmsFlag = False,
    confidence: ConfidenceOption = None,
    overlap: OverlapOption = None,
    fit: FitOption = None,
    mean: MeanOption = None,
    std: StdOption = None,
    allow_unused: AllowUnusedFlag = False,
    ignore: IgnoreOption = None,
    strict: StrictFlag = False,
    force: ForceFlag = False,
    json: JsonFlag = False,
    debug: DebugFlag = False,
) -> int:
    symbols = sizes(at)
    wanted = export.Request(
        weights=weights,
        names=names,
        download=download,
        new_head=bool(params),
        bare=bare,
        seed=seed,
        opset=opset,
        verify=verify,
        optimize=optimize,
        pixels=pixels,
        nms=nms,
        confidence=confidence,
        overlap=overlap,
        fit=fit.value if fit else None,
        mean=numbers("--mean", mean),
        std=numbers("--std", std),
        sizes=symbols,
    )
    wanted.check(target)
    graph = compile_spec(
        spec, params=params, inputs=inputs, allow_unused=allow_unused, ignore=ignore, strict=strict, quiet=json
    )
    if output is not None and target not in (Target.onnx, Target.torch):
        refuse_overwrite(output, force)
        if target is Target.python and str(output) != "-":
            want_suffix(output, ".py")
    if target is Target.python and weights is not None and output is None:
        raise UsageError("--weights wants -o FILE.py: the weights are written beside it")
    report = proved(graph, cost_of(graph, batch=batch, symbols=symbols))
    report["expect"] = None if params or inputs else expected(graph)
    text = TEXTS[target](graph) if target in TEXTS else as_text(report)
    if target in (Target.onnx, Target.torch):
        if output is None or str(output) == "-":
            raise UsageError(f"--target {target} wants -o FILE.{'onnx' if target is Target.onnx else 'pt2'}")
        make = export.onnx if target is Target.onnx else export.torch
        report[target] = make(graph, output, wanted, force)
        text = _exported(report[target])
    elif output is not None:
        if weights is not None:
            report["weights"] = str(export.weights_beside(graph, output, wanted, force))
        _write(output, text, force)
        report["file"], text = str(output), ""
    elif target is Target.python:
        report["source"] = text
    data = _graph_data(graph) if target is Target.graph and output is None and json else report
    found = warnings_of(graph.warnings, ignore, strict)
    return answer("compile", json=json, data=data, text=text, diagnostics=found)


def _write(path: Path, text: str, force: bool) -> None:
    if str(path) == "-":
        raise UsageError("-o wants a file; without it the result goes to stdout")
    write_new(path, f"{text}\n", force=force)
    say(printable(f"wrote {path}"))


def _graph_data(graph: Graph) -> dict[str, Any]:
    from cnnspec.canonical import graph_json

    return graph_json(graph)


def _graph_text(graph: Graph) -> str:
    from json import dumps

    return dumps(_graph_data(graph), indent=1, allow_nan=False)


TEXTS = {Target.graph: _graph_text, Target.python: export.python}
"""Targets that are a text."""


def proved(graph: Graph, cost: Cost) -> dict[str, Any]:
    """The report: symbolic shapes, the sizes they hold for, counts, and what `expect` was checked against."""
    from cnnspec.passes import PASSES

    return {
        "name": graph.name,
        "hash": graph.hash,
        "nodes": len(graph.nodes) - len(graph.inputs),
        "inputs": {name: str(graph.nodes[name].type) for name in graph.inputs},
        "outputs": {
            o.name: {"node": o.node, "shape": str(graph.nodes[o.node].type), "train_only": o.train_only}
            for o in graph.outputs
        },
        "bounds": {name: graph.bounds.get(name, 1) for name in graph.symbols},
        "params": cost.params.total,
        "training_params": cost.params.training_total,
        "buffers": cost.buffers,
        "macs": cost.macs,
        "at": dict(cost.symbols),
        "passes": [step.__name__ for step in PASSES],
    }


def expected(graph: Graph) -> dict[str, Any]:
    """What the file expects of itself, all of it checked when the graph was made."""
    from cnnspec.reader import read, to_python

    section = read(graph.source)[0].entries.get("expect") if graph.source else None
    return dict(to_python(section)) if section else {}


def as_text(report: dict[str, Any]) -> str:
    """The report in words; every line states one thing that is proved or counted."""
    at = ", ".join(f"{name}={value}" for name, value in report["at"].items())
    bounds = ", ".join(f"{name} >= {least}" for name, least in report["bounds"].items())
    extra = report["training_params"] - report["params"]
    training = f"; {report['training_params']:,} with training-only outputs" if extra else ""
    lines = [
        ("name", report["name"]),
        *(("input", f"{name} {shape}") for name, shape in report["inputs"].items()),
        *(("output", _output(name, entry)) for name, entry in report["outputs"].items()),
        ("shapes", f"proved for {report['nodes']} nodes, {'for all ' + bounds if bounds else 'at fixed sizes'}"),
        ("parameters", f"{count(report['params'])}{training}"),
        ("buffers", count(report["buffers"])),
        ("MACs", f"{count(report['macs'])} at {at}"),
        ("expect", _expected(report["expect"])),
        ("passes", ", ".join(report["passes"]) or "none"),
        ("hash", report["hash"]),
    ]
    return "\n".join(printable(f"{name:<11} {text}") for name, text in lines)


def _exported(report: dict[str, Any]) -> str:
    """What was written, and what was proved before."""
    opset = f", opset {report['opset']}" if "opset" in report else ""
    lines = [f"wrote {' and '.join(report['files'])}, {bytes_text(report['bytes'])}{opset}"]
    if proof := report["verified"]:
        tried = "; ".join(", ".join(f"{k}={v}" for k, v in sizes.items()) for sizes in proof["sizes"])
        if "shapes" in proof:
            lines.append(f"verified: onnx infers the same {proof['shapes']} shapes; with random weights onnxruntime is")
            lines.append(f"within {proof['difference']:.0e} of torch's largest value, at {tried or 'its fixed size'}")
        else:
            near = (
                f"within {proof['difference']:.0e} of the module's largest value"
                if proof["difference"]
                else "bit for bit"
            )
            lines.append(f"verified: loaded again, it gives what the module gives, {near}, at {tried}")
    return printable("\n".join(lines))


def _output(name: str, entry: dict[str, Any]) -> str:
    return f"{name} {entry['shape']}, node {entry['node']}{', training only' if entry['train_only'] else ''}"


def _expected(expect: dict[str, Any] | None) -> str:
    if expect is None:
        return "not checked under --set and --input"
    return "holds: " + ", ".join(f"{k} {written(v)}" for k, v in expect.items()) if expect else "nothing to check"
