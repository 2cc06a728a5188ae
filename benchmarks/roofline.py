"""The least time by the roofline beside the time measured, of inference on this processor.

Its peaks are measured first, in the same threads: a product of two matrices, and a copy. What the ratio falls short
of 1 is what the estimate leaves out: kernels that do not reach the peaks, and the time to start them.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable

import torch
from measure import options, seconds, show

import cnnspec
from cnnspec.devices import Device
from cnnspec.roofline import roofline
from cnnspec.vectors import instruction_set

NETWORKS = ("lenet5", "alexnet", "vgg16", "googlenet", "resnet34", "resnet152", "densenet121", "mobilenet-v2", "yolov3")
SIDE, COPIED = 2048, 64 * 2**20
"""Rows and columns of the matrices; numbers that are copied, more than any cache holds."""


def best(work: Callable[[], object], rounds: int) -> float:
    work()
    return min(seconds(work) for _ in range(rounds))


def this_processor(rounds: int) -> Device:
    one, other = torch.randn(2, SIDE, SIDE)
    here, there = torch.randn(2, COPIED)
    product = torch.empty(SIDE, SIDE)
    flops = 2 * SIDE**3 / best(lambda: torch.mm(one, other, out=product), rounds)
    bandwidth = 2 * 4 * COPIED / best(lambda: there.copy_(here), rounds)
    return Device("this processor", flops, None, flops, None, bandwidth, 2**40, "measured")


def main() -> None:
    args = options("the roofline beside the time measured", rounds=9)
    rows: list[dict[str, object]] = []
    device = this_processor(args.rounds)
    for name in NETWORKS:
        if args.only and args.only != name:
            continue
        graph = cnnspec.compile(name)
        network = graph.lower("torch").eval()
        for batch in (1, 8):
            sizes = graph.sizes(**{graph.batch: batch})
            xs = [torch.randn(graph.nodes[path].type.at(sizes).concrete) for path in graph.inputs]
            line = roofline(graph, graph.cost(batch=batch), device)
            with torch.inference_mode():
                network(*xs)
                took = statistics.median(seconds(lambda: network(*xs)) for _ in range(args.rounds))  # noqa: B023
            rows.append(
                {
                    "network": name,
                    "batch": batch,
                    "least, ms": 1000 * line.seconds,
                    "by arithmetic": line.by_arithmetic / line.seconds,
                    "measured, ms": 1000 * took,
                    "least / measured": line.seconds / took,
                }
            )
    show("roofline", rows, args.json)
    if not args.json:
        where = f"{instruction_set()}, {torch.get_num_threads()} threads"
        print(
            f"{device.float32 / 1e9:.0f} GFLOP/s, {device.bandwidth / 1e9:.1f} GB/s; {where}, torch {torch.__version__}"
        )


if __name__ == "__main__":
    main()
