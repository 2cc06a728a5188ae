"""The JSON Schema of a spec, for editors: keys, heads, and the canonical form of every operator.

An expression gets a pattern of the characters it may hold, and examples; `cnnspec check` is the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cnnspec import limits
from cnnspec.expect import COUNTS
from cnnspec.ops import OPS
from cnnspec.ops.base import AbstractOp
from cnnspec.spec import Document

DIALECT = "https://json-schema.org/draft/2020-12/schema"
NAME = "[A-Za-z_][A-Za-z0-9_]{0,63}"
_EXPRESSION = r"^([A-Za-z0-9_ \t\r\n.,:;=<>!+*/%()\[\]-]|'[^'\n]*')+$"
_EXAMPLES = [
    "image -> conv(64, 7, 2) -> batchnorm -> relu",
    "x if x.shape == main.shape else x -> conv_bn(filters, 1, stride)",
    "add(main, skip) -> relu",
    "x -> unit(filters, stride) -> (count - 1) * unit(filters)",
    "(stage(t, c, n, s) for t, c, n, s in rows)",
]
_ABOUT = {
    "cnnspec": "The version of the format.",
    "name": "The network's name.",
    "about": "What it is, and the paper and table it comes from.",
    "extends": "A spec whose sections this one replaces or adds to.",
    "use": "Specs brought in as blocks: name, then a relative path or a shipped spec's name.",
    "input": "Tensors that come in: [batch, channels, sizes...]; a size is a number or holds a symbol, as 32*h.",
    "typical": "Sizes the cost report uses unless told otherwise.",
    "params": "Values that --set, or keywords from Python, may override.",
    "blocks": "Named pieces: a signature, then an expression or named entries with the result `out`.",
    "net": "The network: each name is a tensor; the order of lines means nothing.",
    "outputs": "Names of the net that come out; {when: train} for those that only training needs.",
    "heads": "What an output means: classify, locate, detect or segment.",
    "expect": "Facts that are checked: params, training_params, buffers, shapes by entry.",
    "weights": "Published weights by name.",
}


def spec_schema() -> dict[str, Any]:
    """The schema of a whole document (JSON Schema, draft 2020-12)."""
    document = Document.model_json_schema()
    properties = _without_null(document["properties"]) | _sections()
    definitions = _used(properties, _without_null(document["$defs"]))
    definitions["HeadOf"] |= {"minProperties": 1, "maxProperties": 1}
    for name, entry in properties.items():
        entry.pop("title", None)
        entry["description"] = _ABOUT[name]
    return {
        "$schema": DIALECT,
        "title": "cnnspec 1",
        "description": "A convolutional network as a text: the tensors it has and how each comes from the others.",
        "type": "object",
        "properties": properties,
        "required": ["cnnspec", "name"],
        "additionalProperties": False,
        "$defs": definitions | _definitions(),
    }


def _sections() -> dict[str, Any]:
    """The sections that hold expressions, which the document's models leave unread."""
    entries = {"type": "object", "additionalProperties": {"$ref": "#/$defs/value"}}
    sizes = {"type": "array", "items": {"$ref": "#/$defs/number"}, "minItems": 2, "maxItems": 5}
    return {
        "input": _names({"$ref": "#/$defs/sizes"}) | {"minProperties": 1},
        "params": _names({"$ref": "#/$defs/value"}),
        "blocks": {
            "type": "object",
            "patternProperties": {rf"^{NAME}(\s*\(.*\))?$": {"anyOf": [{"$ref": "#/$defs/value"}, entries]}},
            "additionalProperties": False,
        },
        "net": {
            "type": "object",
            "patternProperties": {rf"^{NAME}(\.{NAME})*$": {"$ref": "#/$defs/value"}},
            "additionalProperties": False,
        },
        "expect": {
            "type": "object",
            "properties": {name: {"type": "integer", "minimum": 0} for name in COUNTS},
            "additionalProperties": {"anyOf": [sizes, {"$ref": "#/$defs/expression"}]},
        },
    }


