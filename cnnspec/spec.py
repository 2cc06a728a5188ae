"""The document as pydantic models: everything in a spec that is data. Expressions stay nodes of the reader."""

from __future__ import annotations

import re
from keyword import iskeyword
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, InstanceOf, ValidationError

from cnnspec import limits
from cnnspec.diagnostics import Diagnostic, SpecError, did_you_mean
from cnnspec.reader import Mapping, Node, Scalar, locate, to_python
from cnnspec.reserved import RESERVED
from cnnspec.syntax import HELPERS, KEYWORDS, WORDS

FORMAT = 1
EXPRESSIONS = ("input", "params", "blocks", "net")
HEADS = ("classify", "locate", "detect", "segment")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

Text = Annotated[str, Field(min_length=1, max_length=limits.SCALAR_CHARS)]
Whole = Annotated[int, Field(ge=1, le=limits.INTEGER)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True, allow_inf_nan=False)


class Classify(_Model):
    """Scores of classes; `lowest` where the smallest number wins (LeNet-5's distances)."""

    of: str | list[str] | None = None
    labels: str | list[str | int] | None = None
    lowest: bool = False


class Locate(_Model):
    """Four numbers of one box."""

    of: str | list[str] | None = None


class Detect(_Model):
    """Boxes over one grid or several, with `anchors` [width, height] in pixels for each."""

    of: str | list[str] | None = None
    labels: str | list[str | int] | None = None
    anchors: list[list[list[float | int]]] | None = None


class Segment(_Model):
    """Scores of classes for every pixel."""

    of: str | list[str] | None = None
    labels: str | list[str | int] | None = None


class HeadOf(_Model):
    """One head: exactly one of the kinds."""

    classify: Classify | None = None
    locate: Locate | None = None
    detect: Detect | None = None
    segment: Segment | None = None


class OutputOptions(_Model):
    when: Literal["train"] | None = None


class Weights(_Model):
    """Published weights: where they are, their hash, and the map of their names."""

    url: Text
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    names: Text
    preprocess: dict[str, Any] = {}
    labels: str | None = None


class Document(_Model):
    """A spec file, section by section."""

    cnnspec: Literal[1]
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    about: Annotated[str, Field(max_length=limits.SCALAR_CHARS)] = ""
    extends: Text | None = None
    use: dict[str, Text] = {}
    input: InstanceOf[Mapping] | None = None
    typical: dict[str, Whole] | None = None
    params: InstanceOf[Mapping] | None = None
    blocks: InstanceOf[Mapping] | None = None
    net: InstanceOf[Mapping] | None = None
    outputs: list[str] | dict[str, OutputOptions] | None = None
    heads: dict[str, HeadOf] | None = None
    expect: dict[str, Any] = {}
    weights: dict[str, Weights] = {}


def document(root: Mapping) -> Document:
    """The validated document; raises SpecError with a diagnostic for every fault."""
    values: dict[str, Any] = {}
    found: list[Diagnostic] = []
    for key, node in root.entries.items():
        try:
            values[key] = node if key in EXPRESSIONS else _unread(node) if key == "expect" else to_python(node)
        except SpecError as error:
            found += error.diagnostics
    if found:
        raise SpecError(found)
    try:
        return Document.model_validate(values)
    except ValidationError as error:
        raise SpecError([_explain(root, dict(fault)) for fault in _distinct(error)]) from None


def _unread(node: Node) -> Any:
    return dict(node.entries) if isinstance(node, Mapping) else to_python(node)


def _distinct(error: ValidationError) -> list[Any]:
    """One fault a place: a union reports each member it tried."""
    seen: dict[tuple[Any, ...], Any] = {}
    for fault in error.errors(include_url=False):
        loc = tuple(step for step in fault["loc"] if "[" not in str(step) and step not in ("str", "list", "dict"))
        seen.setdefault(loc, fault)
    deepest = [loc for loc in seen if not any(other[: len(loc)] == loc and other != loc for other in seen)]
    return [{**seen[loc], "loc": loc} for loc in deepest]


def _explain(root: Mapping, fault: dict[str, Any]) -> Diagnostic:
    loc, span = fault["loc"], locate(root, fault["loc"])
    where = ".".join(map(str, loc))
    kind, got = fault["type"], fault["input"]
    if where == "cnnspec":
        if kind == "missing":
            message = "the first line is missing: cnnspec: 1"
            return Diagnostic("spec.version", message, span, help="add `cnnspec: 1`, the version of the format")
        message = f"format version {_shown(got)} is not supported; this is version {FORMAT}"
        return Diagnostic("spec.version", message, span, help=f"write cnnspec: {FORMAT}")
    if kind == "missing":
        return Diagnostic("spec.missing", f"'{where}' is missing", span)
    if kind == "extra_forbidden":
        return _unknown_key(loc, span)
    if kind.startswith("is_instance_of") or kind in ("dict_type", "model_type", "model_attributes_type"):
        return Diagnostic("spec.type", f"'{where}' is a mapping of names, got {_kind(got)}", span)
    message = f"'{where}': {phrase(kind, fault.get('ctx', {}), got)}"
    return Diagnostic("spec.value", message, span)


