"""The graph from Python: immutable, a networkx DAG, with bounds, sizes and an inference part."""

from dataclasses import FrozenInstanceError

import networkx
import pytest

import cnnspec
from cnnspec.diagnostics import UsageError
from cnnspec.front import compile_text
from cnnspec.tensor import Dim, TensorType

AUXILIARY = """\
cnnspec: 1
name: auxiliary
input: {image: [N, 3, 8*h - 4, 8*h]}
typical: {h: 4}
net:
  body: image -> conv(4, 3, padding=valid) -> maxpool(2)
  aux:  body -> conv(2, 1) -> global_avgpool
  main: body -> global_avgpool -> dense(5)
outputs: {main: {}, aux: {when: train}}
"""


def test_a_graph_is_a_networkx_dag() -> None:
    graph = cnnspec.compile("resnet18")
    assert networkx.is_directed_acyclic_graph(graph.dag)
    assert set(graph.dag) == set(graph.nodes)
    add = graph.nodes["c2.stage.unit.add"]
    assert set(graph.dag.predecessors(add.path)) == set(add.inputs)
    assert graph.dag.nodes[add.path]["node"] is add


def test_nodes_come_after_their_inputs() -> None:
    graph = cnnspec.compile("densenet121")
    seen: set[str] = set()
    for path, node in graph.nodes.items():
        assert seen.issuperset(node.inputs)
        seen.add(path)


def test_a_graph_cannot_be_changed() -> None:
    graph = cnnspec.compile("lenet5")
    with pytest.raises(FrozenInstanceError):
        graph.name = "other"  # type: ignore[misc]
    with pytest.raises(TypeError):
        graph.nodes["x"] = graph.nodes["image"]  # type: ignore[index]


def test_it_prints_as_its_summary() -> None:
    assert str(cnnspec.compile("resnet34")) == (
        "resnet34: 124 nodes\n"
        "  image [N, 3, 32*h, 32*w]\n"
        "  -> logits [N, 1000]\n"
        "  21,797,672 parameters, 3,663,761,408 MACs at N=1, h=7, w=7"
    )


def test_the_inference_part_leaves_out_what_is_for_training() -> None:
    graph = compile_text(AUXILIARY)
    inference = graph.inference()
    assert [o.name for o in inference.outputs] == ["main"]
    assert set(graph.nodes) - set(inference.nodes) == {"aux.conv", "aux.global_avgpool"}
    assert inference.inference() is inference
    cost = graph.cost()
    assert (cost.params.total, cost.params.training_total) == (112 + 25, 112 + 25 + 10)


def test_bounds_come_from_every_size_that_must_be_positive() -> None:
    text = AUXILIARY.replace("8*h - 4", "8*h - 12")
    graph = compile_text(text)
    assert graph.bounds == {"h": 2}  # 8h - 12 >= 1, then 8h - 14 >= 1, then 4h - 7 >= 1
    with pytest.raises(UsageError, match="h = 1 is too small: auxiliary wants h >= 2"):
        graph.at(h=1)
    assert graph.at(h=2).nodes["body.maxpool"].type == TensorType((1, 4, 1, 7))


def test_sizes_are_given_typical_or_smallest() -> None:
    graph = compile_text(AUXILIARY)
    assert graph.symbols == ("N", "h")
    assert graph.sizes() == {"N": 1, "h": 4}
    assert graph.sizes(N=8, h=2) == {"N": 8, "h": 2}
    with pytest.raises(UsageError, match="'k' is no symbol of auxiliary; it has N, h"):
        graph.sizes(k=1)


def test_params_by_keyword() -> None:
    graph = cnnspec.compile("resnet34", classes=10, units=[1, 1, 1, 1])
    assert graph.nodes["logits.dense"].type == TensorType((Dim(1, "N"), 10))
    assert "c3.stage.unit_2.add" not in graph.nodes
    with pytest.raises(UsageError, match="resnet34 has no param 'clases'"):
        cnnspec.compile("resnet34", clases=10)


def test_pruning_and_new_entries_rename_nothing() -> None:
    pruned = AUXILIARY.replace("{main: {}, aux: {when: train}}", "[main]").replace(AUXILIARY.splitlines()[6] + "\n", "")
    assert set(compile_text(pruned).nodes) == set(compile_text(AUXILIARY).inference().nodes)
