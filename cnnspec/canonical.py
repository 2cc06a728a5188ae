"""The canonical form of a graph: one node a line under its path. It reloads to an equal graph, names included."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from cnnspec.graph import Graph, Head, Node
from cnnspec.spec import FORMAT
from cnnspec.tensor import TensorType


def graph_json(graph: Graph) -> dict[str, Any]:
    """The canonical document as JSON values; sizes are text where they hold a symbol."""
    outputs = {o.name: {"when": "train"} if o.train_only else {} for o in graph.outputs}
    net = {path: _node(node) for path, node in graph.nodes.items() if node.inputs}
    aliases = {o.name: o.node for o in graph.outputs if o.name != o.node}
    document: dict[str, Any] = {
        "cnnspec": FORMAT,
        "name": graph.name,
        "about": graph.about,
        "input": {name: _sizes(graph.nodes[name].type) for name in graph.inputs},
        "typical": dict(graph.typical),
        "net": {**net, **aliases},
        "outputs": outputs,
        "heads": {name: {head.kind: _head(head)} for name, head in graph.heads.items()},
    }
    return {key: value for key, value in document.items() if value not in ({}, "")}


def digest(graph: Graph) -> str:
    """SHA-256 of the canonical JSON without `about`: what runs, checkpoints and ONNX files carry."""
    document = {**graph_json(graph), "about": None}
    document["net"] = dict(sorted(document["net"].items()))
    return hashlib.sha256(json.dumps(document, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def resolved_yaml(graph: Graph) -> str:
    """The canonical document as a spec."""
    lines = []
    for section, value in graph_json(graph).items():
        if section in ("net", "heads"):
            lines.append(f"\n{section}:")
            lines += [f"  {name}: {_flow(item)}" for name, item in value.items()]
        else:
            lines.append(f"{section}: {_flow(value)}")
    return "\n".join(lines) + "\n"


def _node(node: Node) -> dict[str, Any]:
    sources = node.inputs[0] if len(node.inputs) == 1 else list(node.inputs)
    fields = node.op.model_dump(mode="json", exclude_defaults=True)
    return {"op": node.op.op, "in": sources, **fields}


def _sizes(type: TensorType) -> list[int | str]:
    return [size if isinstance(size, int) else str(size) for size in type.shape]


def _head(head: Head) -> dict[str, Any]:
    labels = head.label_set or (list(head.labels) if head.labels is not None else None)
    fields = {
        "of": list(head.of),
        "labels": labels,
        "lowest": head.lowest or None,
        "anchors": [[list(anchor) for anchor in grid] for grid in head.anchors] if head.anchors is not None else None,
        "shared_classes": head.shared_classes or None,
    }
    return {key: value for key, value in fields.items() if value is not None}


_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.*+- ")


def _flow(value: Any) -> str:
    """A value in YAML's flow style; text is quoted wherever it could be read as something else."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, str):
        plain = value[:1].isalpha() and set(value) <= _PLAIN and value not in ("true", "false", "null", "none")
        sized = value[:1].isdigit() and "*" in value
        return value if (plain or sized) and value.strip() == value else json.dumps(value, ensure_ascii=False)
    return json.dumps(value)
