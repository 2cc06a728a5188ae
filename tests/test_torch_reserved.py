"""The frozen list of names against the torch installed."""

from __future__ import annotations

from torch import fx, nn

from cnnspec.reserved import RESERVED
from cnnspec_torch.module import ByMode


def test_sorted_and_unique() -> None:
    assert list(RESERVED) == sorted(set(RESERVED))


def test_it_holds_every_attribute_of_a_module() -> None:
    graph = fx.Graph()
    graph.output(None)
    root = nn.Module()
    for module in (root, fx.GraphModule(root, graph), ByMode(root, graph, graph, "Both")):
        taken = {name for name in {*dir(module), *vars(module)} if name.isidentifier()}
        assert sorted(taken - {*RESERVED}) == [], f"add these to cnnspec/reserved.py ({type(module).__name__})"
