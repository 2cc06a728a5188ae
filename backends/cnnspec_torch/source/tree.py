"""The nodes of a graph by the levels of their paths: what becomes a module, with what goes into it and comes out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from heapq import heapify, heappop, heappush
from types import MappingProxyType
from typing import Any

from cnnspec.graph import Frame, Graph, Node
from cnnspec_torch.source.make import Free


@dataclass(eq=False)
class Level:
    """All nodes under one path; `frame` is the call of a block or used spec that the level stands for."""

    path: str
    children: dict[str, Level | Node] = field(default_factory=dict)
    frame: Frame | None = None
    scope: Frame | None = None
    """The innermost call that the level stands for or lies in."""
    open: bool = False
    """Runs as no module of its own: its parts are called one by one by the level around it."""
    takes: tuple[str, ...] = ()
    """Paths of the values from outside that it needs."""
    gives: tuple[str, ...] = ()
    """Paths of its values that are needed outside."""

    @property
    def name(self) -> str:
        """The last name of the path without the number of a repeat."""
        return re.sub(r"_\d+$", "", self.path.rpartition(".")[2])

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        found: list[Node] = []
        for child in self.children.values():
            found += [child] if isinstance(child, Node) else child.nodes
        return tuple(found)

    def below(self, name: str) -> Level:
        child = self.children[name]
        assert isinstance(child, Level)
        return child

    def levels(self) -> Iterator[Level]:
        """This level and all below it."""
        yield self
        for child in self.children.values():
            if isinstance(child, Level):
                yield from child.levels()

    def parts(self, prefix: str = "") -> Iterator[tuple[str, Level | Node]]:
        """What this level calls, by the attributes that lead to it."""
        for name, child in self.children.items():
            if isinstance(child, Level) and child.open:
                yield from child.parts(f"{prefix}{name}.")
            else:
                yield f"{prefix}{name}", child


@dataclass(frozen=True, eq=False)
class Tree:
    graph: Graph
    root: Level
    late: frozenset[str]
    """Paths of nodes that only outputs of training need."""
    free: Mapping[str, Free]
    """Nodes whose number of results may be any, since nothing but the outputs of the network depends on it."""

    @cached_property
    def places(self) -> dict[str, int]:
        """Where each node stands in the graph's order."""
        return {path: number for number, path in enumerate(self.graph.nodes)}


def tree_of(graph: Graph) -> Tree:
    """The levels of a graph, opened as far as needed for every other level to run at one go."""
    graph = _without_identities(graph)
    root = Level("")
    for node in graph.nodes.values():
        if node.path not in graph.inputs:
            _place(root, node)
    late = frozenset(graph.nodes) - frozenset(graph.inference().nodes) - frozenset(graph.inputs)
    root.takes, root.gives = graph.inputs, tuple(output.node for output in graph.outputs)
    tree = Tree(graph, root, late, _free(graph))
    _open(tree, root)
    return tree


def _without_identities(graph: Graph) -> Graph:
    """The graph without steps that are called `identity`: they hold nothing and do nothing."""
    same: dict[str, str] = {}
    nodes: dict[str, Node] = {}
    for path, node in graph.nodes.items():
        inputs = tuple(same.get(source, source) for source in node.inputs)
        if node.op.op == "identity" and re.fullmatch(r"identity(_\d+)?", path.rpartition(".")[2]):
            same[path] = inputs[0]
        else:
            nodes[path] = replace(node, inputs=inputs)
    outputs = tuple(replace(output, node=same.get(output.node, output.node)) for output in graph.outputs)
    return replace(graph, nodes=MappingProxyType(nodes), outputs=outputs)


def _free(graph: Graph) -> dict[str, Free]:
    """What makes the classes of every classifying and segmenting head; nothing where one of them is made otherwise."""
    found: dict[str, Free] = {}
    node_of = {output.name: output.node for output in graph.outputs}
    counts = {graph.nodes[node_of[name]].type.channels for head in graph.heads.values() for name in head.of}
    for head in graph.heads.values():
        for name in head.of:
            path = node_of[name]
            while graph.nodes[path].op.op in ("resize", "softmax", "upsample"):
                path = graph.nodes[path].inputs[0]
            op: Any = graph.nodes[path].op
            plain = op.op == "dense" or (op.op == "conv" and op.groups == 1 and op.weights is op.table is None)
            ends = not graph.users[node_of[name]] and _alone(graph, path, node_of[name])
            if head.kind not in ("classify", "segment") or len(counts) > 1 or not plain or not ends:
                return {}
            found[path] = Free(graph.nodes[path].type.channels, "classes")
    return found


