"""The documents hold: their examples run and say what the pages say they say.

In docs/language.md, chapter.md and README.md a ```yaml block is a spec, or a fragment completed by language.PREAMBLE
(memory.md has whole ones, that its examples read):
- `#: a.conv a.relu [N, 4, 8, 8]` at an entry lists the nodes it makes and its shape; such entries are the outputs
- `#! message` at a line is an error at that line; they must be all the errors there are
- a ```text block after it is the whole text of `cnnspec show`, or of the errors
- a first line `# NAME.yaml` saves it for the examples after it
`python docs/generate.py` writes docs/operators.md, `python docs/zoo.py` docs/zoo.md.
"""

from __future__ import annotations

import doctest
import html
import re
import runpy
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from cnnspec import limits
from cnnspec.commands import VERBS
from cnnspec.commands.show import graph_text
from cnnspec.diagnostics import Diagnostic, SpecError, render
from cnnspec.front import compile_text
from cnnspec.graph import Graph
from door import run
from forked import apart
from language import PREAMBLE, compiled, whole

ROOT = Path(__file__).parent.parent
LANGUAGE = (ROOT / "docs/language.md").read_text(encoding="utf-8")
COMMANDS = (ROOT / "docs/commands.md").read_text(encoding="utf-8")
OPERATORS = ROOT / "docs/operators.md"
README = (ROOT / "README.md").read_text(encoding="utf-8")
CHAPTER = (ROOT / "docs/chapter.md").read_text(encoding="utf-8")
MEMORY = (ROOT / "docs/memory.md").read_text(encoding="utf-8")
PAGES = ("README.md", "docs/language.md", "docs/commands.md", "docs/chapter.md", "docs/memory.md", "docs/weights.md")
FENCE = re.compile(r"^```(\w+)\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
SLOW = ("train", "evaluate", "predict", "doctor")
"""Verbs whose examples are not run; their options are looked up."""


@dataclass(frozen=True)
class Example:
    """One ```yaml block, and the ```text block right below it."""

    line: int
    yaml: str
    text: str | None
    files: tuple[tuple[str, str], ...] = ()

    def notes(self, mark: str) -> dict[int, str]:
        """What stands after `#:` or `#!`, by line; a comment alone on its line belongs to the line above."""
        notes: dict[int, str] = {}
        last = 0
        for number, line in enumerate(self.yaml.splitlines(), 1):
            before, found, note = line.partition(f"#{mark} ")
            if before.strip():
                last = number
            if found:
                notes[last] = f"{notes.get(last, '')} {note.strip()}".strip()
        return notes


def examples(page: str) -> list[Example]:
    found: list[Example] = []
    files: tuple[tuple[str, str], ...] = ()
    previous: re.Match[str] | None = None
    for fence in FENCE.finditer(page):
        if fence[1] == "yaml":
            found.append(Example(page[: fence.start()].count("\n") + 1, fence[2], None, files))
            if name := re.match(r"# (\w+\.yaml)\n", fence[2]):
                files = (*files, (name[1], fence[2]))
        elif fence[1] == "text" and previous is not None and previous[1] == "yaml":
            assert page[previous.end() : fence.start()] == "", "a text block stands right below its example"
            found[-1] = Example(found[-1].line, found[-1].yaml, fence[2], found[-1].files)
        previous = fence
    return found


def tables(page: str, *header: str) -> list[list[str]]:
    """The rows of every table with this header."""
    found = page.split(f"\n| {' | '.join(header)} |\n")[1:]
    return [_cells(row) for rest in found for row in rest.split("\n\n")[0].splitlines()[1:]]


def _cells(line: str) -> list[str]:
    return [cell.strip().strip("`") for cell in line.strip().strip("|").split(" | ")]


def _id(example: Example) -> str:
    return f"line-{example.line}"


@pytest.mark.parametrize("example", [*examples(LANGUAGE), *examples(README), *examples(CHAPTER)], ids=_id)
def test_examples(example: Example, tmp_path: Path) -> None:
    for name, text in example.files:
        (tmp_path / name).write_text(text, encoding="utf-8")
    lines = example.yaml.splitlines()
    nodes = {lines[number - 1].split(":")[0].strip(): note for number, note in example.notes(":").items()}
    outputs = f"outputs: [{', '.join(nodes)}]\n" if nodes and "outputs:" not in example.yaml else ""
    graph, errors = _compiled(whole(example.yaml + outputs), tmp_path)
    if example.text is not None:
        assert (render(errors) if graph is None else graph_text(graph)) == example.text.rstrip("\n")
        return
    shift = whole(example.yaml + outputs).split(example.yaml)[0].count("\n")
    assert {d.span.line - shift: d.message for d in errors if d.span} == example.notes("!"), render(errors)
    assert graph is None or {name: _nodes(graph, name) for name in nodes} == nodes


def _compiled(text: str, root: Path) -> tuple[Graph | None, list[Diagnostic]]:
    try:
        return compile_text(text, shown="spec.yaml", root=root), []
    except SpecError as error:
        return None, [d for d in error.diagnostics if d.severity == "error"]


def _nodes(graph: Graph, entry: str) -> str:
    """The paths under an entry, and the shape of what the entry is."""
    made = [path for path in graph.nodes if path not in graph.inputs and f"{path}.".startswith(f"{entry}.")]
    (node,) = [output.node for output in graph.outputs if output.name == entry]
    bounds = ", ".join(f"{symbol} >= {least}" for symbol, least in graph.bounds.items())
    return " ".join([*made, str(graph.nodes[node].type), *([f"for {bounds}"] if bounds else [])])


def test_the_preamble_is_the_one_of_the_tests() -> None:
    assert examples(LANGUAGE)[0].yaml.splitlines() == list(PREAMBLE.values())


@pytest.mark.parametrize(("expression", "value"), tables(LANGUAGE, "expression", "value"))
def test_values(expression: str, value: str) -> None:
    test = f"({expression}) == ({value})"
    assert "y.relu" in compiled(f"net:\n  y: image -> (relu if {test} else tanh)").nodes


@pytest.mark.parametrize(("written", "read"), tables(LANGUAGE, "written", "is read as"))
def test_precedence(written: str, read: str) -> None:
    first, second = (compiled(f"net:\n  y: {expression}") for expression in (written, read))
    assert first == second


@pytest.mark.parametrize(("condition", "value"), tables(LANGUAGE, "condition", "value"))
def test_conditions_on_symbols(condition: str, value: str) -> None:
    spec = f"input: {{image: [N, 3, 32*h, 32*w]}}\nnet:\n  y: image -> (relu if {condition} else tanh)"
    if value in ("true", "false"):
        assert ("y.relu" in compiled(spec).nodes) == (value == "true")
    else:
        with pytest.raises(SpecError, match=re.escape(value.replace("undecided: ", "is undecided: it turns at "))):
            compiled(spec)


@pytest.mark.parametrize(("spec", "where", "path"), tables(LANGUAGE, "spec", "where", "weight or node"))
def test_paths(spec: str, where: str, path: str) -> None:
    graph = compile_text((ROOT / "specs" / f"{spec}.yaml").read_text(encoding="utf-8"))
    node, _, weight = path.rpartition(".")
    found = graph.nodes.get(path) or graph.nodes[node]
    assert found.path == path or weight in found.op.params(*graph.input_types(found)), where


def test_limits() -> None:
    documented = {
        name: int(number.replace(",", "")) for _, number, name in tables(LANGUAGE, "limit", "at most", "name")
    }
    assert documented == {name: value for name, value in vars(limits).items() if name.isupper()}


@pytest.mark.parametrize("page", PAGES)
def test_python_examples(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    blocks = [body for kind, body in FENCE.findall((ROOT / page).read_text(encoding="utf-8")) if kind == "python"]
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for body in blocks:
        said: list[str] = []
        runner.run(doctest.DocTestParser().get_doctest(body, {}, page, page, 0), out=said.append)
        assert not said, "".join(said)


def test_the_language_page_is_short() -> None:
    assert LANGUAGE.count("\n") <= 400


def test_the_list_of_operators_is_up_to_date() -> None:
    page = runpy.run_path(str(ROOT / "docs/generate.py"))["page"]()
    assert OPERATORS.read_text(encoding="utf-8") == page, "run: python docs/generate.py"


def test_the_zoo_table_is_up_to_date() -> None:
    page = runpy.run_path(str(ROOT / "docs/zoo.py"))["page"]()
    assert (ROOT / "docs/zoo.md").read_text(encoding="utf-8") == page, "run: python docs/zoo.py"


def test_the_list_of_recipe_keys_is_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "docs")
    page = runpy.run_path(str(ROOT / "docs/recipes.py"))["page"]()
    assert (ROOT / "docs/recipes.md").read_text(encoding="utf-8") == page, "run: python docs/recipes.py"


def test_every_verb_has_its_section() -> None:
    assert re.findall(r"^## (\w+)$", COMMANDS, re.MULTILINE) == list(VERBS)


def commands() -> list[tuple[str, str]]:
    """Every command of the pages with the output shown below it."""
    blocks = FENCE.findall("\n".join((COMMANDS, README, CHAPTER)))
    bare = [(line, "") for kind, body in blocks if kind == "sh" for line in body.splitlines()]
    parts = [part for kind, body in blocks if kind == "console" for part in re.split(r"^\$ ", body, flags=re.MULTILINE)]
    shown = [(line, output) for line, _, output in (part.partition("\n") for part in parts)]
    return [(line, output) for line, output in (*shown, *bare) if line.startswith("cnnspec ")]


def write_files(folder: Path) -> None:
    """The specs that the pages name, for their commands."""
    for example in (*examples(COMMANDS), *examples(README), *examples(CHAPTER), *examples(MEMORY)):
        if name := re.match(r"# (\w+\.yaml)\n", example.yaml):
            (folder / name[1]).write_text(example.yaml, encoding="utf-8")


@pytest.mark.parametrize(("line", "expected"), commands())
@apart
def test_commands(
    line: str, expected: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verb, *args = shlex.split(line)[1:]
    help = run(capsys, verb, "--help").out
    missing = [arg for arg in args if arg.startswith("-") and not re.search(rf"(^|\s|,){arg}\b", help, re.MULTILINE)]
    assert not missing, f"{verb} has no {missing}"
    if verb in SLOW:
        return
    write_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    answer = run(capsys, verb, *args)
    got = answer.out + answer.err
    blanks_and_dots = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    assert doctest.OutputChecker().check_output(expected, got, blanks_and_dots) or not expected, got


def test_the_picture_shows_what_the_command_prints() -> None:
    shown = html.unescape((ROOT / "docs/summary.svg").read_text(encoding="utf-8")).replace("\xa0", " ")
    command = [sys.executable, str(ROOT / "cli.py"), "summarize", "lenet5"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout
    lines = (re.sub(r"(with backend .*\): ).*", r"\1", line) for line in printed.splitlines()[2:])  # vectors decide it
    missing = [line for line in lines if line and line not in shown]
    assert not missing, "run: python docs/picture.py"