def _names(values: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "patternProperties": {f"^{NAME}$": values}, "additionalProperties": False}


def _definitions() -> dict[str, Any]:
    operators = {f"op.{op.op}": _operator(op) for op in OPS}
    chosen = [{"if": {"properties": {"op": {"const": op.op}}}, "then": {"$ref": f"#/$defs/op.{op.op}"}} for op in OPS]
    reference = {"$ref": "#/$defs/value"}
    return {
        "expression": {
            "type": "string",
            "minLength": 1,
            "maxLength": limits.SCALAR_CHARS,
            "pattern": _EXPRESSION,
            "examples": _EXAMPLES,
        },
        "number": {"anyOf": [{"type": "number"}, {"$ref": "#/$defs/expression"}]},
        "sizes": {"type": "array", "items": {"$ref": "#/$defs/number"}, "minItems": 2, "maxItems": 5},
        "value": {
            "description": "An expression, number, boolean, list of such, the form {op: ...}, or numbers: {file: ...}.",
            "anyOf": [
                {"$ref": "#/$defs/expression"},
                {"type": ["number", "boolean"]},
                {"type": "array", "items": reference},
                {"$ref": "#/$defs/call"},
                {"$ref": "#/$defs/given"},
            ],
        },
        "given": {
            "description": "Lists of numbers from a JSON file, its path relative to this one.",
            "type": "object",
            "properties": {"file": {"type": "string", "minLength": 1, "maxLength": limits.SCALAR_CHARS}},
            "required": ["file"],
            "additionalProperties": False,
        },
        "call": {
            "description": "The canonical form: an operator or block by name, its inputs, its fields.",
            "type": "object",
            "properties": {
                "op": {"type": "string", "minLength": 1, "examples": [op.op for op in OPS]},
                "in": {"anyOf": [reference, {"type": "array", "items": reference}]},
            },
            "required": ["op"],
            "additionalProperties": reference,
            "allOf": chosen,
        },
        **operators,
    }


def _used(root: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    """The definitions that `root` leads to; the models' unread sections would bring the reader's classes along."""
    kept: dict[str, Any] = {}
    waiting = list(_references(root))
    while waiting:
        name = waiting.pop()
        if name in definitions and name not in kept:
            kept[name] = definitions[name]
            waiting += _references(kept[name])
    return kept


def _references(entry: Any) -> Iterator[str]:
    for value in entry.values() if isinstance(entry, dict) else entry if isinstance(entry, list) else ():
        yield from _references(value)
    if isinstance(entry, dict) and "$ref" in entry:
        yield str(entry["$ref"]).removeprefix("#/$defs/")


def _operator(op: type[AbstractOp]) -> dict[str, Any]:
    """One operator in canonical form: its fields are the class's, each of which may be an expression too."""
    schema = _without_null(op.model_json_schema())
    fields = {name: _field(entry) for name, entry in schema.get("properties", {}).items()}
    return {
        "description": (op.__doc__ or op.op).strip().split("\n")[0],
        "properties": {"op": {"const": op.op}, "in": True, **fields},
        "required": ["op", *schema.get("required", ())],
        "additionalProperties": False,
    }


def _field(entry: dict[str, Any]) -> dict[str, Any]:
    default = {"default": entry["default"]} if "default" in entry else {}
    bare = {key: value for key, value in entry.items() if key not in ("title", "default")}
    return {"anyOf": [bare, {"$ref": "#/$defs/expression"}, {"$ref": "#/$defs/given"}], **default}


def _without_null(entry: Any) -> Any:
    """A spec has no nulls: an optional key is left out instead."""
    if isinstance(entry, list):
        return [_without_null(item) for item in entry if item != {"type": "null"}]
    if not isinstance(entry, dict):
        return entry
    kept = {key: _without_null(value) for key, value in entry.items() if not (key == "default" and value is None)}
    only = kept.get("anyOf")
    if isinstance(only, list) and len(only) == 1 and isinstance(only[0], dict):
        kept = {**{key: value for key, value in kept.items() if key != "anyOf"}, **only[0]}
    return kept
