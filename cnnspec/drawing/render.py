"""DOT to SVG, PNG and PDF by the Graphviz that pygraphviz brings along, in this process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryFile

from cnnspec.diagnostics import MissingError, RunError


def render(text: str, form: str) -> bytes:
    """The bytes of the picture: `svg`, `png` or `pdf`.

    Raises MissingError where pygraphviz is not installed, RunError where Graphviz gives up.
    """
    try:
        import pygraphviz
    except ImportError:
        raise MissingError(f"{form.upper()} needs pygraphviz", "pip install 'cnnspec[plot]'") from None
    with _hushed():
        graph = pygraphviz.AGraph(string=text)
        if form == "png":
            graph.graph_attr["dpi"] = "144"
        try:
            picture = graph.draw(format=form, prog="dot")
        except (ValueError, OSError) as error:
            raise RunError(f"Graphviz cannot draw this: {error}") from None
        finally:
            graph.close()
    if not picture:
        raise RunError("Graphviz draws nothing", "write .dot or .mmd, which need no Graphviz")
    return bytes(picture)


@contextmanager
def _hushed() -> Iterator[None]:
    """What libraries in C write to stderr, kept back: their font configuration may be older than the system's."""
    kept = os.dup(2)
    with TemporaryFile() as aside:
        os.dup2(aside.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
