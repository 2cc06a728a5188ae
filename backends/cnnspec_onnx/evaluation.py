"""ONNX models run by onnxruntime, for judges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cnnspec.dense import classes_of
from cnnspec.diagnostics import RunError, SpecError, UsageError
from cnnspec.front import compile_text
from cnnspec.judges.base import CLASSED, Network

if TYPE_CHECKING:
    from cnnspec.vision import Pixels
    from cnnspec_onnx.session import Session


def network(session: Session) -> Network:
    """A session, read by the spec that the model carries.

    Raises RunError where that does not compile or does not fit the model.
    """
    try:
        graph = compile_text(session.card.spec, shown=f"{session.path}:spec").inference()
        classes = {name: classes_of(graph, name) for name, head in graph.heads.items() if head.kind in CLASSED}
    except SpecError as error:
        raise RunError(f"{session.path}: the spec in it does not compile: {error.diagnostics[0].message}") from None
    except UsageError as error:
        raise RunError(f"{session.path}: {error.message}") from None
    if set(graph.heads) != set(session.card.heads) or session.card.suppressed not in (None, *graph.heads):
        raise RunError(f"{session.path}: the spec in it and its heads do not fit each other")
    number = max(classes.values(), default=0)
    if any(other != number for other in classes.values()):
        raise RunError(f"{session.path}: its heads tell apart different numbers of classes")
    named = [tuple(head.labels) for head in session.card.heads.values() if head.labels and len(head.labels) == number]
    how = session.preparation

    def run(pixels: Pixels) -> Mapping[str, Any]:
        (name,) = graph.inputs
        return session(**{name: pixels if session.raw else how.normalize(pixels)})

    labels = named[0] if named else tuple(map(str, range(number)))
    return Network(graph, labels, how, run, session.card.suppressed, session.card.confidence)
