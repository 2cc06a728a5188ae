"""ONNX networks of boxes and masks run by onnxruntime; cnnspec.dense says what becomes of their outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnspec.dense import Network, classes_of, dense_head, naming
from cnnspec.diagnostics import RunError, SpecError, UsageError
from cnnspec.front import compile_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from cnnspec.vision import Pixels
    from cnnspec_onnx.session import Session


def network(session: Session) -> Network:
    """A session as a network with boxes or masks, read by the spec that the model carries.

    Raises RunError where that does not compile or does not fit the model, UsageError where no head looks at places.
    """
    try:
        graph = compile_text(session.card.spec, shown=f"{session.path}:spec")
    except SpecError as error:
        raise RunError(f"{session.path}: the spec in it does not compile: {error.diagnostics[0].message}") from None
    head = dense_head(graph)
    if head is None:
        raise UsageError(f"{session.name} has no head of boxes or masks")
    card = session.card
    known = card.heads.get(naming(graph, head))
    if known is None or card.suppressed not in (None, head):
        raise RunError(f"{session.path}: the spec in it and its heads do not fit each other")
    classes = classes_of(graph, head)
    labels = tuple(known.labels or ())
    labels = labels if len(labels) == classes else tuple(map(str, range(classes)))
    how = session.preparation

    def run(pixels: Pixels) -> Mapping[str, Any]:
        (name,) = graph.inputs
        return session(**{name: pixels if session.raw else how.normalize(pixels)})

    return Network(graph, head, labels, how, run, card.suppressed is not None, card.confidence, card.overlap)
