"""The text of one class."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cnnspec_torch.memory import channels_last
from cnnspec_torch.source.arguments import Constant
from cnnspec_torch.source.family import Group
from cnnspec_torch.source.form import Item, Only, Ref, Run, Slot
from cnnspec_torch.source.forward import TAKEN, Body, Written, statements
from cnnspec_torch.source.function import function
from cnnspec_torch.source.layout import WIDTH, Bracket, Text, broken, literal
from cnnspec_torch.source.make import Arg, Make, Table
from cnnspec_torch.source.tree import Tree, members


@dataclass
class Writer:
    tree: Tree
    tables: dict[Any, str] = field(default_factory=dict)
    """Constants of the file: given numbers by the name they get."""

    def value(self, value: Any, role: str) -> str:
        if not isinstance(value, Table):
            return literal(value)
        name = next((name for numbers, name in self.tables.items() if numbers == value.numbers), None)
        if name is None:
            name = self.tables[value.numbers] = f"{role.upper()}_{len(self.tables) + 1}"
        return f"torch.tensor({name}){value.after}" if value.after or role == "weight" else name

    def make(self, make: Make, at: Slot, texts: Mapping[Slot, str | Constant]) -> Bracket:
        items = []
        if not make.callee:
            found = texts[(*at, make.args[0].role)]
            return Bracket(f"{self.value(found.value, '') if isinstance(found, Constant) else found}(", ())
        for arg in make.args:
            found = texts[(*at, arg.role)]
            text = self.argument(arg, found)
            if text is not None:
                items.append(text)
        call = Bracket(f"{make.callee}(", tuple(items))
        function, after = make.wrap
        return Bracket(f"{function}(", (call,), f"{after})") if function else call

    def argument(self, arg: Arg, found: str | Constant) -> str | None:
        if isinstance(found, Constant):
            same = type(found.value) is type(arg.default) and found.value == arg.default
            if same:
                return None
            found = self.value(found.value, arg.role)
        return f"{arg.role}={found}" if arg.keyword else found

    def item(self, item: Item, at: Slot, group: Group) -> Bracket:
        """The expression of an item; steps in a row are a chain."""
        if isinstance(item, Make):
            return self.make(item, at, group.texts)
        if isinstance(item, Run):
            return self.run(item, at, group)
        steps: list[Text] = []
        for name, step in item.items():
            slot = (*at, name)
            text = self.item(step, slot, group)
            if slot in group.conditions:
                steps.append(f"{name}={text} if {group.conditions[slot]} else nn.Identity()")
            elif isinstance(step, Run):
                steps.append(Bracket(f"**{text.head}", text.items, text.tail))
            else:
                steps.append(Bracket(f"{name}={text.head}", text.items, text.tail))
        return Bracket("Alone(" if isinstance(item, Only) else "chain(", tuple(steps))

    def run(self, run: Run, at: Slot, group: Group) -> Bracket:
        call, turning = self.turn(run, at, group)
        name = at[-1] if run.start == 1 else at[-1].removesuffix(f"_{run.start}")
        if run.each:
            names, over = self.listed(run, at, group)
            turn = f"({call} for {names} in {over})"
        else:
            last = group.texts[(*at, "count")]
            turns = str(last.value - run.start + 1) if isinstance(last, Constant) else str(last)
            turns = turns if isinstance(last, Constant) or run.start == 1 else f"{turns} - {run.start - 1}"
            turn = f"({call} for {'i' if turning else '_'} in range({turns}))"
        return Bracket("numbered(", (f'"{name}"', turn, *([f"start={run.start}"] if run.start > 1 else [])))

    def listed(self, run: Run, at: Slot, group: Group) -> tuple[str, str]:
        """The names of a turn's decimals, and the expression that gives them turn by turn."""
        roles = [run.make.args[place].role for place in run.each]
        found = [group.texts[(*at, f"{role}s")] for role in roles]
        texts = [self.value(text.value, "") if isinstance(text, Constant) else text for text in found]
        return ", ".join(self.one(role, group) for role in roles), texts[0] if len(
            texts
        ) == 1 else f"zip({', '.join(texts)}, strict=True)"

    def one(self, role: str, group: Group) -> str:
        """The name of one turn's decimal, which may not hide an argument."""
        return role if all(column.name != role for column in group.columns) else f"one_{role}"

    def turn(self, run: Run, at: Slot, group: Group) -> tuple[Text, bool]:
        """The call of turn i, and whether it differs from turn to turn."""
        texts: dict[Slot, str | Constant] = {}
        turning = False
        for place, arg in enumerate(run.make.args):
            if place in run.each:
                texts[(*at, arg.role)] = self.one(arg.role, group)
                continue
            first, step = group.texts[(*at, arg.role)], group.texts[(*at, f"{arg.role}+")]
            texts[(*at, arg.role)] = first
            if not isinstance(step, Constant) or step.value:
                turning = True
                grows = step if isinstance(step, str) else literal(step.value)
                begins = first if isinstance(first, str) else literal(first.value)
                by = "i" if grows == "1" else f"{grows} * i"
                texts[(*at, arg.role)] = by if begins == "0" else f"{begins} + {by}"
        return self.make(run.make, at, texts), turning

    def written(self, name: str, group: Group, doc: Sequence[str], network: bool = False) -> list[str]:
        """The lines of a class."""
        straight = group.straight and not network
        functions = {} if straight else self.functions(group)
        lines = [f"class {name}({'nn.Sequential' if straight else 'nn.Module'}):", *doc]
        lines += self.constructor(group, straight, functions)
        if not straight and not group.first.level.open:
            lines += ["", *self.forward(group, functions, network)]
        return lines

    def functions(self, group: Group) -> dict[str, Callable[..., Written]]:
        """Parts that run as functions: operators without weights whose arguments are the same in all instances."""
        found: dict[str, Callable[..., Written]] = {}
        for part, node in group.first.leaves.items():
            written = function(node.op, self.tree.graph.input_types(node))
            item = group.items.get(part)
            slots = [(part, arg.role) for arg in item.args] if isinstance(item, Make) else []
            if written is not None and all(isinstance(group.texts[slot], Constant) for slot in slots):
                found[part] = written
        return found

    def constructor(self, group: Group, straight: bool, functions: Mapping[str, Any]) -> list[str]:
        lines: list[str] = []
        for name, item in group.items.items():
            if name not in functions:
                lines += self.attribute(name, item, group, straight)
        for name in functions:
            if (name,) in group.conditions:
                lines.append(f"        self.{self.flag(name, group)} = {group.conditions[name,]}")
        if not lines:
            return []
        arguments = []
        for column in group.columns:
            default = "" if column.default is ... else f" = {literal(column.default)}"
            arguments.append(f"{column.name}: {column.type}{default}")
        signature = broken(Bracket("def __init__(", ("self", *arguments), ") -> None:"), 4)
        return ["", *signature, "        super().__init__()", *lines]

    def flag(self, part: str, group: Group) -> str:
        name = "residual" if group.first.leaves[part].op.op == "add" else f"runs_{part}"
        return name if name not in group.items else f"runs_{part}"

    def attribute(self, name: str, item: Item, group: Group, straight: bool) -> list[str]:
        if isinstance(item, Run):
            return self.loop(name, item, group)
        text, target = self.item(item, (name,), group), f"self.{name}"
        test = group.conditions.get((name,))
        if test is None:
            return broken(text, 8, f"{target} = ")
        if straight:
            return [f"        if {test}:", *broken(text, 12, f"{target} = ")]
        line = f"        {target} = {text} if {test} else nn.Identity()"
        if len(line) <= WIDTH:
            return [line]
        return [
            f"        {target}: nn.Module = nn.Identity()",
            f"        if {test}:",
            *broken(text, 12, f"{target} = "),
        ]

    def loop(self, name: str, run: Run, group: Group) -> list[str]:
        call, turning = self.turn(run, (name,), group)
        if turning or run.start == 1 or len(run.each) > 1:
            return [
                f"        for name, module in {self.run(run, (name,), group)}.items():",
                "            self.add_module(name, module)",
            ]
        if run.each:
            one, over = self.listed(run, (name,), group)
            head = f"for number, {one} in enumerate({over}, {run.start}):"
        else:
            last = group.texts[name, "count"]
            stop = str(last.value + 1) if isinstance(last, Constant) else f"{last} + 1"
            head = f"for number in range({run.start}, {stop}):"
        base = name.removesuffix(f"_{run.start}")
        added = Bracket("self.add_module(", (f'f"{base}_{{number}}"', call))
        return [f"        {head}", *broken(added, 12)]

    def forward(self, group: Group, functions: Mapping[str, Callable[..., Written]], network: bool) -> list[str]:
        form, graph = group.first, self.tree.graph
        flags = {name: self.flag(name, group) for name in functions if (name,) in group.conditions}
        body = Body(form, functions, group.bypass, flags)
        takes = self.takes(group) if not network else [*graph.inputs]
        outputs: dict[str, Ref] | None = None
        late_outputs: set[str] = set()
        late = {part for part, node in form.level.parts() if network and members(node)[0].path in self.tree.late}
        values = _values(group, network)
        results = list(form.results)
        if network:
            body.shapes = {ref: str(graph.nodes[path].type) for path, ref in values.items()}
            results = [values[output.node] for output in graph.outputs]
            late_outputs = {output.name for output in graph.outputs if output.train_only}
            if len(graph.outputs) > 1:
                outputs = {output.name: values[output.node] for output in graph.outputs}
                results += [outputs[name] for name in outputs if late_outputs and name not in late_outputs]
        body.start(takes, results)
        lines = statements(body, late, outputs, late_outputs)
        count = len(form.results)
        gives = (
            "dict[str, Tensor]" if outputs else "Tensor" if count == 1 else f"tuple[{', '.join(['Tensor'] * count)}]"
        )
        if network and channels_last(graph):
            maps = [name for name in graph.inputs if graph.nodes[name].type.rank == 4]
            moved = [f"    {name} = {name}.contiguous(memory_format=torch.channels_last)" for name in maps]
            lines = ["if not self.training and not torch.is_grad_enabled():  # less memory and time", *moved, *lines]
        names = tuple(f"{name}: Tensor" for name in takes)
        noted = "  # noqa: A002" if any(hasattr(builtins, name) for name in takes) else ""
        return [
            *broken(Bracket("def forward(", ("self", *names), f") -> {gives}:"), 4, after=noted),
            *(f"        {line}" for line in lines),
        ]

    def takes(self, group: Group) -> list[str]:
        """Names for what comes in: x, then what the operators that read it call it."""
        form = group.first
        names: list[str] = []
        for number in range(len(form.level.takes)):
            roles = [
                (form.leaves[part].op.operands or ())[at]
                for part, taken in form.flow.items()
                for at, ref in enumerate(taken)
                if ref == ("", number) and part in form.leaves and form.leaves[part].op.operands
            ]
            wanted = "x" if number == 0 else next((role for role in roles if role != "x"), f"x{number + 1}")
            names.append(wanted if wanted not in names and wanted not in TAKEN else f"x{number + 1}")
        return names


def _values(group: Group, network: bool) -> dict[str, Ref]:
    """The value of each path that a part of the first form gives or the form takes."""
    form = group.first
    values: dict[str, Ref] = {path: ("", number) for number, path in enumerate(form.level.takes)}
    for name, part in form.level.parts():
        gives = (
            [member.path for member in members(part)] if part in form.leaves.values() else getattr(part, "gives", ())
        )
        values |= {path: (name, number) for number, path in enumerate(gives)}
    return values
