"""Names that stand for two things, and names that need each other in a circle."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter

from cnnspec.diagnostics import SHOWN, Diagnostic, Span
from cnnspec.files import Block, File
from cnnspec.ops import BY_NAME
from cnnspec.reader import locate
from cnnspec.scope import Findings
from cnnspec.syntax import Attribute, Binary, Call, Canonical, Conditional, Expr, Loop, Name, Pipe

Row = tuple[str, str, Span]


def twins(file: File, findings: Findings) -> None:
    """Any two of one name are an error; a block that hides an operator is a warning."""
    shared: list[Row] = []
    shared += [(n, "a param", e.key) for n, e in file.params.items()]
    shared += [(n, "a block", b.key) for n, b in file.blocks.items()]
    uses = {n: _use_span(file, n) for n in file.uses}
    shared += [(n, "a used spec", span) for n, span in uses.items()]
    net = [(n, "an input", e.key) for n, e in file.inputs.items()]
    net += [(n, "an entry", e.key) for n, e in file.net.items()]
    _distinct([*shared, *net], findings)
    for name, block in file.blocks.items():
        if name in BY_NAME:
            message = f"the block '{name}' hides the operator of that name"
            findings.add(Diagnostic("advice.shadow", message, block.key, "warning", help="rename the block"))
        own = [(t, "a tensor", block.key) for t in block.tensors]
        own += [(a.name, "an argument", a.span) for a in block.arguments]
        own += [(n, "an entry", e.key) for n, e in block.body.items() if n != "out"]
        hidden = {a.name for a in block.arguments}
        _distinct([*(row for row in shared if row[0] not in hidden or row[1] != "a param"), *own], findings, own)


def _distinct(rows: list[Row], findings: Findings, only: list[Row] | None = None) -> None:
    first: dict[str, tuple[str, Span]] = {}
    for row in rows:
        name, what, span = row
        if name in first and (only is None or row in only):
            other, at = first[name]
            message = f"'{name}' is {what} here and {other} in line {at.line}"
            findings.add(Diagnostic("name.twice", message, span, help="rename one of them"))
        first.setdefault(name, (what, span))


def result_steps(block: Block, findings: Findings) -> None:
    """An entry may not bear the name of a step of `out`, whose steps add no level of their own."""
    out = block.body.get("out")
    if out is None or out.expr is None or len(block.body) == 1:
        return
    steps = set(_step_names(out.expr, False))
    for name, entry in block.body.items():
        if name in steps or (name.rpartition("_")[0] in steps and name.rpartition("_")[2].isdigit()):
            message = f"'{name}' is also the name of a step of out"
            findings.add(Diagnostic("name.step", message, entry.key, help="rename the entry"))


def circles(needs: Mapping[str, set[str]]) -> list[list[str]]:
    """Circles among names, each in the direction of need and begun at its least name."""
    left = dict(needs)
    found: list[list[str]] = []
    while len(found) < SHOWN:
        try:
            TopologicalSorter(left).prepare()
            break
        except CycleError as error:
            circle = list(reversed(error.args[1]))[:-1]
            start = circle.index(min(circle))
            found.append([*circle[start:], *circle[:start]])
            left = {name: others - set(circle) for name, others in left.items() if name not in circle}
    return found


def _step_names(expr: Expr, step: bool) -> Iterable[str]:
    """Names of the steps that an expression writes; `step`: whether it stands where a step does."""
    if isinstance(expr, Name | Attribute):
        if step:
            yield expr.id if isinstance(expr, Name) else expr.name
    elif isinstance(expr, Call | Canonical):
        yield from _step_names(expr.callee if isinstance(expr, Call) else expr.op, True)
        for arg in expr.args if isinstance(expr, Call) else expr.inputs:
            yield from _step_names(arg, False)
    elif isinstance(expr, Pipe):
        yield from _step_names(expr.first, step)
        for part in expr.steps:
            yield from _step_names(part, True)
    elif isinstance(expr, Conditional):
        yield from _step_names(expr.then, step)
        yield from _step_names(expr.otherwise, step)
    elif isinstance(expr, Loop):
        yield from _step_names(expr.step, True)
    elif isinstance(expr, Binary):
        yield from _step_names(expr.right, expr.sign == "*")


def _use_span(file: File, name: str) -> Span:
    return locate(file.node, ("use", name))