def _unknown_key(loc: tuple[Any, ...], span: Any) -> Diagnostic:
    key = str(loc[-1])
    if len(loc) == 1:
        known = list(Document.model_fields)
        message, help = f"unknown section '{key}'", did_you_mean(key, known) or f"the sections are {', '.join(known)}"
        return Diagnostic("spec.section", message, span, help=help)
    if loc[0] == "heads" and len(loc) == 3:
        if key in ("instances", "instance", "instance_segmentation", "mask"):
            message = "instance segmentation (Mask R-CNN) is the next step: it is not built"
            return Diagnostic("spec.head", message, span, help=f"the kinds of heads are {', '.join(HEADS)}")
        message = f"unknown kind of head '{key}'"
        return Diagnostic("spec.head", message, span, help=did_you_mean(key, HEADS) or f"one of {', '.join(HEADS)}")
    return Diagnostic("spec.key", f"unknown key '{key}' in {'.'.join(map(str, loc[:-1]))}", span)


def phrase(kind: str, context: dict[str, Any], got: Any) -> str:
    """What a fault of pydantic's means, in our words, with the value and what is allowed."""
    shown = _shown(got)
    wants = {
        "int_type": "a whole number",
        "float_type": "a number",
        "string_type": "text",
        "bool_type": "true or false",
        "list_type": "a list",
        "tuple_type": "a list",
        "literal_error": f"one of {context.get('expected', '')}",
        "greater_than_equal": f"at least {context.get('ge')}",
        "greater_than": f"more than {context.get('gt')}",
        "less_than_equal": f"at most {context.get('le')}",
        "less_than": f"less than {context.get('lt')}",
        "finite_number": "a finite number",
        "string_pattern_mismatch": f"text of the form {context.get('pattern')}",
        "string_too_long": f"at most {context.get('max_length')} characters",
        "string_too_short": "text that is not empty",
        "too_short": f"at least {context.get('min_length')} items",
        "too_long": f"at most {context.get('max_length')} items",
    }
    extra = "; write true or false" if kind == "bool_type" and got in ("no", "yes", "on", "off") else ""
    return f"want {wants.get(kind, kind.replace('_', ' '))}, got {shown}{extra}"


def refusals(error: ValidationError) -> dict[str, str]:
    """What is wrong with each field; of the members of a union the one that came furthest speaks."""
    faults: dict[str, Any] = {}
    for fault in error.errors(include_url=False):
        name = str(fault["loc"][0])
        if name not in faults or _reach(fault) > _reach(faults[name]):
            faults[name] = fault
    return {name: phrase(fault["type"], fault.get("ctx", {}), fault["input"]) for name, fault in faults.items()}


def _reach(fault: Any) -> tuple[bool, int]:
    """A wrong value of the right type, then a fault deeper inside a list, is the one meant."""
    return not fault["type"].endswith("_type"), len(fault["loc"])


def _kind(value: Any) -> str:
    if isinstance(value, Scalar):
        return f"'{value.text[:40]}'"
    if isinstance(value, Mapping | dict):
        return "a mapping"
    return "a list" if hasattr(value, "items") or isinstance(value, list | tuple) else _shown(value)


def _shown(value: Any) -> str:
    """A value as the language writes it."""
    if isinstance(value, bool):
        return f"the boolean {str(value).lower()}"
    if value is None:
        return "none"
    if isinstance(value, str):
        return f"the text '{value[:40]}'"
    if isinstance(value, list | tuple):
        return f"the list {list(value)!r}"[:60].replace("(", "[").replace(")", "]")
    if isinstance(value, dict):
        return "a mapping"
    return str(value)


def check_name(text: str, what: str) -> str | None:
    """Why a text cannot name something, or None where it can."""
    if len(text) > limits.NAME_CHARS:
        return f"the name of {what} has {len(text)} characters, the limit is {limits.NAME_CHARS}"
    if not _NAME.fullmatch(text):
        return f"'{text}' cannot name {what}: a name is letters, digits and _, and begins with no digit"
    if text in KEYWORDS or text in WORDS or text in HELPERS or text == "op":
        return f"'{text}' cannot name {what}: it is a word of the language"
    if iskeyword(text) or text in RESERVED:
        return f"'{text}' cannot name {what}: Python or PyTorch uses it"
    return None
