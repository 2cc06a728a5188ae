"""The document as pydantic models: everything in a spec that is data. Expressions stay nodes of the reader."""

from __future__ import annotations

import re
from keyword import iskeyword
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, InstanceOf, ValidationError

from cnnspec import limits, published
from cnnspec.diagnostics import Diagnostic, Span, SpecError, did_you_mean
from cnnspec.published import Preprocess as Preprocess
from cnnspec.published import Weights as Weights
from cnnspec.reader import Mapping, Node, Scalar, Sequence, is_null, key_span, locate, no_value, to_python
from cnnspec.reserved import RESERVED
from cnnspec.syntax import HELPERS, KEYWORDS, WORDS

FORMAT = 1
EXPRESSIONS = ("input", "params", "blocks", "net")
HEADS = ("classify", "locate", "detect", "segment")
_PATTERNS = {
    r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$": "1 to 64 letters, digits, '.', '_' and '-', the first a letter or digit",
    **published.PATTERNS,
}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

Text = Annotated[str, Field(min_length=1, max_length=limits.SCALAR_CHARS)]
Outputs = str | Annotated[list[str], Field(min_length=1)] | None
Whole = Annotated[int, Field(ge=1, le=limits.INTEGER)]
Pixels = Annotated[float, Field(gt=0, le=limits.DIMENSION)]
Anchors = Annotated[list[Annotated[list[Pixels], Field(min_length=2, max_length=2)]], Field(min_length=1)]
BOX = 5  # numbers of a box: centre, size, objectness
CORNERS = 4  # those of one that is sure


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True, allow_inf_nan=False)


class Classify(_Model):
    """Scores of classes; `lowest` where the smallest number wins (LeNet-5's distances)."""

    of: Outputs = None
    labels: str | list[str | int] | None = None
    lowest: bool = False


class Locate(_Model):
    """Four numbers of one box."""

    of: Outputs = None


class Detect(_Model):
    """Boxes over one grid or several, with `anchors` [width, height] in pixels for each.

    The maps of a cell are, box after box, 4 numbers, objectness and the class scores; with `shared_classes` the class
    scores stand once, after the last box.
    """

    of: Outputs = None
    labels: str | list[str | int] | None = None
    anchors: Annotated[list[Anchors], Field(min_length=1)] | None = None
    shared_classes: bool = False


class Segment(_Model):
    """Scores of classes for every pixel."""

    of: Outputs = None
    labels: str | list[str | int] | None = None


class HeadOf(_Model):
    """One head: exactly one of the kinds."""

    classify: Classify | None = None
    locate: Locate | None = None
    detect: Detect | None = None
    segment: Segment | None = None


class OutputOptions(_Model):
    when: Literal["train"] | None = None


class Document(_Model):
    """A spec file, section by section."""

    cnnspec: Annotated[int, Field(ge=FORMAT, le=FORMAT)]
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


def document(root: Mapping) -> tuple[Document, list[Diagnostic]]:
    """The validated document, with what is wrong about sections that do not exist; raises SpecError for the rest."""
    values: dict[str, Any] = {}
    found: list[Diagnostic] = []
    for key, node in root.entries.items():
        try:
            if is_null(node):
                raise no_value(node)
            values[key] = node if key in EXPRESSIONS else _unread(node) if key == "expect" else to_python(node)
        except SpecError as error:
            found += error.diagnostics
    if found:
        raise SpecError(found)
    unknown = [
        _explain(root, {"type": "extra_forbidden", "loc": (key,), "input": values.pop(key)})
        for key in list(values)
        if key not in Document.model_fields
    ]
    try:
        return Document.model_validate(values), unknown
    except ValidationError as error:
        raise SpecError([*unknown, *(_explain(root, fault) for fault in _distinct(root, error))]) from None


def _unread(node: Node) -> Any:
    return dict(node.entries) if isinstance(node, Mapping) else to_python(node)


def _distinct(root: Mapping, error: ValidationError) -> list[dict[str, Any]]:
    """One fault a place: a union reports each member it tried."""
    seen: dict[tuple[Any, ...], Any] = {}
    for fault in error.errors(include_url=False):
        loc = _written(root, fault["loc"], fault["type"] == "missing")
        if loc not in seen or _reach(fault) > _reach(seen[loc]):
            seen[loc] = fault
    deepest = [loc for loc in seen if not any(other[: len(loc)] == loc and other != loc for other in seen)]
    return [{**seen[loc], "loc": loc} for loc in deepest]


def _written(node: Node, loc: tuple[Any, ...], missing: bool) -> tuple[Any, ...]:
    """The steps of a location that lead on in the file; pydantic adds the members of unions."""
    steps = []
    for step in loc:
        if isinstance(node, Mapping) and step in node.entries:
            node = node.entries[step]
        elif isinstance(node, Sequence) and isinstance(step, int) and step < len(node.items):
            node = node.items[step]
        else:
            continue
        steps.append(step)
    return (*steps, loc[-1]) if missing else tuple(steps)


