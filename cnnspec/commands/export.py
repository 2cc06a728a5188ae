"""`cnnspec compile --target onnx` and `torch`: models that stand alone, proved before they are written; `python`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnspec.commands.common import refuse_overwrite, say, want_folder, want_suffix
from cnnspec.commands.loading import loading, say_loaded
from cnnspec.diagnostics import MissingError, UsageError
from cnnspec.optimizing import optimize
from cnnspec.published import Fit, Preprocess, changed

if TYPE_CHECKING:
    from cnnspec.graph import Graph
    from cnnspec_onnx.model import Images
    from cnnspec_torch.pretrained import Loaded


@dataclass(frozen=True)
class Request:
    """What the command line asked for."""

    weights: str | None = None
    names: str | None = None
    download: bool = False
    new_head: bool = False
    bare: bool = False
    seed: int = 0
    opset: int | None = None
    verify: bool = True
    optimize: bool = False
    pixels: bool = False
    nms: bool = False
    confidence: float | None = None
    overlap: float | None = None
    fit: Fit | None = None
    mean: list[float] | None = None
    std: list[float] | None = None
    sizes: Mapping[str, int] = field(default_factory=dict)

    def check(self, target: str) -> None:
        """Raises UsageError where an option differs from its default that the target does not take."""
        for name, option in OPTIONS.items():
            targets = ("onnx", "torch", "python") if name in ALL else ("onnx", "torch") if name in BOTH else ("onnx",)
            if target not in targets and getattr(self, name) != getattr(Request(), name):
                raise UsageError(
                    f"{option} is for --target {', '.join(targets[:-1])}{' and ' * (len(targets) > 1)}{targets[-1]}"
                )


OPTIONS = {"weights": "--weights", "names": "--names", "download": "--download"}
OPTIONS |= {"seed": "--seed", "optimize": "--optimize"}
OPTIONS |= {"bare": "--no-weights", "opset": "--opset", "verify": "--no-verify", "pixels": "--pixels"}
OPTIONS |= {"nms": "--nms", "confidence": "--confidence", "overlap": "--overlap"}
OPTIONS |= {"fit": "--fit", "mean": "--mean", "std": "--std"}
ALL = ("weights", "names", "download")
BOTH = ("seed", "optimize")


def torch(graph: Graph, path: Path, wanted: Request, force: bool) -> dict[str, Any]:
    """Write a file of torch.export, run before it is written; gives what the report says of it. Raises as `onnx`."""
    try:
        from cnnspec_torch import exporting
    except ModuleNotFoundError as error:
        raise MissingError(f"--target torch needs {error.name}", "pip install 'cnnspec[torch]'") from None
    _refuse(path, ".pt2", force)
    tensors, _ = _weights(graph, wanted)
    graph = graph.inference()
    if wanted.optimize:
        graph, tensors = optimize(graph, tensors)
    module = graph.lower("torch")
    module.load_state_dict({name: tensors[name] for name in module.state_dict()})
    proof = asdict(exporting.export(graph, module, path))
    return {"verified": proof, "files": [str(path)], "bytes": path.stat().st_size}


def onnx(graph: Graph, path: Path, wanted: Request, force: bool) -> dict[str, Any]:
    """Verify, then write; gives what the report says of the file.

    Raises RefutedError, with nothing written, where a proof fails; UsageError, MissingError and RunError otherwise.
    """
    try:
        from cnnspec_onnx import files, model
    except ModuleNotFoundError as error:
        raise MissingError(f"--target onnx needs {error.name}", "pip install 'cnnspec[onnx]'") from None
    _refuse(path, ".onnx", force)
    if wanted.bare and wanted.weights:
        raise UsageError("--weights and --no-weights exclude each other")
    if not wanted.nms and (wanted.confidence is not None or wanted.overlap is not None):
        raise UsageError("--confidence and --overlap are for --nms")
    opset = model.OLDEST if wanted.opset is None else wanted.opset
    model.check_opset(opset)
    tensors, loaded = (None, None) if wanted.bare else _weights(graph, wanted)
    images = _images(graph, wanted, loaded)
    smaller, tensors = optimize(graph, tensors or {}) if wanted.optimize else (graph, tensors)
    made = model.build(smaller, None if wanted.bare else tensors, opset=opset, images=images)
    if wanted.nms:
        _suppress(made, smaller, wanted)
    report: dict[str, Any] = {"opset": opset, "verified": None}
    if wanted.verify:
        report["verified"] = _verified(graph, opset, wanted.optimize)
    if not wanted.bare and wanted.weights is None:
        say("the weights are the start weights: --weights RUN|FILE writes trained ones")
    written = files.save(made, path)
    return {**report, "files": [str(file) for file in written], "bytes": sum(file.stat().st_size for file in written)}


def _suppress(made: Any, graph: Graph, wanted: Request) -> None:
    """Detections in the place of the maps under the one detect head; raises UsageError where there is none."""
    from cnnspec.dense import CONFIDENCE, OVERLAP
    from cnnspec.grids import grids_of
    from cnnspec_onnx.suppressing import suppress

    heads = [name for name, head in graph.inference().heads.items() if head.kind == "detect"]
    if len(heads) != 1:
        raise UsageError(f"--nms is for a network with one detect head, {graph.name} has {len(heads)}")
    confidence = CONFIDENCE if wanted.confidence is None else wanted.confidence
    suppress(made, grids_of(graph, heads[0]), confidence, OVERLAP if wanted.overlap is None else wanted.overlap)


def python(graph: Graph) -> str:
    """The network as a file of PyTorch that needs no cnnspec. Raises MissingError without torch."""
    try:
        from cnnspec_torch.source import python_source
    except ModuleNotFoundError as error:
        raise MissingError(f"--target python needs {error.name}", "pip install 'cnnspec[torch]'") from None
    return python_source(graph).rstrip("\n")


def weights_beside(graph: Graph, path: Path, wanted: Request, force: bool) -> Path:
    """Write the weights as FILE.safetensors beside FILE.py, whose module loads them. Raises as `onnx`."""
    file = path.with_suffix(".safetensors")
    refuse_overwrite(file, force)
    tensors, _ = _weights(graph, wanted)
    from cnnspec_torch.convolutional import save

    save(file, dict(tensors))
    return file


def _refuse(path: Path, suffix: str, force: bool) -> None:
    want_suffix(path, suffix)
    if path.is_dir():
        raise UsageError(f"{path} is a folder")
    refuse_overwrite(path, force)
    want_folder(path)


def _weights(graph: Graph, wanted: Request) -> tuple[Mapping[str, Any], Loaded | None]:
    """The tensors by name and, of loaded ones, what their images need."""
    try:
        from cnnspec_torch import pretrained
    except ModuleNotFoundError as error:
        help = "pip install 'cnnspec[torch]', or --no-weights writes the graph alone"
        raise MissingError(f"the weights need {error.name}", help) from None
    module = graph.lower("torch", seed=wanted.seed)  # whole, so that a run's training-only weights have their place
    with loading(wanted.weights, wanted.names, wanted.download) as options:
        if wanted.weights is None:
            return module.state_dict(), None
        loaded = pretrained.load(module, graph, wanted.weights, new_head=wanted.new_head, **options)
    say_loaded(loaded)
    return module.state_dict(), loaded


def _images(graph: Graph, wanted: Request, loaded: Loaded | None) -> Images | None:
    """What images need: as told, else as the weights say, else stretched and in parts of 255; None for other inputs."""
    from cnnspec_onnx.model import Images

    type = graph.nodes[graph.inputs[0]].type
    told = wanted.pixels or wanted.fit or wanted.mean or wanted.std
    if not told and (len(graph.inputs) != 1 or type.rank != 4):
        return None
    known = {name: size for name, size in loaded.sizes.items() if name in graph.symbols} if loaded else {}
    heads = [name for name, head in graph.inference().heads.items() if head.kind != "locate"]
    return Images(
        how=changed((loaded and loaded.preprocess) or Preprocess(), wanted.fit, wanted.mean, wanted.std),
        inside=wanted.pixels,
        sizes={**known, **wanted.sizes},
        labels=dict.fromkeys(heads, loaded.labels) if loaded and loaded.labels else {},
    )


def _verified(graph: Graph, opset: int, optimized: bool) -> dict[str, Any]:
    try:
        from cnnspec_onnx.verify import verify
    except ModuleNotFoundError as error:
        help = "pip install 'cnnspec[onnx,torch]', or --no-verify writes without a proof"
        raise MissingError(f"the proof of --target onnx needs {error.name}", help) from None
    return asdict(verify(graph, opset, optimized))
