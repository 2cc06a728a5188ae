"""No operator lacks its name, its row in the table or its lowering; each failure names the operator."""

from __future__ import annotations

import json
from inspect import isabstract

import pytest
import torch
from pydantic import ValidationError

from cnnspec.canonical import resolved_yaml
from cnnspec.front import compile_text
from cnnspec.ops import BY_NAME, OPS
from cnnspec.ops.base import AbstractOp
from cnnspec.ops.source import Input
from cnnspec.reserved import RESERVED
from cnnspec.tensor import TensorType
from cnnspec_torch.lower import lower
from samples import IDS, SAMPLES, Sample


def test_the_list_is_closed_and_named() -> None:
    assert list(BY_NAME.values()) == list(OPS)
    assert [name for name in BY_NAME if name in RESERVED or not name.isidentifier()] == []


def test_every_class_is_abstract_or_final() -> None:
    classes = [AbstractOp]
    for base in classes:
        classes += [c for c in base.__subclasses__() if c.__module__.startswith("cnnspec.")]
    final = {c for c in classes if getattr(c, "__final__", False)}
    assert final == {*OPS, Input}
    assert [c.__name__ for c in classes if c not in final and not c.__name__.startswith("Abstract")] == []
    assert [c.__name__ for c in final if isabstract(c)] == []


@pytest.mark.parametrize("op", OPS, ids=BY_NAME)
def test_an_operator_is_complete(op: type[AbstractOp]) -> None:
    assert any(type(sample.op) is op for sample in SAMPLES), f"tests/samples.py has no row for {op.op}"
    assert lower.dispatch(op) is not lower.dispatch(object), f"cnnspec_torch has no lowering for {op.op}"
    assert (op.__doc__ or "").strip(), f"{op.op} says not what it is"
    assert set(op.positional) <= set(op.model_fields), f"{op.op} has positional arguments that are no fields"


def test_ids_are_unique() -> None:
    assert len(set(IDS)) == len(IDS)


def test_an_unknown_operator_is_refused_by_name() -> None:
    with pytest.raises(NotImplementedError, match="the torch backend has no lowering for the operator 'input'"):
        lower(Input(), TensorType((1, 1)))


def test_an_input_has_no_shape_rule() -> None:
    with pytest.raises(TypeError, match="declared, not inferred"):
        Input().infer()


@pytest.mark.parametrize("sample", SAMPLES, ids=IDS)
def test_frozen_and_equal_by_fields(sample: Sample) -> None:
    copy = type(sample.op).model_validate(sample.op.model_dump())
    assert copy == sample.op
    assert hash(copy) == hash(sample.op)
    for field in type(sample.op).model_fields:
        with pytest.raises(ValidationError, match="frozen"):
            setattr(sample.op, field, getattr(sample.op, field))


@pytest.mark.parametrize("sample", SAMPLES, ids=IDS)
def test_a_spec_can_say_it(sample: Sample) -> None:
    """In canonical form, which `show --resolved` writes again and which reloads to an equal graph."""
    names = [f"x{i}" for i in range(len(sample.inputs))]
    inputs = {name: ["N", *x.shape[1:]] for name, x in zip(names, sample.inputs, strict=True)}
    node = {"op": sample.op.op, "in": names, **sample.op.model_dump(mode="json", exclude_defaults=True)}
    document = {"cnnspec": 1, "name": "one", "input": inputs, "net": {"y": node}, "outputs": ["y"]}
    graph = compile_text(json.dumps(document))
    assert graph.nodes[graph.outputs[0].node].op == sample.op
    again = compile_text(resolved_yaml(graph))
    assert (again, again.hash) == (graph, graph.hash)


@pytest.mark.parametrize("sample", SAMPLES, ids=IDS)
def test_aliases_tell_the_truth(sample: Sample) -> None:
    """A result that shares memory with an operand is declared; or else writing over it would be unsafe."""
    xs = [torch.randn(x.concrete) for x in sample.inputs]
    y = lower(sample.op, *sample.inputs).eval()(*xs)
    shared = any(y.untyped_storage().data_ptr() == x.untyped_storage().data_ptr() for x in xs)
    assert shared == sample.op.aliases
