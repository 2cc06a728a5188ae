"""The figures beside the allocator of a GPU: within 3 % of torch.cuda.max_memory_allocated, workspaces apart."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import cnnspec

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
NEAR = 0.03


def peak(work: Callable[[], object]) -> int:
    """The most that was allocated at once, all in."""
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    work()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated()


@pytest.fixture(autouse=True)
def no_workspaces(monkeypatch: pytest.MonkeyPatch) -> None:
    """cuDNN's algorithms and cuBLAS take scratch memory by the device; torch's own kernels take none."""
    monkeypatch.setattr(torch.backends.cudnn, "enabled", False)


@pytest.mark.parametrize("name", ["resnet18", "vgg11", "mobilenet-v2", "densenet121"])
def test_on_a_gpu(name: str) -> None:
    graph = cnnspec.compile(name)
    network: nn.Module = graph.lower("torch").cuda()
    x = torch.randn(graph.at(N=8).nodes["image"].type.concrete, device="cuda")
    labels = torch.zeros(8, dtype=torch.long, device="cuda")
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-4, momentum=0.9)
    figures = graph.memory(batch=8, device="cuda").with_backend
    assert figures is not None

    def step() -> None:
        optimizer.zero_grad()
        loss: Tensor = nn.functional.cross_entropy(network(x), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    with torch.no_grad():
        network.eval()(x)
        found = peak(lambda: network(x)) - x.nbytes
    assert abs(found - figures.weights - figures.inference_peak) <= NEAR * found
    network.train()
    step()
    optimizer.zero_grad()
    found = peak(step) - x.nbytes
    assert abs(found - figures.training_peak) <= NEAR * found
