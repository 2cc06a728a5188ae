"""How long compiling takes in process: ResNet-152, and per node at 1,000 and 100,000 nodes.

Goals: a median of 40 ms for ResNet-152, and with its cost and live memory of 50 ms.
Goal for the latter: compile and cost each take per node at most 2.5 times at 100,000 nodes what they take at 1,000.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

from measure import CLOCKS, Clock, options, seconds, show

import cnnspec
from cnnspec.memory import memory_of

FIFTIES = {1_000: 5, 99_800: 499}
"""Nodes of a spec (just under the limit of 100,000), and how many fifties of units make them."""


def large(fifties: int) -> str:
    """A spec of 200 nodes for every fifty, beside the input: residual units of four nodes, by nested repeats."""
    return f"""\
cnnspec: 1
name: large
input: {{image: [N, 8, 4*h, 4*w]}}
blocks:
  unit:
    main: x -> conv(8, 3, bias=false) -> batchnorm
    out: add(x, main) -> relu
  fifty: x -> 50 * unit
net:
  y: image -> {fifties} * fifty
outputs: [y]
"""


def analysis() -> None:
    graph = cnnspec.compile("resnet152")
    graph.cost(batch=8)
    memory_of(graph, batch=8)


def median_ms(work: Callable[[], object], rounds: int, clock: Clock) -> float:
    work()
    return 1000 * statistics.median(seconds(work, clock) for _ in range(rounds))


def main() -> None:
    args = options("compile time", rounds=15, clock=True)
    clock = CLOCKS[args.clock]
    shipped = median_ms(lambda: cnnspec.compile("resnet152"), args.rounds, clock)
    graph = cnnspec.compile("resnet152")
    cost = median_ms(graph.cost, args.rounds, clock)
    memory = median_ms(lambda: memory_of(graph, batch=8), args.rounds, clock)
    backend = median_ms(lambda: graph.memory(batch=8), args.rounds, clock)
    whole = median_ms(analysis, args.rounds, clock)
    rows: list[dict[str, object]] = [
        {"what": f"compile resnet152 ({len(graph.nodes)} nodes)", "ms": shipped, "us a node": None, "goal": "40 ms"},
        {"what": "cost of resnet152", "ms": cost, "us a node": None, "goal": None},
        {"what": "memory of resnet152, live", "ms": memory, "us a node": None, "goal": None},
        {"what": "memory of resnet152, live and with backend", "ms": backend, "us a node": None, "goal": None},
        {"what": "compile, cost and live memory of resnet152", "ms": whole, "us a node": None, "goal": "50 ms"},
    ]
    per_node: dict[str, list[float]] = {"compile": [], "cost": []}
    with tempfile.TemporaryDirectory() as folder:
        for count, fifties in FIFTIES.items():
            path = Path(folder) / f"large{count}.yaml"
            path.write_text(large(fifties), encoding="utf-8")
            rounds = args.rounds if count <= 1_000 else 3
            made = cnnspec.compile(path)
            assert len(made.nodes) == count + 1
            for what, work in (("compile", lambda path=path: cnnspec.compile(path)), ("cost", lambda g=made: g.cost())):
                took = median_ms(work, rounds, clock)
                per_node[what].append(1000 * took / count)
                rows.append(
                    {"what": f"{what} {count:,} nodes", "ms": took, "us a node": 1000 * took / count, "goal": None}
                )
    for what, (small, big) in per_node.items():
        rows.append(
            {"what": f"{what}: per node, large over small", "ms": None, "us a node": big / small, "goal": "2.5"}
        )
    show("compile_time", rows, args.json)


if __name__ == "__main__":
    main()
