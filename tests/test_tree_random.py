"""Random specs in tables and drawings: the numbers add up, every node has its place, and no change goes unseen."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings

from cnnspec.commands.rows import lines_of
from cnnspec.diagnostics import SpecError
from cnnspec.diff import diff
from cnnspec.drawing.dot import dot
from cnnspec.drawing.mermaid import mermaid
from cnnspec.drawing.scene import scene_of
from cnnspec.front import compile_text
from cnnspec.graph import Graph
from cnnspec.tree import tree
from random_specs import specs

FEW = settings(
    max_examples=50,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def made(text: str) -> Graph | None:
    try:
        return compile_text(text)
    except SpecError:  # an unused input
        return None


@FEW
@given(specs())
def test_random_specs_are_shown_whole(text: str) -> None:
    if (graph := made(text)) is None:
        return
    cost = graph.cost()
    inference = graph.inference()
    for depth in (None, 0, 1, 2, 3):
        lines = lines_of(tree(inference), cost.rows, depth)
        least = [line for line, below in zip(lines, [*lines[1:], lines[0]], strict=True) if below.indent <= line.indent]
        assert sum(line.params for line in least) == cost.params.total
        assert sum(line.macs for line in least) == cost.macs
        scene = scene_of(graph, cost, depth=depth, measure=None)
        ids = {box.id for box in scene.boxes}
        joined = {end for edge in scene.edges for end in (edge.source, edge.target)}
        assert len(ids) == len(scene.boxes)
        assert joined <= ids
        assert ids - joined <= set(graph.inputs)
        assert dot(scene).count(" -> ") >= len(scene.edges) == mermaid(scene).count(" -->")


@FEW
@given(specs(), specs())
def test_random_changes_are_all_told(one: str, other: str) -> None:
    before, after = made(one), made(other)
    if before is None or after is None:
        return
    found, back = diff(before, after), diff(after, before)
    assert not diff(before, before)
    assert len(before.nodes) - len(found.removed) + len(found.added) == len(after.nodes)
    assert {node.path for node in found.added} == {node.path for node in back.removed}
    same = {*before.nodes} & {*after.nodes} - {change.before.path for change in found.changed}
    assert all(before.nodes[path] == after.nodes[path] for path in same)
