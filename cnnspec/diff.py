"""What changed from one graph to another: nodes matched by path, then outputs, heads and bounds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cnnspec.graph import Graph, Node
from cnnspec.ops.base import number_of
from cnnspec.values import bracketed

Pair = tuple[str | None, str | None]


@dataclass(frozen=True)
class Change:
    """One path that both graphs have, with other fields, inputs, weights or another shape."""

    before: Node
    after: Node
    params: tuple[int, int]
    """Trainable numbers before and after: other channels coming in change them, and nothing else of the node."""

    @property
    def fields(self) -> dict[str, tuple[object, object]]:
        """Fields of the operator that differ, before and after; `op` where it is another; None for no such field."""
        one, other = ({"op": node.op.op, **node.op.model_dump(mode="json")} for node in (self.before, self.after))
        names = dict.fromkeys((*one, *other))
        return {name: (one.get(name), other.get(name)) for name in names if one.get(name) != other.get(name)}

    @property
    def reshaped(self) -> bool:
        return self.before.type != self.after.type

    @property
    def rewired(self) -> bool:
        return self.before.inputs != self.after.inputs


@dataclass(frozen=True)
class Diff:
    """All that differs but names, texts and typical sizes."""

    removed: tuple[Node, ...]
    added: tuple[Node, ...]
    changed: tuple[Change, ...]
    outputs: Mapping[str, Pair]
    """By name: the node before and after, None where there is no such output."""
    heads: Mapping[str, Pair]
    bounds: Mapping[str, tuple[int, int]]

    def __bool__(self) -> bool:
        return any((self.removed, self.added, self.changed, self.outputs, self.heads, self.bounds))

    @property
    def first(self) -> str:
        """The path, or the output, head or symbol, of the first difference."""
        nodes = [node.path for node in (*self.removed, *(one.before for one in self.changed), *self.added)]
        return next(iter([*nodes, *self.outputs, *self.heads, *self.bounds]), "nothing")


def diff(before: Graph, after: Graph) -> Diff:
    """What `after` has otherwise; nodes in the order of the graph they are in."""
    shared = [path for path in after.nodes if path in before.nodes]
    changes = (Change(before.nodes[p], after.nodes[p], (params(before, p), params(after, p))) for p in shared)
    names = sorted({*before.bounds, *after.bounds})
    least = {name: (before.bounds.get(name, 1), after.bounds.get(name, 1)) for name in names}
    return Diff(
        removed=tuple(node for path, node in before.nodes.items() if path not in after.nodes),
        added=tuple(node for path, node in after.nodes.items() if path not in before.nodes),
        changed=tuple(c for c in changes if c.before != c.after or c.params[0] != c.params[1]),
        outputs=_pairs(_outputs(before), _outputs(after)),
        heads={
            name: (_head(before, name), _head(after, name))
            for name in dict.fromkeys((*before.heads, *after.heads))
            if before.heads.get(name) != after.heads.get(name)
        },
        bounds={name: pair for name, pair in least.items() if pair[0] != pair[1]},
    )


def params(graph: Graph, path: str) -> int:
    """Trainable numbers of one node."""
    node = graph.nodes[path]
    return number_of(node.op.params(*graph.input_types(node))) if node.inputs else 0


def together(nodes: Iterable[Node], other: Graph) -> dict[str, list[Node]]:
    """The nodes by the shortest path that the other graph knows nothing under: a whole block is one group."""
    known = {prefix for path in other.nodes for prefix in _prefixes(path)}
    groups: dict[str, list[Node]] = {}
    for node in nodes:
        prefix = next((prefix for prefix in _prefixes(node.path) if prefix not in known), node.path)
        groups.setdefault(prefix, []).append(node)
    return groups


def _prefixes(path: str) -> list[str]:
    levels = path.split(".")
    return [".".join(levels[:count]) for count in range(1, len(levels) + 1)]


def _pairs(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, Pair]:
    names = dict.fromkeys((*before, *after))
    return {name: (before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)}


def _outputs(graph: Graph) -> dict[str, str]:
    return {o.name: f"{o.node} (training only)" if o.train_only else o.node for o in graph.outputs}


def _head(graph: Graph, name: str) -> str | None:
    """A head in one line."""
    if name not in graph.heads:
        return None
    head = graph.heads[name]
    facts = [f"{head.kind} of {', '.join(head.of)}"]
    facts += [f"{len(head.labels)} labels{f' ({head.label_set})' if head.label_set else ''}"] if head.labels else []
    facts += [word for word, given in (("lowest", head.lowest), ("shared classes", head.shared_classes)) if given]
    facts += [f"anchors {bracketed(head.anchors, str)}"] if head.anchors else []
    return ", ".join(facts)
