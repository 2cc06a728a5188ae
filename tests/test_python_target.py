"""`--target python`: a generated file has the keys of the lowered module, gives its values bit for bit, is tidy."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from torch import Tensor, nn

import cnnspec
from cnnspec.diagnostics import SpecError
from cnnspec.front import compile_text
from cnnspec.graph import Graph, Node, Output
from cnnspec.ops.activation import Relu
from cnnspec.ops.source import Input
from cnnspec_torch.memory import channels_last as runs_channels_last
from cnnspec_torch.source import python_source
from door import TINY, run, write
from random_specs import specs
from samples import AUXILIARY, IDS, RESIDUAL, SAMPLES, Sample

ROOT = Path(__file__).parents[1]
ZOO = sorted(path.stem for path in (ROOT / "specs").glob("*.yaml"))
LONG = frozenset({"fcn8s", "fcn16s", "fcn32s", "vgg13-bn", "vgg16", "vgg16-bn", "vgg19", "vgg19-bn"})
every_network = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.long] if name in LONG else []) for name in ZOO]
)
DRAWING = ("Dropout", "DropImages", "StochasticDepth")
"""Modules that draw random numbers in training."""


def network(source: str, **arguments: int) -> nn.Module:
    scope: dict[str, Any] = {"__name__": "generated"}
    exec(compile(source, "generated", "exec"), scope)
    last = [item for item in scope.values() if isinstance(item, type) and item.__module__ == "generated"][-1]
    module: nn.Module = last(**arguments)
    return module


def images(graph: Graph, channels_last: bool) -> list[Tensor]:
    """A batch of two at the smallest legal sizes, or the next: where maps are single values they have no layout."""
    sizes = {symbol: graph.bounds.get(symbol, 1) + runs_channels_last(graph) for symbol in graph.symbols}
    sizes[graph.batch] = 2
    types = [graph.nodes[name].type.at(sizes) for name in graph.inputs]
    drawn = [torch.randn(type.concrete, generator=torch.Generator().manual_seed(1)) for type in types]
    return [x.to(memory_format=torch.channels_last) if channels_last and x.dim() == 4 else x for x in drawn]


def same(graph: Graph, source: str, channels_last: bool = False) -> None:
    ours, theirs = graph.lower("torch"), network(source)
    assert list(theirs.state_dict()) == list(ours.state_dict())
    theirs.load_state_dict(ours.state_dict())
    xs = images(graph, channels_last)
    for training in (False, True):
        found = []
        for module in (ours, theirs):
            module.train(training)
            for part in module.modules():
                if type(part).__name__ in DRAWING:
                    part.eval()
            with torch.no_grad():
                result = module(*xs)
            found.append(result if isinstance(result, dict) else {"": result})
        assert list(found[0]) == list(found[1])
        for name, value in found[0].items():
            torch.testing.assert_close(found[1][name], value, rtol=0, atol=0, equal_nan=True)


@every_network
def test_a_shipped_network_is_the_lowered_one(name: str) -> None:
    graph = cnnspec.compile(name)
    same(graph, python_source(graph))


@pytest.mark.parametrize("name", ["resnet18", "googlenet", "shufflenet-v2"])
def test_it_is_so_with_channels_last(name: str) -> None:
    graph = cnnspec.compile(name)
    same(graph, python_source(graph), channels_last=True)


def alone(sample: Sample) -> Graph:
    """The operator twice: its result as an output, and before a relu."""
    names = [f"in{number}" for number in range(len(sample.inputs))]
    nodes = {name: Node(name, Input(), (), type) for name, type in zip(names, sample.inputs, strict=True)}
    for path in ("y.step", "z.step"):
        nodes[path] = Node(path, sample.op, tuple(names), sample.output)
    nodes["z.relu"] = Node("z.relu", Relu(), ("z.step",), sample.output)
    outputs = (Output("y", "y.step"), Output("z", "z.relu"))
    return Graph(sample.id, "", MappingProxyType(nodes), tuple(names), outputs, {}, {})


@pytest.mark.parametrize("sample", SAMPLES, ids=IDS)
def test_every_operator(sample: Sample) -> None:
    graph = alone(sample)
    same(graph, python_source(graph))


HEAD = "cnnspec: 1\nname: odd\ninput: {image: [N, 4, 8, 8]}\n"
NETS = {
    "residual": RESIDUAL,
    "auxiliary": AUXILIARY,
    "an input is an output": f"{HEAD}net: {{y: image -> relu}}\noutputs: [image, y]\n",
    "nothing but identity": f"{HEAD}net: {{y: image -> identity}}\noutputs: [y]\n",
    "two inputs": f"{HEAD}".replace("}", ", other: [N, 4, 8, 8]}")
    + "net: {y: 'add(image -> conv(4, 3), other) -> relu'}\noutputs: [y]\n",
    "taps": f"""{HEAD}
