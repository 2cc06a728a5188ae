"""One pass of the fully convolutional network over a large image beside the classifier at every window of it.

448 pixels under VGG's stride of 32 are 8 x 8 windows of 224. What windows share is computed once in the one pass; how
much less work that is, the MACs say.
"""

from __future__ import annotations

import torch
from measure import CLOCKS, Clock, compared, options, show, together
from torch import Tensor, nn

import cnnspec
from cnnspec.tensor import Dim

NETWORKS = {"vgg11": 448, "alexnet-torchvision": 448, "lenet5": 64}
"""The image's size: twice the network's own."""
BATCH = 8
"""Windows at a time."""


def row(name: str, rounds: int, clock: Clock) -> dict[str, object]:
    graph = cnnspec.compile(name)
    classifier: nn.Module = graph.lower("torch").eval()
    grid, tensors = cnnspec.convolutionalize(graph, classifier.state_dict())
    net: nn.Module = grid.lower("torch").eval()
    net.load_state_dict(dict(tensors))
    type = grid.nodes[grid.inputs[0]].type
    steps = [size.factor for size in type.spatial if isinstance(size, Dim)]
    at = {axis: NETWORKS[name] // step for axis, step in zip("hw", steps, strict=True)}
    image = torch.randn(grid.at(**at).nodes[grid.inputs[0]].type.concrete)
    old = graph.at().nodes[graph.inputs[0]].type.concrete[2:]
    windows = image.unfold(2, old[0], steps[0]).unfold(3, old[1], steps[1])[0].flatten(1, 2).transpose(0, 1)

    def slide() -> Tensor:
        return torch.cat([classifier(windows[at : at + BATCH]) for at in range(0, len(windows), BATCH)])

    assert net(image)[0].flatten(1).T.shape == slide().shape
    took = together({"one pass": lambda: net(image), "windows": slide}, rounds, clock=clock)
    found = compared(took["windows"], took["one pass"])
    return {
        "network": name,
        "image": "x".join(map(str, image.shape[2:])),
        "windows": len(windows),
        "one pass s": found.theirs,
        "windows s": found.ours,
        "times as fast": found.ratio,
        "95 % low": found.low,
        "95 % high": found.high,
        "fewer MACs": graph.cost().macs * len(windows) / grid.cost(1, "float32", **at).macs,
    }


def main() -> None:
    args = options("one pass over a large image, beside a sliding window", rounds=5, clock=True)
    with torch.inference_mode():
        rows = [row(name, args.rounds, CLOCKS[args.clock]) for name in NETWORKS if not args.only or args.only in name]
    show("sliding_window", rows, args.json)


if __name__ == "__main__":
    main()
