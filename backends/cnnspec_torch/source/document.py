"""What the classes of a generated file say of themselves, in the spec's own words."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePath

from cnnspec.diagnostics import Source, printable
from cnnspec.graph import Graph
from cnnspec_torch.source.form import Form
from cnnspec_torch.source.layout import WIDTH, filled

LONG = 20
"""Lines of a definition beyond which it is left out."""


def quoted(text: str) -> str:
    """Text that may stand in a docstring: printable, and without what could end it."""
    return printable(text.replace("\t", " ")).replace("\\", "\\\\").replace('"""', '\\"\\"\\"')


def docstring(lines: Iterable[str], indent: int) -> list[str]:
    """One line, or a title with more below it."""
    pad = " " * indent
    title, *rest = (quoted(line) for line in lines)
    if not rest and len(title) + indent + 6 <= WIDTH:
        return [f'{pad}"""{_ended(title)}"""']
    if rest:
        body = [line for text in (title, *rest) for line in _wrapped(text, pad)]
    else:  # in two lines at least: a formatter would join the quotes to one
        body = filled(title, pad, pad, WIDTH - 20)
    return [f'{pad}"""{body[0].strip()}', *body[1:], f'{pad}"""']


def _ended(text: str) -> str:
    return f'{text[:-1]}\\"' if text.endswith('"') else text


def _wrapped(text: str, pad: str) -> list[str]:
    if not text.strip():
        return [""]
    lead = text[: _indent(text)]
    if len(pad) + len(text) <= WIDTH - 3:
        return [f"{pad}{text}"]
    return filled(text, f"{pad}{lead}", f"{pad}{lead}  ")


def heading(graph: Graph, network: str) -> list[str]:
    """The head of the file: what it is, what goes in and out, what it costs, and where it comes from."""
    cost = graph.cost()
    at = ", ".join(f"{name}={value}" for name, value in cost.symbols.items()) or "the sizes above"
    types = [graph.nodes[name].type.at(cost.symbols) for name in graph.inputs]
    images = [f"torch.randn({', '.join(map(str, type.concrete))})" for type in types]
    about = f": {graph.about}" if graph.about else ""
    lines = [f"{graph.name}{about}", ""]
    lines += [f"input       {name} {graph.nodes[name].type}" for name in graph.inputs]
    for output in graph.outputs:
        late = ", in training only" if output.train_only else ""
        lines.append(f"output      {output.name} {graph.nodes[output.node].type}{late}")
    extra = cost.params.training_total - cost.params.total
    training = f"; {cost.params.training_total:,} in training" if extra else ""
    lines += [
        f"parameters  {cost.params.total:,}{training}",
        f"MACs        {cost.macs:,} at {at}",
        f"spec        {graph.hash}",
        f"usage       {network}().eval()({', '.join(images)})",
        "",
        "Written by `cnnspec compile --target python`; the keys of its state dict are the paths of the spec.",
    ]
    return lines


def block_text(form: Form) -> list[str]:
    """The lines of the spec that define the block or entry; none where they are not at hand."""
    level = form.level
    for node in level.nodes:
        span, frame = node.span, node.frame
        while frame is not level.scope and frame is not None:
            span, frame = frame.span, frame.parent
        if span is not None and frame is level.scope:
            return _definition(span.source, level.name, span.source.position(span.start)[0])
    return []


def _definition(source: Source, name: str, line: int) -> list[str]:
    """The definition of this name that holds the line."""
    head = re.compile(rf"(\s+){re.escape(name)}\s*(\(|:)")
    first = next((number for number in range(line, 0, -1) if head.match(source.line(number))), None)
    if first is None:
        return []
    lines = [source.line(first)]
    indent = _indent(lines[0])
    for number in range(first + 1, len(source.line_starts) + 1):
        text = source.line(number)
        if not text.strip() or _indent(text) <= indent:
            break
        lines.append(text)
    if len(lines) > LONG:
        return []
    cut = [text[indent:].rstrip() for text in lines]
    one = len(cut) == 1 and len(cut[0]) < 110
    return cut if one else [f"`{name}` of {PurePath(source.path).name}:", "", *cut]


def _indent(text: str) -> int:
    return len(text) - len(text.lstrip())