blocks:
  exchange(a, b;):
    high: add(a, b) -> conv(4, 3)
    low:  b -> conv(4, 1) -> relu
net:
  m: exchange(image, image)
  y: add(m.high, m.low)
outputs: [y]
""",
    "paths that cross": f"""{HEAD}
net:
  a.b: {{op: conv, in: image, filters: 4, kernel: 3}}
  c.d: {{op: conv, in: a.b, filters: 4, kernel: 1}}
  a.e: {{op: batchnorm, in: c.d}}
  c.f.g: {{op: add, in: [a.e, c.d]}}
  y: {{op: relu, in: c.f.g}}
outputs: [y]
""",
    "training inside a block": f"""{HEAD}
blocks:
  stem:
    wide: x -> conv(6, 3)
    side: wide -> conv(2, 1)
    out:  wide -> relu
net:
  s: image -> stem
  y: s -> conv(3, 1)
  aux: s.side -> batchnorm
outputs: {{y: {{}}, aux: {{when: train}}}}
""",
    "names that Python and torch use": f"""{HEAD}
blocks:
  sequential(input, list=1): x -> conv(input, list) -> relu
  tensor: add(x, x -> conv(4, 1))
net:
  append: image -> conv(4, 3) -> relu
  insert: append -> sequential(4) -> tensor
  print: insert -> sequential(4, 3)
  torch: add(print, insert)
  F: torch -> conv(4, 1)
  nn: add(F, torch)
  module: nn -> relu
outputs: [module]
""",
    "arguments that hide names": f"""{HEAD}
blocks:
  Unit(he, chain, nn, i=1): x -> conv(he, chain, init='he') -> conv(nn, i, groups=i)
  fade(rate, name, number): x -> dropout(rate) -> conv(name, number)
  fades(rate, rates): x -> dropout(rate) -> (fade(0.1 * at + 0.05, 4, 1) for at in rates)
net:
  a: image -> Unit(4, 1, 6) -> Unit(8, 3, 4) -> Unit(6, 5, 8, i=1)
  b: a -> fades(0.5, 3) -> fades(0.25, 5) -> fades(0.125, 1)
outputs: [b]
""",
    "optional within optional": f"""{HEAD}
blocks:
  unit(deep, gate=false):
    side: x if deep == 0 else x -> conv(4, deep) -> (batchnorm if gate else identity) -> relu
    out:  add(x, side)
net:
  y: image -> unit(0) -> unit(1) -> unit(3, true) -> unit(3) -> unit(0, true)
outputs: [y]
""",
    "volumes in another order": f"""{HEAD.replace("8, 8", "3, 4, 5")}
net:
  y: image -> permute([0, 2, 1, 4, 3]) -> relu -> lrn
outputs: [y]
""",
    "an extra step in one instance": f"""{HEAD}
blocks:
  unit(wide, gate=false):
    main: x -> conv(wide, 1) -> (batchnorm if gate else identity) -> conv(x.channels, 3)
    out:  add(x, main) if gate else main -> relu
net:
  y: image -> unit(6) -> unit(6, true) -> unit(8) -> unit(12, gate=true)
