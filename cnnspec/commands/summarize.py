"""`cnnspec summarize`: what the network holds and costs, per node and in total."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cnnspec.backend import machine, memory_table
from cnnspec.commands.common import (
    AllowUnusedFlag,
    AtOption,
    BatchOption,
    DebugFlag,
    DtypeOption,
    IgnoreOption,
    InputOption,
    JsonFlag,
    SetOption,
    SpecArg,
    StrictFlag,
    answer,
    bytes_text,
    compile_spec,
    count,
    out,
    sizes,
    styled,
    uncollected,
    warnings_of,
)
from cnnspec.commands.rows import FIELDS, SHOWN, Line, cells, chosen, depth_of, known, lines_of
from cnnspec.commands.table import plain, print_rich
from cnnspec.commands.timing import TIME, Timing, named, with_time, with_times
from cnnspec.cost import Cost, Row, cost_of
from cnnspec.devices import DEVICES
from cnnspec.diagnostics import UsageError, printable
from cnnspec.memory import Allocations, Memory, memory_of
from cnnspec.symbolic import as_data
from cnnspec.tree import tree

if TYPE_CHECKING:
    from cnnspec.graph import Graph

DepthOption = Annotated[
    str | None,
    typer.Option("--depth", metavar="N|all", help="Levels of the tree to open, or all: every node by its path."),
]
ColumnsOption = Annotated[
    str | None, typer.Option("--columns", metavar="path,macs", help=f"Which columns, of {', '.join(FIELDS)}.")
]
SortOption = Annotated[
    str | None, typer.Option("--sort", metavar="COLUMN", help="Sort by a column, the largest first.")
]
OptimizerOption = Annotated[
    str, typer.Option("--optimizer", help="sgd, momentum or adam: whose state a training step holds.")
]
DeviceOption = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="cpu|cuda|NAME",
        help=f"Whose memory the figures with backend are of; with times, of a GPU: {', '.join(DEVICES)}.",
    ),
]
AmpOption = Annotated[
    str | None, typer.Option("--amp", metavar="bfloat16|float16", help="Memory in mixed precision (autocast).")
]
CsvFlag = Annotated[bool, typer.Option("--csv", help="Every node and column as comma-separated values.")]
RecipeOption = Annotated[
    str | None, typer.Option("--recipe", metavar="R", help="Tell what its phases train and freeze apart.")
]
SymbolicFlag = Annotated[
    bool, typer.Option("--symbolic", help="MACs and sizes as expressions in the symbols, and the smallest legal input.")
]
CompareOption = Annotated[str | None, typer.Option("--compare", metavar="OTHER", help="Beside another spec.")]


@uncollected()
def summarize(
    spec: SpecArg,
    params: SetOption = None,
    at: AtOption = None,
    inputs: InputOption = None,
    batch: BatchOption = 1,
    dtype: DtypeOption = "float32",
    optimizer: OptimizerOption = "momentum",
    amp: AmpOption = None,
    device: DeviceOption = "cpu",
    depth: DepthOption = None,
    columns: ColumnsOption = None,
    sort: SortOption = None,
    csv: CsvFlag = False,
    compare: CompareOption = None,
    recipe: RecipeOption = None,
    symbolic: SymbolicFlag = False,
    allow_unused: AllowUnusedFlag = False,
    ignore: IgnoreOption = None,
    strict: StrictFlag = False,
    json: JsonFlag = False,
    debug: DebugFlag = False,
) -> int:
    symbols, levels, by = sizes(at), depth_of(depth), known(sort) if sort else None
    gpu = named(device, amp)
    names = chosen(columns, with_time(FIELDS if csv else SHOWN, gpu))
    if gpu is None and TIME in (*names, by):
        raise UsageError("the column time wants a GPU", f"name one: --device {', '.join(DEVICES)}")
    given: dict[str, object] = {"--depth": depth, "--columns": columns, "--sort": sort, "--recipe": recipe}
    given |= {
        "--amp": amp,
        "--optimizer": optimizer != "momentum",
        "--batch": batch != 1,
        "--dtype": dtype != "float32",
    }
    given |= {"--at": at, "--device": device != "cpu", "--csv": csv, "--compare": compare, "--json": json}
    _one_form({name for name, value in given.items() if value}, symbolic)
    graph = compile_spec(
        spec, params=params, inputs=inputs, allow_unused=allow_unused, ignore=ignore, strict=strict, quiet=json
    )
    if symbolic:
        from cnnspec.commands.expressions import expressions

        out(expressions(graph))
        return 0
    cost = cost_of(graph, batch=batch, dtype=dtype, symbols=symbols)
    phases = phases_of(graph, recipe)
    table = memory_table("torch", "cuda" if gpu else device)
    held = partial(memory, optimizer=optimizer, amp=amp, table=table)
    timing = Timing(graph, cost, gpu, optimizer, table) if gpu else None
    cost = timing.roofline.cost if timing else cost
    data = summary(graph, cost, held(graph, cost), phases) if json else {}
    data |= {"roofline": timing.data()} if timing else {}
    found = warnings_of(graph.warnings, ignore, strict)
    if compare is not None:
        from cnnspec.commands.compare import Side, beside

        other = compile_spec(compare, allow_unused=allow_unused, ignore=ignore, strict=strict, quiet=json)
        its = with_times(other, cost_of(other, batch=batch, dtype=dtype, symbols=symbols), gpu)
        found += warnings_of(other.warnings, ignore, strict)
        if json:
            data |= {"compare": summary(other, its, held(other, its))}
            return answer("summarize", json=True, data=data, diagnostics=found)
        sides = (Side(one, cost, held(one, cost).live) for one, cost in ((graph, cost), (other, its)))
        return answer("summarize", json=False, data={}, text=beside(*sides), diagnostics=found)
    if json:
        return answer("summarize", json=True, data=data, diagnostics=found)
    if csv:
        out(_csv(lines_of((), cost.rows, 0, by), names))
        return 0
    said = totals(graph, cost) + trained(phases) + peaks(held(graph, cost)) + (timing.said() if timing else [])
    _print(graph, cost, lines_of(tree(graph.inference()), cost.rows, levels, by), names, said)
    return 0


TABLE = ("--depth", "--columns", "--sort")
FORMS = {
    "--csv": (("--depth", "--recipe", "--amp", "--optimizer"), "a line for every node"),
    "--json": (("--csv", *TABLE), "every node and column"),
    "--compare": (("--csv", *TABLE, "--recipe"), "rows and columns of its own"),
}
"""By form of the answer the options that would go unheard beside it, and what it has."""


def _one_form(given: Collection[str], symbolic: bool) -> None:
    """Raise UsageError where one of several options would go unheard."""
    if symbolic and given:
        extra = "give it alone; --json has it always"
        raise UsageError(f"--symbolic has rows of its own, before sizes are chosen, and no {min(given)}", extra)
    for form, (unheard, has) in FORMS.items():
        if form in given and (extra := ", ".join(name for name in unheard if name in given)):
            raise UsageError(f"{form} has {has}", f"leave out {extra}")


def _print(graph: Graph, cost: Cost, lines: Sequence[Line], names: Sequence[str], said: list[tuple[str, str]]) -> None:
    columns, rows = [FIELDS[name].column for name in names], [cells(line, names) for line in lines]
    if any(line.closed for line in lines):
        open_to = f"--depth {max(line.indent for line in lines) + 1}"
        said.insert(
            0, ("nodes", f"{len(cost.rows) - len(graph.inputs)}, here at {open_to}; --depth all has a line for each")
        )
    after = "\n".join(f"{name:<17} {text}" for name, text in said)
    if styled():
        out(_heading(graph))
        print_rich(columns, rows)
        out(after)
    else:
        out("\n".join([_heading(graph), "", plain(columns, rows), "", after]))


def _csv(lines: Sequence[Line], names: Sequence[str]) -> str:
    """One line a node under the names of the columns, numbers bare."""
    from csv import writer
    from io import StringIO

    text = StringIO()
    table = writer(text, lineterminator="\n")
    table.writerow(names)
    for line in lines:
        values = (getattr(line, name) for name in names)
        table.writerow("x".join(map(str, value)) if isinstance(value, tuple) else value for value in values)
    return text.getvalue().rstrip("\n")


def memory(graph: Graph, cost: Cost, *, optimizer: str, amp: str | None, table: Allocations | None) -> Memory:
    """What the network takes at the sizes of its cost."""
    at: dict[str, Any] = {"batch": cost.batch, "dtype": cost.dtype, "symbols": cost.symbols}
    return memory_of(graph, **at, optimizer=optimizer, amp=amp, backend=table)


def summary(graph: Graph, cost: Cost, held: Memory, phases: Sequence[tuple[int, int]] = ()) -> dict[str, Any]:
    """The data of `summarize --json`; shapes are concrete, bytes exact."""
    shapes = {row.path: row.shape for row in cost.rows}
    types = {path: node.type.at(cost.symbols).shape for path, node in graph.nodes.items() if path not in shapes}
    return {
        "name": graph.name,
        "inputs": {name: shapes[name] for name in graph.inputs},
        "outputs": {o.name: shapes.get(o.node) or types[o.node] for o in graph.outputs},
        "params": asdict(cost.params),
        "phases": [{"trainable": trainable, "frozen": frozen} for trainable, frozen in phases],
        "buffers": cost.buffers,
        "macs": cost.macs,
        "other": cost.other,
        "memory": {
            "optimizer": held.optimizer,
            "amp": held.amp,
            "machine": machine(held.device or "cpu"),
            "live": asdict(held.live),
            "with_backend": {"torch": asdict(held.with_backend)} if held.with_backend else {},
        },
        "batch": cost.batch,
        "dtype": cost.dtype,
        "symbols": dict(cost.symbols),
        "weights_bytes": cost.weights_bytes,
        "activations_bytes": cost.activations_bytes,
        "activations_chain": asdict(cost.activations_chain),
        "symbolic": as_data(graph.symbolic()),
        "nodes": [{name: getattr(row, name) for name in Row.__slots__} for row in cost.rows],
    }


def _heading(graph: Graph) -> str:
    return printable(f"{graph.name}: {graph.about}" if graph.about else graph.name)


def totals(graph: Graph, cost: Cost) -> list[tuple[str, str]]:
    """What stands below the table: a name and a text a line."""
    params, chain = cost.params, cost.activations_chain
    extra = params.training_total - params.total
    return [
        ("sizes", at_sizes(graph, cost)),
        ("outputs", ", ".join(f"{o.name}{' (training only)' if o.train_only else ''}" for o in graph.outputs)),
        ("parameters", count(params.total)),
        *([("in training", f"{count(params.training_total)}, {extra:,} for training-only outputs")] if extra else []),
        ("buffers", count(cost.buffers)),
        ("MACs", count(cost.macs)),
        ("other arithmetic", count(cost.other)),
        ("weights", _exact(cost.weights_bytes)),
        ("activations", f"{_exact(cost.activations_bytes)} for all nodes together"),
        ("two layers", f"{_exact(chain.bytes)}: the largest inputs and output of one node, {printable(chain.node)}"),
    ]


def peaks(held: Memory) -> list[tuple[str, str]]:
    """Both figures of inference and of a training step, each with its name; see docs/memory.md."""
    mixed = f", mixed with {held.amp}" if held.amp else ""
    figures = [("live", held.live)]
    if held.with_backend:
        figures.append((f"with backend (torch, {held.device})", held.with_backend))
    inference = [(name, one.inference_peak, one.inference_peak_node) for name, one in figures]
    training = [(name, one.training_peak, one.training_peak_at) for name, one in figures]
    return [
        *_peak("inference peak", f" above the weights{mixed}", inference),
        *_peak("training peak", f" with {held.optimizer}{mixed}, all in", training),
    ]


def _peak(title: str, terms: str, rows: Sequence[tuple[str, int, str]]) -> Iterator[tuple[str, str]]:
    """A line for each figure's name, bytes and node; the first has the title and the terms of all."""
    for name, size, at in rows:
        yield title, f"{name}: {_exact(size)}{terms}, at {printable(at)}"
        title = terms = ""


def phases_of(graph: Graph, recipe: str | None) -> list[tuple[int, int]]:
    """Of every phase of a recipe how many numbers it trains and how many it freezes."""
    if recipe is None:
        return []
    from cnnspec.freezing import frozen
    from cnnspec.recipe import load

    return [frozen(graph, stage.freeze) for stage in load(recipe).stages]


def trained(phases: Sequence[tuple[int, int]]) -> list[tuple[str, str]]:
    names = [f"phase {number}" for number in range(1, len(phases) + 1)] if len(phases) > 1 else ["trained"]
    texts = [f"{count(trainable)} trainable, {count(frozen)} frozen" for trainable, frozen in phases]
    return [*zip(names, texts, strict=False)]


def at_sizes(graph: Graph, cost: Cost) -> str:
    """`batch 1, h=7, w=7, float32`"""
    free = "".join(f", {name}={value}" for name, value in cost.symbols.items() if name != graph.batch)
    return f"batch {cost.batch}{free}, {cost.dtype}"


def _exact(number: int) -> str:
    return f"{bytes_text(number)} ({number:,} bytes)"
