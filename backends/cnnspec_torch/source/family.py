"""Levels of one name and structure as one class: its items, its arguments, and the call that makes each instance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from cnnspec_torch.source.arguments import Arguments, Column, Constant
from cnnspec_torch.source.form import Form, Item, Ref, Slot, merged, names, slots
from cnnspec_torch.source.forward import TAKEN
from cnnspec_torch.source.function import MERGES
from cnnspec_torch.source.make import ANY, Arg, Make
from cnnspec_torch.source.parts import PARTS
from cnnspec_torch.source.tree import Tree


@dataclass(eq=False)
class Group:
    """A class in the making; the first form has all parts that any of them has."""

    forms: list[Form]
    items: dict[str, Item]
    bypass: dict[str, Ref] = field(default_factory=dict)
    """Parts that some forms lack, with what stands for their result there."""
    texts: dict[Slot, str | Constant] = field(default_factory=dict)
    conditions: dict[Slot, str] = field(default_factory=dict)
    """When an optional item or part is there, as a test of the arguments."""
    columns: list[Column] = field(default_factory=list)

    @property
    def first(self) -> Form:
        return self.forms[0]

    @property
    def straight(self) -> bool:
        return all(form.straight for form in self.forms)

    def admit(self, tree: Tree, form: Form) -> bool:
        """Take the form in, if it is the first one without some of its parts, or just like it."""
        items = merged(self.items, form.items)
        if items is None or set(form.flow) - set(self.first.flow) or self.first.level.open != form.level.open:
            return False
        common = [name for name in form.leaves if form.leaves[name].op.op in MERGES]
        if any(name not in self.first.leaves or not _same(tree, self.first, form, name) for name in common):
            return False
        missing = [name for name in self.first.flow if name not in form.flow]
        if any("." in name or not self._may_lack(name) for name in missing):
            return False
        if missing and self.straight and form.straight:
            bypass: dict[str, Ref] | None = {}
        else:
            bypass = _bypass(self.first, form, missing, self.bypass)
        if bypass is None:
            return False
        self.items, self.bypass = items, self.bypass | bypass
        self.forms.append(form)
        return True

    def _may_lack(self, name: str) -> bool:
        """A module that is left out becomes nn.Identity, which takes one value; a merge becomes one of its operands."""
        merges = name in self.first.leaves and self.first.leaves[name].op.op in MERGES
        return merges or len(self.first.flow[name]) == 1

    def settle(self, tree: Tree) -> None:
        """Find the arguments."""
        nodes = tree.graph.nodes
        channels = [[nodes[path].type.channels for path in form.level.takes] for form in self.forms]
        scopes = [form.level.scope for form in self.forms]
        given = [dict(scope.args) if scope else {} for scope in scopes]
        results = [nodes[form.level.gives[0]].type.channels if form.level.gives else 0 for form in self.forms]
        arguments = Arguments(channels, results, given, {*TAKEN, *PARTS, "i", "x", "name", "number", "module"})
        values = [dict(slots(form.items)) for form in self.forms]
        for slot, arg in slots(self.items):
            vector = [found[slot].value if slot in found else ANY for found in values]
            text = arguments.expression(slot, vector, arg.default)
            self.texts[slot] = text if isinstance(text, str | Constant) else Constant(text)
        inward = [] if self.straight else [(name,) for name in self.first.flow]
        there = [set(names(form.items)) | {slot for slot in inward if slot[0] in form.flow} for form in self.forms]
        for slot in dict.fromkeys([*names(self.items), *inward]):
            present = [slot in found for found in there]
            around = [slot[:-1] in found or len(slot) == 1 for found in there]
            if present != around:
                self.conditions[slot] = arguments.condition(slot[-1], present)
        self.columns = arguments.settled()

    def calls(self, name: str) -> dict[str, Make]:
        """What makes each instance, by the path of its level."""
        return {
            form.level.path: Make(
                name, tuple(Arg(column.name, column.values[number], column.default) for column in self.columns)
            )
            for number, form in enumerate(self.forms)
        }


def grouped(tree: Tree, forms: list[Form]) -> list[Group]:
    """Forms of one name in as few classes as hold them, in the order of the first instances."""
    at = {id(form): number for number, form in enumerate(forms)}
    groups: list[Group] = []
    for form in sorted(forms, key=lambda form: -len(list(names(form.items))) - len(form.flow)):
        if not any(group.admit(tree, form) for group in groups):
            groups.append(Group([form], form.items))
    return sorted(groups, key=lambda group: min(at[id(form)] for form in group.forms))


def _same(tree: Tree, one: Form, other: Form, name: str) -> bool:
    a, b = one.leaves[name], other.leaves[name]
    ranks = [[type.rank for type in tree.graph.input_types(node)] for node in (a, b)]
    return a.op == b.op and ranks[0] == ranks[1]


def _bypass(whole: Form, form: Form, missing: list[str], known: Mapping[str, Ref]) -> dict[str, Ref] | None:
    """What stands for each missing part so that the rest takes the same values; None where nothing does."""
    choices = [[known[name]] if name in known else list(dict.fromkeys(whole.flow[name])) for name in missing]
    if len(missing) > 6 or len(whole.results) != len(form.results):
        return None
    for chosen in product(*choices):
        instead: dict[Ref, Ref] = {}
        for name, ref in zip(missing, chosen, strict=True):
            instead[name, 0] = instead.get(ref, ref)
        flow: Any = {
            name: tuple(instead.get(ref, ref) for ref in taken)
            for name, taken in whole.flow.items()
            if name not in missing
        }
        if flow == form.flow and tuple(instead.get(ref, ref) for ref in whole.results) == form.results:
            return dict(zip(missing, chosen, strict=True))
    return None