outputs: [y]
""",
}


@pytest.mark.parametrize("text", NETS.values(), ids=NETS)
def test_odd_networks(text: str) -> None:
    graph = compile_text(text)
    same(graph, python_source(graph))


@settings(max_examples=40, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(specs())
def test_random_networks(text: str) -> None:
    try:
        graph = compile_text(text)
    except SpecError:
        assume(False)
    same(graph, python_source(graph))


def test_a_reloaded_graph_has_no_blocks_and_the_same_keys() -> None:
    from cnnspec.canonical import resolved_yaml

    graph = compile_text(resolved_yaml(cnnspec.compile("resnet18")))
    same(graph, python_source(graph))


HOSTILE = ['"""\nimport os\n"""', "\\", 'ends in "', "a\tb\x07 \u202e", "{0} %s", "x" * 300, '""""', '\\"\\"\\"']


@pytest.mark.parametrize("about", HOSTILE)
def test_free_text_stays_in_the_docstring(about: str) -> None:
    graph = compile_text(TINY)
    graph = Graph(**{**vars(graph), "about": about, "name": about})
    source = python_source(graph)
    compiled = compile(source, "generated", "exec")
    assert "os" not in compiled.co_names
    assert all(character.isprintable() or character == "\n" for character in source)
    same(graph, source)


def test_the_number_of_classes_is_an_argument() -> None:
    module = network(python_source(cnnspec.compile("googlenet")), classes=7)
    other = cnnspec.compile("googlenet", classes=7).lower("torch")
    shapes = {name: value.shape for name, value in other.state_dict().items()}
    assert {name: value.shape for name, value in module.state_dict().items()} == shapes


def tidy(folder: Path, graphs: Mapping[str, Graph]) -> None:
    """Nothing to say by `ruff format`, `ruff check` and `mypy --strict`; torch declares that a module gives Any."""
    for name, graph in graphs.items():
        (folder / f"{name.replace('-', '_')}.py").write_text(python_source(graph), encoding="utf-8")
    config = ["--quiet", "--config", str(ROOT / "pyproject.toml")]
    for command in (
        ["ruff", "format", "--check", *config, str(folder)],
        ["ruff", "check", *config, "--ignore", "TID251", str(folder)],
        ["mypy", "--strict", "--no-warn-return-any", "--config-file=", str(folder)],
    ):
        done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, cwd=folder)
        assert done.returncode == 0, f"{' '.join(command[:2])}:\n{done.stdout[-4000:]}{done.stderr[-2000:]}"


def test_files_are_tidy(tmp_path: Path) -> None:
    few = ("resnet34", "googlenet", "densenet121", "mobilenet-v3-large", "efficientnet-b0", "hrnet-w18", "lenet5-1998")
    odd = {f"odd_{number}": compile_text(text) for number, text in enumerate(NETS.values())}
    tidy(tmp_path, {name: cnnspec.compile(name) for name in few} | odd)


@pytest.mark.long
def test_all_files_are_tidy(tmp_path: Path) -> None:
    operators = {f"op_{sample.id}": alone(sample) for sample in SAMPLES}
    tidy(tmp_path, {name: cnnspec.compile(name) for name in ZOO} | operators)


@pytest.mark.parametrize("name", ["resnet34", "googlenet"])
def test_the_files_in_docs_are_up_to_date(name: str) -> None:
    path = ROOT / "docs" / "generated" / f"{name}.py"
    command = f"cnnspec compile {name} --target python -o docs/generated/{name}.py --force"
    assert path.read_text(encoding="utf-8") == python_source(cnnspec.compile(name)), f"write it again: {command}"


def test_the_command_writes_it(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    spec, file = write(tmp_path, TINY), tmp_path / "tiny.py"
    printed = run(capsys, "compile", spec, "--target", "python").out
    assert run(capsys, "compile", spec, "--target", "python", "-o", str(file)).code == 0
    assert file.read_text() == printed == python_source(cnnspec.compile(Path(spec)))
    assert run(capsys, "compile", spec, "--target", "python", "-o", str(file)).code == 2
    assert run(capsys, "compile", spec, "--target", "python", "--json").document["data"]["source"] == printed[:-1]
    assert run(capsys, "compile", spec, "--target", "python", "--seed", "1").code == 2
