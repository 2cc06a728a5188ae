"""Random specs that mostly compile: inputs, params, blocks, entries, outputs."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import strategies as st

from cnnspec.tensor import Dim, Size, TensorType
from random_pen import Pen
from random_scope import Book, Needs, Scope


@st.composite
def specs(draw: st.DrawFn) -> str:
    """The text of a spec; it expects the shapes that the arithmetic of the generator gives."""
    typical: dict[str, int] = {}
    net = Scope(draw, typical, Book())
    inputs = {"in0": declared(net, typical)}
    if net.chance(3):
        inputs["in1"] = net.pick(inputs["in0"], declared(net, typical))
    net.tensors.update(inputs)
    for _ in range(net.pick(3, 1, 2, 4, 5, 6)):
        net.entry()
    outputs: dict[str, str] = {}
    reached: Needs = Needs()
    for name in [*reversed(net.entries), *inputs]:
        if name not in reached or name in net.tapped or net.chance(5):
            outputs[name] = "{when: train}" if outputs and net.chance(3) else "{}"
            reached |= net.reached([name])
    sections = {
        "params": [f"{name}: {text}" for name, (_, text) in net.book.params.items()],
        "blocks": net.book.lines,
        "net": net.lines,
    }
    at = {name: typical[name] for x in inputs.values() for name in x.symbols if name in typical}
    lines = ["cnnspec: 1", "name: random", f"input: {written(inputs)}"]
    lines += [f"typical: {written(at)}"] if at else []
    for section, entries in sections.items():
        lines += [f"{section}:", *(f"  {line}" for line in entries)] if entries else []
    typed = {name: net.tensors[name] for name in net.entries}
    return "\n".join([*lines, f"outputs: {written(outputs)}", f"expect: {written(typed)}"]) + "\n"


def written(items: Mapping[str, object]) -> str:
    return f"{{{', '.join(f'{name}: {value}' for name, value in items.items())}}}"


def declared(pen: Pen, typical: dict[str, int]) -> TensorType:
    """The type of an input: a vector, or maps of one to three axes."""
    axes = pen.pick(2, 2, 1, 3, 0)
    most = {0: 0, 1: 18, 2: 12, 3: 6}[axes]
    sizes: list[Size] = []
    for name in ("h", "w", "d")[:axes]:
        symbol = pen.pick(name, "h")
        if pen.chance(2):
            factor, offset = pen.pick(4, 2, 1, 6), pen.pick(0, 0, 1, 3, -1)
            value = typical.setdefault(symbol, pen.pick(1, 2, 3))
            if 1 <= factor * value + offset <= most + 3:
                sizes.append(Dim(factor, symbol, offset))
                continue
        sizes.append(pen.pick(*range(most // 2, most + 1), 1, 2))
    return TensorType((Dim(1, "N"), pen.pick(3, 1, 2, 4, 6), *sizes))
