"""Numbers given in a spec: nested lists, all of one length at each depth."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, WithJsonSchema
from pydantic_core import PydanticCustomError


def _nested(value: Any) -> Any:
    """The same in tuples of floats; raises a pydantic error where it is no such list."""
    if _depths(value) is None:
        raise PydanticCustomError("lists of numbers, equally long at each depth", "ragged lists")
    return _floats(value)


Numbers = Annotated[Any, AfterValidator(_nested), WithJsonSchema({"type": "array"})]


def sizes_of(numbers: Any) -> tuple[int, ...]:
    """The shape of validated numbers."""
    sizes = _depths(numbers)
    assert sizes is not None
    return sizes


def _floats(value: Any) -> Any:
    return tuple(map(_floats, value)) if isinstance(value, tuple | list) else float(value)


def _depths(value: Any) -> tuple[int, ...] | None:
    """Sizes of nested lists; None where they are no equally long ones of finite numbers."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return () if abs(value) < float("inf") else None
    if not isinstance(value, tuple | list) or not value:
        return None
    inner = {_depths(item) for item in value}
    found = inner.pop()
    return None if inner or found is None else (len(value), *found)
