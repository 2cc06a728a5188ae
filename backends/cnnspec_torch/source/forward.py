"""The method `forward` of a class whose parts do not simply follow one another."""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from cnnspec.ops.base import AbstractOp
from cnnspec_torch.source.form import Form, Ref
from cnnspec_torch.source.function import ATOM, NAMED
from cnnspec_torch.source.layout import WIDTH, Bracket, Text, broken

Written = tuple[Text, int]
TAKEN = frozenset({*dir(builtins), *keyword.kwlist, "self", "torch", "nn", "F", "Tensor", "chain", "numbered"})


@dataclass
class Body:
    """Statements in the making: where each value stands, and how often it is still read."""

    form: Form
    functions: Mapping[str, Callable[..., Written]]
    bypass: Mapping[str, Ref]
    conditions: Mapping[str, str]
    """The attributes that say whether an optional operator runs."""
    shapes: Mapping[Ref, str] | None = None
    """The shapes of values, for comments; only the whole network has them."""
    reads: dict[Ref, int] = field(default_factory=dict)
    users: dict[Ref, list[str]] = field(default_factory=dict)
    gives: dict[str, list[Ref]] = field(default_factory=dict)
    where: dict[Ref, Written] = field(default_factory=dict)
    calls: set[Ref] = field(default_factory=set)
    """Values not yet computed whose text calls a module."""
    held: dict[Ref, set[str]] = field(default_factory=dict)
    """Values not yet computed, with the variables that they read."""
    variables: dict[str, Ref] = field(default_factory=dict)

    def start(self, inputs: list[str], results: list[Ref]) -> None:
        for name, taken in self.form.flow.items():
            for ref in [*taken, *([self.bypass[name]] if name in self.conditions else [])]:
                self.users.setdefault(ref, []).append(name)
        for ref in results:
            self.users.setdefault(ref, []).append("")
        for ref in sorted(self.users):
            self.gives.setdefault(ref[0], []).append(ref)
        self.reads = {ref: len(users) for ref, users in self.users.items()}
        for number, name in enumerate(inputs):
            self.where["", number] = name, ATOM
            self.variables[name] = "", number

    def free(self, name: str) -> bool:
        holder = self.variables.get(name)
        busy = holder is not None and self.reads.get(holder, 0) > 0
        return not busy and not any(name in read for read in self.held.values())

    def name_for(self, ref: Ref, wanted: str, lone: bool, but: list[str]) -> str:
        users = set(self.users.get(ref, []))
        if lone and len(users) == 1 and self.free("x") and not (self.shapes and "" in users):
            return "x"
        base = re.sub(r"\W", "_", wanted.rpartition(".")[2]).lower()
        base = f"{base}_" if base in TAKEN or not base.isidentifier() else base
        name, number = base, 2
        while name in but or not self.free(name):
            name, number = f"{base}_{number}", number + 1
        return name

    def step(self, part: str, results: set[Ref]) -> list[str]:
        """The statement that runs a part, or none where its text goes into the one that reads it."""
        taken = self.form.flow[part]
        given = [self.where[ref] for ref in taken]
        for ref in taken:
            self.reads[ref] -= 1
        inward: set[str] = set().union(*(self.held.pop(ref, set()) for ref in taken))
        inward |= {str(text) for text, _ in given if str(text) in self.variables}
        calling = part not in self.functions or any(ref in self.calls for ref in taken)
        text, bind = self.written(part, given)
        if part in self.conditions:
            self.reads[self.bypass[part]] -= 1
            inward |= {str(self.where[self.bypass[part]][0])}
        values = self.gives.get(part, [(part, 0)])
        if len(values) == 1 and self.inward(part, values[0], text, calling, results):
            self.where[values[0]] = text, bind
            self.held[values[0]] = inward
            self.calls |= {values[0]} if calling else set()
            return []
        targets: list[str] = []
        for ref in values:
            targets.append(self.name_for(ref, self.form.tags.get(ref, part), lone=len(values) == 1, but=targets))
        for ref, target in zip(values, targets, strict=True):
            self.where[ref] = target, ATOM
            self.variables[target] = ref
        shape = self.shapes.get(values[0]) if self.shapes else None
        return self.line(f"{', '.join(targets)} = ", text, shape if len(values) == 1 else None)

    def line(self, before: str, text: Text, shape: str | None) -> list[str]:
        noted = f"{before}{text}  # {shape}"
        return [noted] if shape and len(noted) <= WIDTH - 12 else outdented(text, 12, before)

    def written(self, part: str, given: list[Written]) -> Written:
        if part in self.functions:
            text, bind = self.functions[part](*given)
        else:
            text, bind = Bracket(f"self.{part}(", tuple(text for text, _ in given)), ATOM
        if part in self.conditions:
            return f"{text} if self.{self.conditions[part]} else {self.where[self.bypass[part]][0]}", 0
        return text, bind

    def inward(self, part: str, ref: Ref, text: Text, calling: bool, results: set[Ref]) -> bool:
        """Whether the text may stand inside the statement that reads the value."""
        users = self.users.get(ref, [])
        if users == [""]:
            return ref in results
        if len(users) != 1 or len(str(text)) > 80 or part in self.conditions:
            return False
        (user,) = users
        if self.shapes is not None or user in self.conditions:
            return False
        op = self.op(user)
        return user in self.functions and op is not None and op.op not in NAMED

    def op(self, part: str) -> AbstractOp | None:
        return self.form.leaves[part].op if part in self.form.leaves else None


def outdented(text: Text, indent: int, before: str) -> list[str]:
    """Lines broken as they are at an indent, without it."""
    return [line[indent:] for line in broken(text, indent, before)]


def statements(body: Body, late: set[str], outputs: Mapping[str, Ref] | None, late_outputs: set[str]) -> list[str]:
    """The lines of `forward`, not indented. `late` are the parts, and `late_outputs` the results, of training only."""
    form = body.form
    results = list(outputs.values()) if outputs is not None else list(form.results)
    refs = set(results)
    lines = [line for part in form.flow if part not in late for line in body.step(part, refs)]
    if outputs is None:
        lone = body.where[results[0]][0]
        last = lone if len(results) == 1 else ", ".join(str(body.where[ref][0]) for ref in results)
        return [*lines, *body.line("return ", last, body.shapes.get(results[0]) if body.shapes else None)]
    if late_outputs:
        inner = [line for part in form.flow if part in late for line in body.step(part, refs)]
        inner += _mapping(body, outputs, 12)
        lines += ["if self.training:", *(f"    {line}" for line in inner)]
    return [*lines, *_mapping(body, {name: ref for name, ref in outputs.items() if name not in late_outputs}, 8)]


def _mapping(body: Body, outputs: Mapping[str, Ref], indent: int) -> list[str]:
    items = tuple(f'"{name}": {body.where[ref][0]}' for name, ref in outputs.items())
    return outdented(Bracket("{", items, "}"), indent, "return ")
