"""Detections inside the ONNX graph, in onnxruntime, against those of torch and numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor

from cnnspec.diagnostics import UsageError
from cnnspec.front import compile_text
from cnnspec.grids import MOST, decode, detections, grids_of
from cnnspec_onnx.model import build
from cnnspec_onnx.suppressing import suppress
from cnnspec_onnx.verify import unsettle
from cnnspec_torch import cells
from test_detect import SPECS, THREE


def made(text: str, confidence: float, overlap: float) -> tuple[Any, Any, Any]:
    """Graph, torch module and session of one network with random weights; it gives detections."""
    graph = compile_text(text)
    module: Any = graph.lower("torch")
    unsettle(module, {"image": torch.randn(graph.at(N=2).nodes["image"].type.concrete)})
    with torch.no_grad():
        for name, value in module.named_parameters():
            if name.startswith(("p", "grid")):
                value.mul_(0.7)  # so that no two scores are rounded to 1
    model = build(graph, module.state_dict())
    suppress(model, grids_of(graph, "boxes"), confidence, overlap)
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return graph, module, session


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("confidence", [0.01, 0.3, 0.9999])
@pytest.mark.parametrize("images", [1, 3])
def test_onnx_finds_what_torch_and_numpy_find(name: str, confidence: float, images: int) -> None:
    graph, module, session = made(SPECS[name], confidence, 0.5)
    sizes = {"N": images, "h": 3, "w": 4}
    x = torch.randn(graph.at(**sizes).nodes["image"].type.concrete, generator=torch.Generator().manual_seed(1))
    boxes, scores, classes, which = session.run(["boxes", "scores", "classes", "images"], {"image": x.numpy()})
    with torch.inference_mode():
        outputs: dict[str, Tensor] = module(x) if name == "three" else {"grid": module(x)}
    head = grids_of(graph, "boxes")
    due = cells.detections(cells.read(outputs, head), confidence, 0.5)
    corners, chances = decode({key: value.numpy() for key, value in outputs.items()}, head)
    assert which.tolist() == sorted(which.tolist())
    for image in range(images):
        here = which == image
        ours = detections(corners[image], chances[image], confidence, 0.5)
        for one in ([value.numpy() for value in due[image]], (ours.corners, ours.scores, ours.classes)):
            np.testing.assert_array_equal(classes[here], one[2])
            np.testing.assert_allclose(scores[here], one[1], rtol=1e-4)
            np.testing.assert_allclose(boxes[here], one[0], rtol=1e-3, atol=1e-2)
    assert len(scores) > 0 if confidence < 0.9 else len(scores) == 0


def test_at_most_so_many_boxes_an_image() -> None:
    _, _, session = made(THREE, 0.0, 1.0)
    x = np.random.default_rng(0).standard_normal((2, 3, 160, 160)).astype(np.float32)
    scores, which = session.run(["scores", "images"], {"image": x})
    assert np.bincount(which).tolist() == [MOST, MOST]
    assert all((np.diff(scores[which == image]) <= 0).all() for image in (0, 1))


def test_a_node_of_an_outputs_name_is_refused() -> None:
    graph = compile_text(THREE.replace("p3: a", "scores: a").replace("p3]", "scores]"))
    with pytest.raises(UsageError) as error:
        suppress(build(graph, None), grids_of(graph, "boxes"), 0.5, 0.5)
    assert error.value.message == "the network has a node named 'scores', which --nms gives"