def _alone(graph: Graph, path: str, last: str) -> bool:
    """Whether the value goes straight to the node `last` and nowhere else."""
    while path != last:
        if len(graph.users[path]) != 1:
            return False
        path = graph.users[path][0]
    return True


def _place(level: Level, node: Node) -> None:
    *parents, name = node.path.split(".")
    frames: list[Frame] = []
    frame = node.frame
    while frame is not None:
        frames.append(frame)
        frame = frame.parent
    names = [re.sub(r"_\d+$", "", parent) for parent in parents]
    calls: dict[int, Frame] = {}
    at = len(parents)
    for frame in frames:  # innermost first
        at = next((n for n in range(at - 1, 0, -1) if frame.name in (parents[n], names[n])), 0)
        if at == 0:
            break
        calls[at] = frame
    for number, parent in enumerate(parents):
        path = ".".join(parents[: number + 1])
        called = calls.get(number)
        if parent not in level.children:
            level.children[parent] = Level(path, frame=called, scope=called or level.scope)
        level = level.below(parent)
    level.children[name] = node


def _open(tree: Tree, level: Level) -> None:
    """Open the levels below that cannot run at one go: they mix what always runs with what only training needs, or
    need a value that needs one of theirs."""
    while True:
        parts = dict(level.parts())
        faulty = [part for part in parts.values() if isinstance(part, Level) and _mixed(tree, part)]
        faulty = faulty or _circular(parts)
        if not faulty:
            break
        for part in faulty:
            part.open = True
    for below in parts.values():
        if isinstance(below, Level):
            _bounds(tree, below)
            _open(tree, below)


def _mixed(tree: Tree, level: Level) -> bool:
    return 0 < sum(node.path in tree.late for node in level.nodes) < len(level.nodes)


def _circular(parts: dict[str, Level | Node]) -> list[Level]:
    try:
        TopologicalSorter(needs(parts)).prepare()
    except CycleError as error:
        return [part for name in error.args[1] if isinstance(part := parts[name], Level)]
    return []


def needs(parts: dict[str, Level | Node]) -> dict[str, set[str]]:
    """Which parts each part needs."""
    owner = {node.path: name for name, part in parts.items() for node in members(part)}
    return {
        name: {owner[path] for node in members(part) for path in node.inputs if owner.get(path, name) != name}
        for name, part in parts.items()
    }


def members(part: Level | Node) -> tuple[Node, ...]:
    return (part,) if isinstance(part, Node) else part.nodes


def _bounds(tree: Tree, level: Level) -> None:
    inside = {node.path for node in level.nodes}
    wanted = {output.node for output in tree.graph.outputs}
    level.takes = tuple(dict.fromkeys(path for node in level.nodes for path in node.inputs if path not in inside))
    level.gives = tuple(
        node.path
        for node in level.nodes
        if node.path in wanted or any(user not in inside for user in tree.graph.users[node.path])
    )


def order(parts: dict[str, Level | Node], nodes: dict[str, int]) -> list[str]:
    """Names of parts so that each comes after those it needs, otherwise as first written."""
    waiting = {name: set(above) for name, above in needs(parts).items()}
    users: dict[str, list[str]] = {name: [] for name in parts}
    for name, above in waiting.items():
        for other in above:
            users[other].append(name)
    first = {name: min(nodes[node.path] for node in members(part)) for name, part in parts.items()}
    ready = [(first[name], name) for name, above in waiting.items() if not above]
    heapify(ready)
    found = []
    while ready:
        _, name = heappop(ready)
        found.append(name)
        for user in users[name]:
            waiting[user].discard(name)
            if not waiting[user]:
                heappush(ready, (first[user], user))
    return found
