"""How many calls a graph takes at least, counted from the text before anything is made."""

from __future__ import annotations

from cnnspec import limits
from cnnspec.files import Block, Entry, File
from cnnspec.scope import unconditional
from cnnspec.syntax import Attribute, Binary, Call, Canonical, Conditional, Expr, ListOf, Literal, Loop, Name, Pipe


def least_calls(file: File) -> int:
    """Calls of operators and blocks that the outputs surely need; what depends on conditions or counts is left out."""
    return _needed(file.net, list(file.outputs), file, {})


def _needed(entries: dict[str, Entry], roots: list[str], file: File, known: dict[int, int]) -> int:
    seen: set[str] = set()
    pending = [name for name in roots if name in entries]
    total = 0
    while pending:
        name = pending.pop()
        expr = entries[name].expr
        if name in seen or expr is None:
            continue
        seen.add(name)
        total += _calls(expr, False, file, known)
        pending += [other for other in unconditional(expr) if other in entries]
    return total


def _of_block(block: Block, file: File, known: dict[int, int]) -> int:
    if id(block) not in known:
        known[id(block)] = 0  # a circle of blocks is another error
        known[id(block)] = 1 + _needed(block.body, ["out"], file, known)
    return known[id(block)]


def _calls(expr: Expr, step: bool, file: File, known: dict[int, int]) -> int:
    if isinstance(expr, Name):
        return _of_name(expr, file, known) if step else 0
    if isinstance(expr, Call | Canonical):
        head = expr.callee if isinstance(expr, Call) else expr.op
        tensors = expr.args if isinstance(expr, Call) else expr.inputs
        return _of_name(head, file, known) + sum(_calls(tensor, False, file, known) for tensor in tensors)
    if isinstance(expr, Pipe):
        parts = sum(_calls(part, True, file, known) for part in expr.steps)
        return parts + _calls(expr.first, step, file, known)
    if isinstance(expr, Conditional):
        return min(_calls(expr.then, step, file, known), _calls(expr.otherwise, step, file, known))
    if isinstance(expr, Binary) and expr.sign == "*":
        return _turns(expr.left) * _calls(expr.right, True, file, known)
    if isinstance(expr, Loop):
        return _turns(expr.over) * _calls(expr.step, True, file, known)
    return 0


def _of_name(head: Name | Attribute, file: File, known: dict[int, int]) -> int:
    if not isinstance(head, Name):
        return 1
    if head.id in file.params and (held := file.params[head.id].expr) is not None:
        if id(held) not in known:
            known[id(held)] = 0  # a circle of params is another error
            known[id(held)] = _calls(held, True, file, known)
        return known[id(held)]
    block = file.blocks.get(head.id)
    return _of_block(block, file, known) if block is not None else 1


def _turns(count: Expr) -> int:
    if isinstance(count, ListOf):
        return len(count.items)
    value = count.value if isinstance(count, Literal) else None
    return value if isinstance(value, int) and 0 <= value <= limits.REPEAT else 0
