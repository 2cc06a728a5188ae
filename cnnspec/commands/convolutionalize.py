"""`cnnspec convolutionalize`: a classifier as a network that gives a grid of predictions on larger images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnspec.commands.common import (
    AllowUnusedFlag,
    AtOption,
    DebugFlag,
    DownloadFlag,
    ForceFlag,
    IgnoreOption,
    InputOption,
    JsonFlag,
    NamesOption,
    OutOption,
    SetOption,
    SpecArg,
    StrictFlag,
    WeightsOption,
    answer,
    bytes_text,
    compile_spec,
    refuse_overwrite,
    say,
    sizes,
    warnings_of,
    write_new,
)
from cnnspec.commands.loading import loading
from cnnspec.diagnostics import MissingError, UsageError, printable

if TYPE_CHECKING:
    from cnnspec.graph import Graph


def convolutionalize(
    spec: SpecArg,
    output: OutOption = None,
    weights: WeightsOption = None,
    names: NamesOption = None,
    download: DownloadFlag = False,
    params: SetOption = None,
    at: AtOption = None,
    inputs: InputOption = None,
    allow_unused: AllowUnusedFlag = False,
    ignore: IgnoreOption = None,
    strict: StrictFlag = False,
    force: ForceFlag = False,
    json: JsonFlag = False,
    debug: DebugFlag = False,
) -> int:
    from cnnspec.canonical import resolved_yaml
    from cnnspec.passes.convolutionalize import convolutionalize as converted

    symbols = sizes(at)
    if weights is not None and output is None:
        raise UsageError("--weights wants -o FILE.yaml: the weights are written beside it")
    if output is not None and (output.suffix != ".yaml" or not output.parent.is_dir()):
        raise UsageError(f"-o wants FILE.yaml in a folder that is there, got {output}")
    graph = compile_spec(
        spec, params=params, inputs=inputs, allow_unused=allow_unused, ignore=ignore, strict=strict, quiet=json
    )
    found = warnings_of(graph.warnings, ignore, strict)
    if output is None:
        grid, _ = converted(graph, {}, **symbols)
        _say_lost(graph, grid)
        text = resolved_yaml(grid)
        return answer("convolutionalize", json=json, data={"yaml": text}, text=text.rstrip("\n"), diagnostics=found)
    refuse_overwrite(output, force)
    files, proof = [output], None
    if weights is None:
        grid, _ = converted(graph, {}, **symbols)
    else:
        files.append(output.with_suffix(".safetensors"))
        refuse_overwrite(files[1], force)
        with loading(weights, names, download) as options:
            grid, proof = _weighed(graph, weights, options, symbols, files[1])
    _say_lost(graph, grid)
    write_new(output, resolved_yaml(grid), force=force)
    report = {**_report(graph, grid), "files": list(map(str, files)), "difference": proof}
    return answer("convolutionalize", json=json, data=report, text=_text(report, files), diagnostics=found)


def _weighed(
    graph: Graph, weights: str, options: dict[str, Any], symbols: dict[str, int], file: Path
) -> tuple[Graph, float]:
    """The graph, its weights written, and how far its numbers are from the classifier's."""
    try:
        from cnnspec_torch import convolutional
    except ModuleNotFoundError as error:
        raise MissingError(f"the weights need {error.name}", "pip install 'cnnspec[torch]'") from None
    made = convolutional.converted(graph, weights, options, **symbols)
    convolutional.save(file, made.tensors)
    return made.graph, made.difference


def _say_lost(graph: Graph, grid: Graph) -> None:
    for name, head in graph.inference().heads.items():
        if name not in grid.heads:
            say(printable(f"the head '{name}' ({head.kind}) is left out: it reads one prediction, not a grid"))


def _report(graph: Graph, grid: Graph) -> dict[str, Any]:
    old = {output.name: str(graph.nodes[output.node].type) for output in graph.outputs}
    return {
        "name": grid.name,
        "inputs": {name: [str(graph.nodes[name].type), str(grid.nodes[name].type)] for name in grid.inputs},
        "outputs": {o.name: [old[o.name], str(grid.nodes[o.node].type)] for o in grid.outputs},
        "bounds": {name: grid.bounds.get(name, 1) for name in grid.symbols if name != grid.batch},
        "typical": dict(grid.typical),
    }


def _text(report: dict[str, Any], files: list[Path]) -> str:
    """What was written, and what became of inputs and outputs."""
    weights = f" and {files[1]}, {bytes_text(files[1].stat().st_size)}" if len(files) > 1 else ""
    bounds = ", ".join(f"{name} >= {least}" for name, least in report["bounds"].items())
    lines = [f"wrote {files[0]}{weights}"]
    lines += [f"input   {name} {old} -> {new} for {bounds}" for name, (old, new) in report["inputs"].items()]
    lines += [f"output  {name} {old} -> {new}" for name, (old, new) in report["outputs"].items()]
    if report["difference"] is not None:
        size = ", ".join(f"{name}={value}" for name, value in report["typical"].items())
        lines.append(f"verified: at {size} the classifier's numbers, within {report['difference']:.0e} of the largest")
    return printable("\n".join(lines))
