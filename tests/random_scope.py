"""The net of a random spec, or the body of a block in it: entries, steps, merges, conditions, calls of blocks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from hypothesis import strategies as st

from cnnspec.tensor import Dim, TensorType
from random_pen import Misfit, Pen
from random_steps import operator

HELD = 150
"""Characters of a step that an argument may hold: YAML takes a signature of 1,024."""
Needs = frozenset[str]
"""Names of the tensors that a result is made from."""
Made = tuple[str, TensorType, Needs]


@dataclass(frozen=True)
class Block:
    """A block that was written; `operands` are its tensors and the types it was drawn for."""

    name: str
    operands: Mapping[str, TensorType]
    type: TensorType
    needs: Needs
    args: Mapping[str, tuple[int | None, str | None]]
    """By name the value and the default, if there is one; a step has no value."""
    taps: Mapping[str, TensorType]


@dataclass
class Book:
    """What a file holds besides its net."""

    params: dict[str, tuple[int | None, str]] = field(default_factory=dict)
    blocks: dict[str, Block] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)


class Scope(Pen):
    """The net or the body of a block: its tensors by name, its entries, the arguments it turned out to want."""

    def __init__(self, draw: st.DrawFn, typical: Mapping[str, int], book: Book, depth: int = 0) -> None:
        super().__init__(draw, typical)
        self.book, self.depth = book, depth
        self.tensors: dict[str, TensorType] = {}
        self.entries: dict[str, Needs] = {}
        self.args: dict[str, tuple[int | None, str | None]] = {}
        self.lines: list[str] = []
        self.tapped: set[str] = set()
        self.loops = 0

    # Numbers

    def number(self, value: int) -> str:
        """A value as a literal, a sum, a helper, a param, an argument, or what a tensor has for channels."""
        form = self.pick("literal", *["literal"] * 5, "sum", "helper", "name", "name", "channels")
        if form == "sum":
            part = self.pick(1, 2, 3)
            return self.pick(f"{value - part} + {part}", f"{2 * value} // 2", f"{value + part} - {part}")
        if form == "helper":
            return self.pick(
                f"min({value}, {value + 1})", f"ceil({value} - 0.5)", f"ceil_div({2 * value}, 2)", f"max({value}, 0)"
            )
        if form == "name":
            return self.name(value)
        if form == "channels":
            return next((f"{name}.channels" for name, x in self.tensors.items() if x.channels == value), str(value))
        return str(value)

    def name(self, value: int) -> str:
        """An argument or a param of this value, one that is there or a new one."""
        there = [name for known in (self.args, self.book.params) for name, (v, _) in known.items() if v == value]
        if there and self.chance(2):
            return self.pick(*there)
        text = str(value)
        if self.depth and self.chance(2):
            earlier = [(name, v) for name, (v, _) in self.args.items() if v is not None]
            default = self.pick(None, text, *(f"{name} + {value - v}" for name, v in earlier if v <= value))
            self.args[name := f"a{len(self.args)}"] = (value, default)
            return name
        known = [(name, v) for name, (v, _) in self.book.params.items() if v is not None]
        text = self.pick(text, *(f"{value - v} + {name}" for name, v in known if v <= value))
        self.book.params[name := f"p{len(self.book.params)}"] = (value, text)
        return name

    def count(self, value: int) -> str:
        """A number that may stand before `*`."""
        return self.name(value) if self.chance(3) else str(value)

    # Steps

    def step(self, x: TensorType, keep: bool = False) -> Made:
        """What may stand right of an arrow; where nothing drawn fits, relu."""
        kinds = [self.plain] * 6 + [self.held, self.repeat, self.loop, self.either, self.instance, self.instance]
        for _ in range(4):
            try:
                text, y, needs = self.pick(*kinds, *([] if keep else [self.joined, self.grown]))(x, keep)
                if not keep or y == x:
                    return text, self.checked(y), needs
            except Misfit:
                continue
        return "relu", x, frozenset()

    def plain(self, x: TensorType, keep: bool) -> Made:
        return (*operator(self, x, keep), frozenset())

    def held(self, x: TensorType, keep: bool) -> Made:
        """A step by the name of an argument or a param that holds it."""
        text, y = operator(Pen(self.draw, self.typical), x, keep)
        if len(text) > HELD:
            raise Misfit
        if self.depth:
            self.args[name := f"a{len(self.args)}"] = (None, text)
        else:
            self.book.params[name := f"p{len(self.book.params)}"] = (None, text)
        return name, y, frozenset()

    def repeat(self, x: TensorType, keep: bool) -> Made:
        turns = self.pick(2, 3, 1, 0)
        text, y, needs = self.step(x, keep or turns > 1)
        if self.chance(2):
            more, y, others = self.step(y, keep or turns > 1)
            text, needs = f"({text} -> {more})", needs | others
        elif " * " in text:
            text = f"({text})"
        return f"{self.count(turns)} * {text}", y if turns else x, needs if turns else frozenset()

    def loop(self, x: TensorType, keep: bool) -> Made:
        """Over numbers or rows; the channels follow the turns."""
        turns = self.pick(2, 1, 3)
        self.loops += 1
        i = f"i{self.loops}"
        if keep or not 3 <= x.rank <= 5:
            text, y, needs = self.step(x, keep=True)
            return f"({text} for {i} in {self.count(turns)})", y, needs
        if self.chance(2):
            text = f"(conv({self.number(3)} + {i}, 1) for {i} in {self.count(turns)})"
            return text, x.with_spatial(2 + turns, x.spatial), Needs()
        rows = [[self.pick(4, 2, 5), self.pick(1, 3, 5)] for _ in range(turns)]
        return f"(conv(f, k) for f, k in {rows})", x.with_spatial(rows[-1][0], x.spatial), Needs()

    def either(self, x: TensorType, keep: bool) -> Made:
        condition, true = self.condition()
        text, y, needs = self.step(x, keep)
        other, _, _ = self.step(x)
        return f"({text} if {condition} else {other})" if true else f"({other} if {condition} else {text})", y, needs

    def condition(self) -> tuple[str, bool]:
        form, a, b = self.pick("number", "shape", "size"), self.pick(1, 2, 3), self.pick(1, 2, 3)
        left, right = self.pick(*self.tensors.items()), self.pick(*self.tensors.items())
        text, true = f"{self.number(a)} < {self.number(b)}", a < b
        numbers = [isinstance(size, int) for x in (left[1], right[1]) for size in x.shape[1:]]
        if form == "shape" and (left[1] == right[1] or all(numbers)):
            text, true = f"{left[0]}.shape == {right[0]}.shape", left[1] == right[1]
        elif form == "size" and 3 <= left[1].rank <= 5:
            size = left[1].spatial[-1]
            by = size.factor if isinstance(size, Dim) else 2
            text, true = f"{left[0]}.width % {by} == 0", (size if isinstance(size, int) else size.offset) % by == 0
        if self.chance(4):
            text, true = f"not {text}", not true
        return self.pick((text, true), (f"{text} and true", true), (f"false or {text}", true))

    # Merges

    def joined(self, x: TensorType, keep: bool) -> Made:
        """A merge with other tensors of this scope."""
        op, words, y, needs = self.merge(x)
        return f"{op}({words})", y, needs

    def merge(self, x: TensorType) -> tuple[str, str, TensorType, Needs]:
        """An operator, its operands and fields after the first, what it gives."""
        op = self.pick("add", "concat", "scale", "maximum", "multiply", "resize", "crop")
        fits = {"concat": self.joins, "scale": self.gates, "resize": self.maps, "crop": self.covered}.get(op, self.twin)
        found = [name for name, other in self.tensors.items() if fits(x, other)]
        if not found or (op in ("scale", "resize", "crop") and not 2 <= x.rank <= 5):
            raise Misfit
        name = self.pick(*found)
        other, needs = self.tensors[name], {name}
        if op == "scale":
            flat = other.rank == 2 or (other.rank == x.rank and set(other.spatial) == {1})
            gate = name if flat else f"{name} -> global_avgpool"
            kept = "(keepdims=true)" if "->" in gate and other.rank == x.rank and self.chance(2) else ""
            return op, gate + kept + (" -> sigmoid" if self.chance(2) else ""), x, Needs(needs)
        if op == "resize":
            words = self.pick("", ", mode='bilinear'")
            return op, name + words, x.with_spatial(x.channels, other.spatial), Needs(needs)
        if op == "crop":
            room = min(self.at(a) - self.at(b) for a, b in zip(x.spatial, other.spatial, strict=True))
            offset = self.number(self.pick(*range(min(room, 3) + 1)))
            return op, f"{name}, {offset}", x.with_spatial(x.channels, other.spatial), Needs(needs)
        operands, maps = [name], other.channels
        if self.chance(2):
            second = self.pick(*found)
            text, y, others = self.step(self.tensors[second], keep=True)
            operands.append(f"{second} -> {text}")
            needs, maps = needs | {second} | others, maps + y.channels
        y = x if op != "concat" else x.with_spatial(x.channels + maps, x.spatial)
        return op, ", ".join(operands), y, Needs(needs)

    @staticmethod
    def twin(x: TensorType, other: TensorType) -> bool:
        return x == other

    @staticmethod
    def joins(x: TensorType, other: TensorType) -> bool:
        return x.rank == other.rank and x.spatial == other.spatial

    @staticmethod
    def gates(x: TensorType, other: TensorType) -> bool:
        return x.channels == other.channels and other.rank <= 5

    @staticmethod
    def maps(x: TensorType, other: TensorType) -> bool:
        return 3 <= x.rank == other.rank <= 5

    def covered(self, x: TensorType, other: TensorType) -> bool:
        """Whether a map of the other's size can be cut out."""
        if not self.maps(x, other):
            return False
        for a, b in zip(x.spatial, other.spatial, strict=True):
            symbols = TensorType((a, b)).symbols
            if len(symbols) > 1 or self.at(a) < self.at(b):
                return False
            rest = a - b
            if isinstance(rest, Dim) and rest.factor < 0:
                return False
        return True

    def grown(self, x: TensorType, keep: bool) -> Made:
        """A block that adds maps at every turn."""
        if not 3 <= x.rank <= 5:
            raise Misfit
        name, maps, turns = f"grow{len(self.book.lines)}x", self.pick(2, 1), self.pick(2, 1, 3)
        self.book.lines += [f"{name}(maps):", "  new: x -> conv(maps, 3)", "  out: concat(x, new)"]
        y = x.with_spatial(x.channels + turns * maps, x.spatial)
        return f"{self.count(turns)} * {name}({self.number(maps)})", y, Needs()

    # Blocks

    def instance(self, x: TensorType, keep: bool) -> Made:
        """A block that takes this tensor, one that is there or a new one, as a step."""
        text, block, others = self.block(x, keep)
        needs = [name for operand, name in zip([*block.operands][1:], others, strict=True) if operand in block.needs]
        return text, block.type, Needs(needs)

    def block(self, x: TensorType, keep: bool) -> tuple[str, Block, list[str]]:
        """The step that calls a block, the block, and the tensors after the first."""
        there = [b for b in self.book.blocks.values() if self.callable(b, x) and (not keep or b.type == x)]
        if there and (self.chance(2) or self.depth > 2):
            block = self.pick(*there)
        elif self.depth > 2 or len(self.book.blocks) > 8:
            raise Misfit
        else:
            block = self.written(x, keep)
        others = [self.pick(*self.of(type)) for type in list(block.operands.values())[1:]]
        words = list(others)
        for name, (value, default) in block.args.items():
            given = default if value is None else self.number(value)
            if default is None:
                words.append(str(given) if "=" not in "".join(words) and self.chance(2) else f"{name}={given}")
            elif value is not None and self.chance(3):
                words.append(f"{name}={given}")
        return f"{block.name}({', '.join(words)})" if words else block.name, block, others

    def of(self, type: TensorType) -> list[str]:
        return [name for name, x in self.tensors.items() if x == type]

    def callable(self, block: Block, x: TensorType) -> bool:
        first, *others = block.operands.values()
        return first == x and all(self.of(type) for type in others)

    def written(self, x: TensorType, keep: bool) -> Block:
        inner = Scope(self.draw, self.typical, self.book, self.depth + 1)
        operands = {"x": x}
        if self.chance(3):
            operands = {"deep": x, "skip": self.pick(*self.tensors.values())}
        inner.tensors.update(operands)
        first = next(iter(operands))
        for _ in range(self.pick(0, 1, 2)):
            inner.entry()
        taps = {name: y for name, y in inner.tensors.items() if name in inner.entries}
        text, y, needs = inner.pipe(first, self.pick(1, 2, 3), keep) if keep else inner.expression()
        name = f"block{len(self.book.lines)}x"
        args = dict(sorted(inner.args.items(), key=lambda item: item[1][1] is not None))
        words = ", ".join(name if default is None else f"{name}={default}" for name, (_, default) in args.items())
        tensors = f"{', '.join(operands)}; " if len(operands) > 1 else ""
        head = f"{name}({(tensors + words).strip()})" if tensors or words else name
        whole = [f"{head}:", *(f"  {line}" for line in inner.lines), f"  out: {text}"]
        self.book.lines += whole if inner.lines else [f"{head}: {text}"]
        block = Block(name, operands, y, inner.reached(needs) & {*operands}, args, taps)
        self.book.blocks[name] = block
        return block

    # Entries

    def pipe(self, source: str, steps: int, keep: bool = False) -> Made:
        text, y, needs = source, self.tensors[source], Needs({source})
        for _ in range(steps):
            step, y, others = self.step(y, keep)
            text, needs = f"{text} -> {step}", needs | others
        return text, y, needs

    def expression(self) -> Made:
        """A pipe from a tensor or a merge, or one of two by a condition."""
        source = self.pick(*reversed(self.tensors))
        form = self.pick("pipe", "pipe", "merge", "crop", "call", "either")
        try:
            if form == "merge":
                op, words, y, needs = self.merge(self.tensors[source])
                return f"{op}({source}, {words})", self.checked(y), needs | {source}
            if form == "crop" and self.maps(self.tensors[source], self.tensors[source]):
                text, y, needs = self.pipe(source, 1)
                if self.covered(y, self.tensors[source]):
                    return f"crop({text}, {source}, 0)", y.with_spatial(y.channels, self.tensors[source].spatial), needs
            if form == "call":
                text, y = operator(self, self.tensors[source])
                whole = text.replace("(", f"({source}, ", 1) if "(" in text else f"{text}({source})"
                return whole, y, Needs({source})
        except Misfit:
            pass
        made = self.pipe(source, self.pick(1, 2, 3, 0))
        if form == "either":
            condition, true = self.condition()
            other = self.pipe(self.pick(*self.tensors), 1)[0]
            first, second = (made[0], other) if true else (other, made[0])
            return f"{first} if {condition} else {second}", *made[1:]
        return made

    def entry(self) -> None:
        """One more line; a call of a block alone can be tapped."""
        name = f"e{len(self.entries)}"
        taps: Iterable[tuple[str, TensorType]] = ()
        source = self.pick(*reversed(self.tensors))
        if self.chance(4) and self.depth < 3:
            try:
                step, block, others = self.block(self.tensors[source], keep=False)
            except Misfit:
                return
            operands = dict(zip(block.operands, [source, *others], strict=True))
            text, y, needs = f"{source} -> {step}", block.type, Needs(operands[o] for o in block.needs)
            taps = block.taps.items()
        else:
            text, y, needs = self.expression()
        self.lines.append(f"{name}: {text}")
        self.tensors[name], self.entries[name] = y, needs
        for tap, type in taps:
            self.tensors[f"{name}.{tap}"] = type
            self.tapped.add(name)

    def reached(self, needs: Iterable[str]) -> Needs:
        """All names that these are made from, themselves among them."""
        found: set[str] = set()
        left = list(needs)
        while left:
            name = left.pop().split(".")[0]
            if name not in found:
                found.add(name)
                left += self.entries.get(name, ())
        return Needs(found)
