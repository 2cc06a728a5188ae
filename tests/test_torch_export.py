"""torch.compile without a graph break, torch.export with a dynamic batch and multiples of a symbol."""

from __future__ import annotations

import warnings

import pytest
import torch
from packaging.version import Version
from torch import Tensor, nn
from torch.export import Dim
from torch.testing import assert_close

from cnnspec.front import compile_text
from forked import apart
from samples import AUXILIARY, RESIDUAL

pytestmark = pytest.mark.filterwarnings("default")  # torch's compiler warns about itself


def lowered(text: str) -> nn.Module:
    module: nn.Module = compile_text(text).lower("torch")
    return module


def as_dict(result: Tensor | dict[str, Tensor]) -> dict[str, Tensor]:
    return result if isinstance(result, dict) else {"": result}


@pytest.mark.parametrize("text", [RESIDUAL, AUXILIARY], ids=["residual", "auxiliary"])
@apart
def test_compile_without_a_break(text: str) -> None:
    torch._dynamo.reset()
    module = lowered(text.replace(" -> dropout(0.1)", ""))
    compiled = torch.compile(module, backend="aot_eager", fullgraph=True)
    x = torch.randn(2, 3, 16, 24)
    for training in (True, False):
        module.train(training)
        expected, found = as_dict(module(x)), as_dict(compiled(x))
        assert list(found) == list(expected)
        for name in expected:
            assert_close(found[name], expected[name])
    module.train()
    torch.autograd.backward([y.sum() for y in as_dict(compiled(x)).values()])
    assert all(parameter.grad is not None for parameter in module.parameters())


OLD = pytest.mark.xfail(
    Version(torch.__version__) < Version("2.14"),
    reason="torch 2.9 cannot name the guards of a forward that takes *args",
)


@pytest.mark.parametrize(
    "text", [pytest.param(RESIDUAL, id="residual"), pytest.param(AUXILIARY, id="auxiliary", marks=OLD)]
)
@apart
def test_export_with_symbols(text: str) -> None:
    module = lowered(text).eval()
    batch, h, w = Dim("batch", min=2, max=64), Dim("h", min=2, max=64), Dim("w", min=2, max=64)
    sizes = {0: batch, 2: 8 * h, 3: 8 * w}
    shapes = {"image": sizes} if text is RESIDUAL else ((sizes,),)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(module, (torch.randn(2, 3, 16, 24),), dynamic_shapes=shapes)
    assert set(program.state_dict) == set(module.state_dict())
    for size in ((2, 3, 16, 24), (5, 3, 40, 32)):
        x = torch.randn(size)
        expected, found = as_dict(module(x)), as_dict(program.module()(x))
        for name in expected:
            assert_close(found[name], expected[name])
