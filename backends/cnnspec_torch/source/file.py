"""The file as a whole: head, constants, the parts it uses, a class per block, the network."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from itertools import chain, count
from string import ascii_uppercase

from cnnspec.graph import Graph
from cnnspec_torch.source import parts as shelf
from cnnspec_torch.source.document import block_text, docstring, heading
from cnnspec_torch.source.family import Group, grouped
from cnnspec_torch.source.form import Form, Item, alone, form_of, repeated
from cnnspec_torch.source.forward import TAKEN
from cnnspec_torch.source.layout import WIDTH, literal
from cnnspec_torch.source.make import Make
from cnnspec_torch.source.parts import PARTS
from cnnspec_torch.source.tree import Level, Tree, tree_of
from cnnspec_torch.source.write import Writer


def python_source(graph: Graph) -> str:
    """The network as the text of a Python file."""
    tree = tree_of(graph)
    writer = Writer(tree)
    made: dict[str, Make] = {}
    every = {name.replace("2d", f"{axes}d") for name in PARTS for axes in (1, 2, 3)}
    used = {*every, *TAKEN, "Any", "OrderedDict", "Iterable"}
    network = unused(class_name(graph.name), used)
    blocks: list[str] = []
    for levels in families(tree):
        forms = [form_of(tree, level, made) for level in levels]
        forms = [form for form in forms if not inline(form)]
        if all(form.straight for form in forms) and forms:
            rows = repeated([form.items for form in forms], 3)
            forms = [replace(form, items=mine) for form, mine in zip(forms, rows, strict=True)]
        for group in grouped(tree, forms):
            name = unused(class_name(group.first.level.name), used)
            group.settle(tree)
            made |= group.calls(name)
            blocks.append("\n".join(writer.written(name, group, docstring(about_group(group), 4))))
    root = form_of(tree, tree.root, made)
    items: dict[str, Item] = {
        name: repeated([item], 4)[0] if isinstance(item, dict) else item for name, item in root.items.items()
    }
    group = Group([replace(root, items=items)], items)
    group.settle(tree)
    shape = ", ".join(f"{name} {graph.nodes[name].type}" for name in graph.inputs)
    gives = ", ".join(f"{output.name} {graph.nodes[output.node].type}" for output in graph.outputs)
    doc = docstring([f"{shape} -> {gives}."], 4)
    blocks.append("\n".join(writer.written(network, group, doc, network=True)))
    return assembled(graph, network, blocks, writer)


def assembled(graph: Graph, network: str, blocks: list[str], writer: Writer) -> str:
    body = "\n\n\n".join(blocks)
    carried = parts_of(body)
    code = "\n\n\n".join([*carried, body])
    imports = ["from __future__ import annotations", ""]
    standard = []
    if "OrderedDict(" in code:
        standard.append("from collections import OrderedDict")
    if "Iterable[" in code:
        standard.append("from collections.abc import Iterable")
    if re.search(r"\bAny\b", code):
        standard.append("from typing import Any")
    imports += [*standard, ""] if standard else []
    if re.search(r"\btorch\.", code):
        imports.append("import torch")
    if re.search(r"\bF\.", code):
        imports.append("import torch.nn.functional as F  # noqa: N812")
    imports.append("from torch import Tensor, nn" if "Tensor" in code else "from torch import nn")
    head = docstring(heading(graph, network), 0)
    constants = [line for numbers, name in writer.tables.items() for line in constant(name, numbers)]
    top = "\n".join([*head, "", *imports, *(["", *constants] if constants else [])])
    return f"{top}\n\n\n{code}\n"


def parts_of(body: str) -> list[str]:
    """The text of the parts that the classes use, and of those that these use."""
    every = {name.replace("2d", f"{axes}d"): (name, axes) for name in PARTS for axes in (3, 1, 2)}
    found: dict[str, str] = {}
    waiting = [body]
    while waiting:
        used = set(re.findall(r"(?<![\w.])[A-Za-z_]\w*", waiting.pop()))
        for wanted in sorted(used & every.keys() - found.keys()):
            found[wanted] = _text(*every[wanted])
            waiting.append(found[wanted])
    order = {name.replace("2d", f"{axes}d"): (at, axes) for at, name in enumerate(PARTS) for axes in (3, 2, 1)}
    return [found[name] for name in sorted(found, key=order.__getitem__)]


def _text(name: str, axes: int) -> str:
    text = inspect.getsource(getattr(shelf, name)).rstrip()
    if axes == 2 or "2d" not in name:
        return text
    return text.replace("2d", f"{axes}d").replace("(2, 3)", "(2,)" if axes == 1 else "(2, 3, 4)")


def constant(name: str, numbers: Iterable[object]) -> list[str]:
    """Given numbers in lines of full width, which no formatter breaks up."""
    rows = [line for row in numbers for line in _row(f"{literal(row)},")]
    return ["# fmt: off", f"{name} = (", *rows, ")", "# fmt: on"]


def _row(text: str) -> list[str]:
    lines, line = [], "   "
    for word in text.split(" "):
        if len(line) + 1 + len(word) > WIDTH:
            lines.append(line)
            line = "       "
        line = f"{line} {word}"
    return [*lines, line]


def families(tree: Tree) -> list[list[Level]]:
    """Levels by name, those of parts before those that hold them, otherwise as they first appear."""
    levels = [level for level in tree.root.levels() if level is not tree.root]
    found: dict[str, list[Level]] = {}
    for level in levels:
        found.setdefault(level.name, []).append(level)
    needs = {
        name: {child.name for level in same for child in level.children.values() if isinstance(child, Level)}
        for name, same in found.items()
    }
    sorter = TopologicalSorter(needs)
    try:
        sorter.prepare()
    except CycleError:
        keys = sorted({(_height(level), level.name) for level in levels})
        return [[level for level in levels if (_height(level), level.name) == key] for key in keys]
    places, running = {name: number for number, name in enumerate(found)}, []
    while sorter.is_active():
        ready = sorted(sorter.get_ready(), key=places.__getitem__)
        running += ready
        sorter.done(*ready)
    return [found[name] for name in running]


def _height(level: Level) -> int:
    return max((_height(child) + 1 for child in level.children.values() if isinstance(child, Level)), default=0)


def inline(form: Form) -> bool:
    """Whether the level is no class of its own: an entry whose steps follow one another stands where it is used."""
    return form.level.frame is None and (form.straight or alone(form.level)) and not form.level.open


def about_group(group: Group) -> list[str]:
    form = group.first
    text = block_text(form)
    if not text:
        return [f"`{form.level.name}` of the spec."]
    return text if len(text) == 1 else [*text]


def class_name(name: str) -> str:
    words = re.findall(r"[A-Za-z0-9]+", name)
    joined = "".join(word[0].upper() + word[1:] for word in words)
    return joined if joined[:1].isalpha() else f"Net{joined}"


def unused(name: str, used: set[str]) -> str:
    """The name, or with a letter behind it where another class has it."""
    endings = chain(("",), ascii_uppercase[1:], map(str, count(2)))
    free = next(f"{name}{ending}" for ending in endings if f"{name}{ending}" not in used)
    used.add(free)
    return free
