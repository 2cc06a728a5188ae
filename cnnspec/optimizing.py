"""Networks of inference with less to do: the passes that keep every result, and the weights that go with them."""

from __future__ import annotations

from collections.abc import Callable

from cnnspec.graph import Graph
from cnnspec.passes.ahead import ahead
from cnnspec.passes.drop import drop
from cnnspec.passes.fold import fold
from cnnspec.passes.pads import pads
from cnnspec.passes.rewrite import Tensors
from cnnspec.passes.tables import tables

OPTIMIZING: tuple[Callable[[Graph, Tensors], tuple[Graph, Tensors]], ...] = (drop, fold, ahead, pads, tables)


def optimize(graph: Graph, tensors: Tensors) -> tuple[Graph, Tensors]:
    """The inference graph after every pass, and its tensors by state-dict name (arrays or torch's; {} for none).

        smaller, state = cnnspec.optimize(graph, model.state_dict())
        fast = smaller.lower("torch")
        fast.load_state_dict(state)

    Batch norm is folded into the convolution before it, or after it where that does not pad; what acts in training
    alone goes; paddings merge; tables are spread. Outputs are equal up to rounding. Kept weights keep their names.
    """
    graph = graph.inference()
    for step in OPTIMIZING:
        graph, tensors = step(graph, tensors)
    return graph, tensors
