"""How good a network is, head by head, in numpy: the same whatever runs the network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnspec.judges.base import Judge as Judge
from cnnspec.judges.base import Network as Network
from cnnspec.judges.base import Outcome as Outcome
from cnnspec.judges.classify import Classify
from cnnspec.judges.detect import Detect
from cnnspec.judges.locate import Locate
from cnnspec.judges.segment import Segment

if TYPE_CHECKING:
    from cnnspec.recipe_heads import Detect as Options


def of(network: Network, options: Options) -> list[Judge]:
    """A judge for each head; `options` are a recipe's for boxes. Raises UsageError as `cnnspec.grids.grids_of`."""
    judges: list[Judge] = []
    for name, head in network.graph.heads.items():
        if head.kind == "classify":
            judges.append(Classify(network, name))
        elif head.kind == "locate":
            judges.append(Locate(network, name))
        elif head.kind == "detect":
            judges.append(Detect(network, name, options))
        else:
            judges.append(Segment(network, name))
    return judges