def _explain(root: Mapping, fault: dict[str, Any]) -> Diagnostic:
    loc, span = fault["loc"], locate(root, fault["loc"])
    where = ".".join(map(str, loc))
    kind, got = fault["type"], fault["input"]
    if where == "cnnspec":
        if kind == "missing":
            message = "the first line is missing: cnnspec: 1"
            span = Span(span.source, span.start, span.start + 1)
            return Diagnostic("spec.version", message, span, help="add `cnnspec: 1`, the version of the format")
        message = f"the version of the format is {FORMAT}, got {_shown(got)}"
        return Diagnostic("spec.version", message, span, help=f"write cnnspec: {FORMAT}")
    if kind == "missing":
        first = Span(span.source, span.start, span.start + 1) if len(loc) == 1 else span
        help = "write name: and the name of the network" if where == "name" else f"write {loc[-1]}: and its value"
        return Diagnostic("spec.missing", f"'{where}' is missing", first, help=help)
    if kind == "extra_forbidden":
        return _unknown_key(loc, key_span(root, loc))
    if kind.startswith("is_instance_of") or kind in ("dict_type", "model_type", "model_attributes_type"):
        message = f"'{where}' is a mapping of names, got {_kind(got)}"
        return Diagnostic("spec.type", message, span, help="write `name: value`, one a line, a blank after the colon")
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
    known = list(_model(loc).model_fields)
    help = did_you_mean(key, known) or f"its keys are {', '.join(known)}"
    return Diagnostic("spec.key", f"unknown key '{key}' in {'.'.join(map(str, loc[:-1]))}", span, help=help)


def _model(loc: tuple[Any, ...]) -> type[BaseModel]:
    """The model of the mapping that holds the last step."""
    heads: dict[str, type[BaseModel]] = {"classify": Classify, "locate": Locate, "detect": Detect, "segment": Segment}
    if loc[0] == "weights":
        return Preprocess if len(loc) > 3 else Weights
    return heads[loc[2]] if loc[0] == "heads" else OutputOptions


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
        "literal_error": _choice(str(context.get("expected", ""))),
        "greater_than_equal": f"at least {_bound(context.get('ge'))}",
        "greater_than": f"more than {_bound(context.get('gt'))}",
        "less_than_equal": f"at most {_bound(context.get('le'))}",
        "less_than": f"less than {_bound(context.get('lt'))}",
        "finite_number": "a finite number",
        "string_pattern_mismatch": _PATTERNS.get(str(context.get("pattern")), "text of another form"),
        "string_too_long": f"at most {context.get('max_length')} characters",
        "string_too_short": "text that is not empty",
        "too_short": f"a list of {context.get('min_length')} or more",
        "too_long": f"a list of {context.get('max_length')} or fewer",
    }
    return f"want {wants.get(kind, kind.replace('_', ' '))}, got {shown}"


def _choice(expected: str) -> str:
    return f"one of {expected}" if " or " in expected else expected


def _bound(number: Any) -> str:
    return f"{number:g}" if isinstance(number, float) else str(number)


def refusals(error: ValidationError, model: type[BaseModel] | None = None) -> dict[str, str]:
    """What is wrong with each field; of the members of a union the one that came furthest speaks."""
    faults: dict[str, Any] = {}
    for fault in error.errors(include_url=False):
        name = str(fault["loc"][0])
        if name not in faults or _reach(fault) > _reach(faults[name]):
            faults[name] = fault
    return {name: _refusal(name, fault, model) for name, fault in faults.items()}


def _reach(fault: Any) -> tuple[bool, int]:
    """A wrong value of the right type, then a fault deeper inside a list, is the one meant."""
    return not fault["type"].endswith("_type"), len(fault["loc"])


def _refusal(name: str, fault: dict[str, Any], model: type[BaseModel] | None) -> str:
    """The whole range of a field where one end of it was missed."""
    words = {"ge": "at least", "gt": "more than", "lt": "less than", "le": "at most"}
    bounds = model.model_fields[name].metadata if model is not None and name in model.model_fields else []
    ends = [f"{words[key]} {_bound(getattr(end, key))}" for end in bounds for key in words if hasattr(end, key)]
    if len(ends) > 1 and fault["type"].startswith(("greater", "less")):
        return f"want {' and '.join(ends)}, got {_shown(fault['input'])}"
    return phrase(fault["type"], fault.get("ctx", {}), fault["input"])


def _kind(value: Any) -> str:
    if isinstance(value, Scalar):
        return f"the text '{value.text[:40]}'"
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
        return f"{_spelled(text)} cannot name {what}: a name is a-z, A-Z, 0-9 and _, and begins with no digit"
    if text in KEYWORDS or text in WORDS or text in HELPERS or text == "op":
        return f"'{text}' cannot name {what}: it is a word of the language"
    if iskeyword(text) or text in RESERVED:
        return f"'{text}' cannot name {what}: Python or PyTorch uses it"
    return None


def _spelled(text: str) -> str:
    """A text in quotes, and by its codes where its letters may look like others."""
    return f"'{text}'" if text.isascii() else f"'{text}' ({ascii(text)[1:-1]})"
