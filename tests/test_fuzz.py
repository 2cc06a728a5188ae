"""Whatever the text, the answer is a graph or an error that a user can cause, with places inside the file.

Also: the resolved form of every graph reloads to an equal graph. `-m long` runs 20,000 texts.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from cnnspec import zoo
from cnnspec.canonical import digest, resolved_yaml
from cnnspec.diagnostics import CnnspecError, Diagnostic, MissingError, SpecError, UsageError
from cnnspec.front import compile_file, compile_text
from cnnspec.graph import Graph

FAST, LONG = 60, 5000
SHIPPED = {name: (zoo.folder() / f"{name}.yaml").read_text(encoding="utf-8") for name in zoo.names()}
SMALL = [text for text in SHIPPED.values() if len(text) < 2500]
ERRORS = [path.read_bytes().decode("utf-8", "replace") for path in (Path(__file__).parent / "errors").glob("*.yaml")]


def split(words: str) -> list[str]:
    return words.split()


WORDS = split(
    "image x out a b n conv relu add concat dense flatten maxpool avgpool batchnorm dropout global_avgpool scale lrn "
    "part for in if else and or not true false none same valid half min max ceil ceil_div round_to op filters kernel "
    "stride N h"
)
SIGNS = split("-> + - * // % == != < <= > >= ( ) [ ] { } , : ; = . ' \" # | & ! @ ` ? ~ << ** ---")
NUMBERS = split("0 1 2 3 8 -1 0.5 1e-5 010 1_0 0x1 .5 1. 9007199254740993 16777217 1e999 .nan .inf 32*h 4*h+1")
BLANKS = [" ", "  ", "\n", "\n  ", "\n    ", "\t", "\r\n", "", ": ", ", ", "- "]
TOKENS = st.sampled_from([*WORDS, *SIGNS, *NUMBERS, *BLANKS])
SECTIONS = split("cnnspec name about extends use input typical params blocks net outputs heads expect weights")


def judged(text: str) -> None:
    """Compile; every error is of the user's kind, and every finding has its place and words."""
    found: list[Diagnostic] = []
    said = ""
    try:
        graph = compile_text(text, shown="fuzz.yaml", root=zoo.folder())
        found, said = list(graph.warnings), str(graph)
    except SpecError as error:
        found, said = error.diagnostics, str(error) if error.diagnostics else ""
    except (MissingError, UsageError) as error:
        said = str(error)
    assert said
    for one in found:
        check_place(one)


def check_place(found: Diagnostic) -> None:
    assert re.fullmatch(r"[a-z]+\.[a-z0-9-]+", found.code), found.code
    assert found.span is not None, found
    text = found.span.source.text
    assert 0 <= found.span.start <= found.span.end <= len(text), found.code
    lines = re.split(r"\r\n|\r|\n", text)
    assert 1 <= found.span.line <= len(lines)
    assert 1 <= found.span.column <= len(lines[found.span.line - 1]) + 2  # at most at the line's end, of two signs
    words = str(found)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", words)
    assert "object at 0x" not in words, words
    assert not re.search(r"\b(Span|Source|Node|Step|Scope|Fraction|TensorType|Dim)\(", words), words
    assert found.as_json()["line"] == found.span.line


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A shipped spec or one of the wrong ones, with characters, tokens or lines changed, moved or spliced."""
    text = draw(st.sampled_from([*SMALL, *ERRORS]))
    for _ in range(draw(st.integers(1, 4))):
        lines = text.split("\n")
        at = draw(st.integers(0, len(text)))
        line = draw(st.integers(0, len(lines) - 1))
        kind = draw(st.integers(0, 7))
        if kind == 0:
            text = text[:at] + draw(st.characters()) + text[at + 1 :]
        elif kind == 1:
            text = text[:at] + text[at + draw(st.integers(1, 30)) :]
        elif kind == 2:
            text = text[:at] + draw(TOKENS) + text[at:]
        elif kind == 3:
            words = list(re.finditer(r"\w+|[^\w\s]", text))
            if words:
                word = words[draw(st.integers(0, len(words) - 1))]
                text = text[: word.start()] + draw(TOKENS) + text[word.end() :]
        elif kind == 4:
            text = "\n".join(lines[:line] + lines[line + 1 :])
        elif kind == 5:
            text = "\n".join([*lines[:line], lines[line], *lines[line:]])
        elif kind == 6:
            other = draw(st.sampled_from([*SMALL, *ERRORS])).split("\n")
            text = "\n".join([*lines[:line], other[draw(st.integers(0, len(other) - 1))], *lines[line:]])
        else:
            lines[line] = " " * draw(st.integers(0, 9)) + lines[line].lstrip()
            text = "\n".join(lines)
    return text


def random_yaml() -> st.SearchStrategy[str]:
    scalar = st.one_of(
        st.sampled_from([*WORDS, *NUMBERS]), st.lists(TOKENS, max_size=8).map(" ".join), st.text(max_size=9)
    )
    value = st.recursive(
        scalar,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
            st.lists(st.tuples(st.sampled_from([*WORDS, *SECTIONS]), inner), max_size=3).map(
                lambda items: "{" + ", ".join(f"{key}: {item}" for key, item in items) + "}"
            ),
        ),
        max_leaves=6,
    )
    section = st.tuples(st.sampled_from(SECTIONS), value).map(lambda pair: f"{pair[0]}: {pair[1]}")
    return st.lists(section, max_size=8).map("\n".join)


def random_expression() -> st.SearchStrategy[str]:
    return st.lists(TOKENS, min_size=1, max_size=24).map(lambda tokens: " ".join(tokens).replace("\n", " "))


def grown_expression() -> st.SearchStrategy[str]:
    """Expressions that mostly parse."""
    leaf = st.sampled_from([*WORDS[:22], "1", "2", "3", "0.5", "[1, 2]", "'same'", "conv(8, 3)", "part(2)", "x.shape"])
    return st.recursive(
        leaf,
        lambda inner: st.one_of(
            st.tuples(inner, inner).map(" -> ".join),
            st.tuples(inner, st.sampled_from(["+", "-", "*", "//", "%", "==", "<", "and"]), inner).map(" ".join),
            st.tuples(inner, inner, inner).map(lambda t: f"({t[0]} if {t[1]} == {t[2]} else {t[1]})"),
            st.tuples(st.sampled_from(WORDS[6:24]), inner, inner).map(lambda t: f"{t[0]}({t[1]}, {t[2]})"),
            st.tuples(inner, inner).map(lambda t: f"({t[0]} for i in {t[1]})"),
            st.tuples(inner, st.sampled_from(["channels", "shape", "height", "out", "a"])).map(
                lambda t: f"({t[0]}).{t[1]}"
            ),
            inner.map(lambda e: f"-{e}"),
            inner.map(lambda e: f"[{e}]"),
        ),
        max_leaves=9,
    )


def in_a_spec(expression: str, block: str) -> str:
    quoted = '"' + expression.replace("\\", "").replace('"', "'") + '"'
    inner = '"' + block.replace("\\", "").replace('"', "'") + '"'
    return (
        "cnnspec: 1\nname: fuzz\ninput: {image: [N, 3, 8*h, 16]}\nparams: {n: 2, act: relu, rows: [[1, 2], [3, 4]]}\n"
        f"blocks:\n  part(a, b=2): {inner}\nnet:\n  b: image -> conv(3, 3)\n  out: {quoted}\noutputs: [out]\n"
    )


EXPRESSIONS = st.one_of(random_expression(), grown_expression())
TEXTS: dict[str, st.SearchStrategy[str]] = {
    "mutated": mutated(),
    "yaml": random_yaml(),
    "expression": st.builds(in_a_spec, EXPRESSIONS, grown_expression()),
    "characters": st.lists(st.one_of(TOKENS, st.text(max_size=5)), max_size=40).map("".join),
}


def run(strategy: st.SearchStrategy[str], count: int, check: Callable[[str], None]) -> None:
    quiet = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
    phases = [Phase.explicit, Phase.generate, Phase.shrink]

    @settings(
        max_examples=count,
        deadline=None,
        suppress_health_check=quiet,
        phases=phases,
        database=None,
        derandomize=count == FAST,
    )
    @given(strategy)
    def once(text: str) -> None:
        check(text)

    once()


@pytest.mark.parametrize("kind", TEXTS)
def test_text(kind: str) -> None:
    run(TEXTS[kind], FAST, judged)


@pytest.mark.long
@pytest.mark.parametrize("kind", TEXTS)
def test_many_texts(kind: str) -> None:
    run(TEXTS[kind], LONG, judged)


# the resolved form


def reloads(text: str) -> None:
    """The canonical text of a graph, if there is one, gives the graph again."""
    try:
        graph = compile_text(text, root=zoo.folder())
    except CnnspecError:
        return
    same_again(graph)


def same_again(graph: Graph) -> None:
    again = compile_text(resolved_yaml(graph))
    assert digest(again) == digest(graph)
    assert again.nodes.keys() == graph.nodes.keys()
    for path, node in graph.nodes.items():
        twin = again.nodes[path]
        assert (twin.op, twin.inputs, twin.type) == (node.op, node.inputs, node.type)
    assert (again.outputs, dict(again.heads), again.bounds) == (graph.outputs, dict(graph.heads), graph.bounds)


@st.composite
def small_specs(draw: st.DrawFn) -> str:
    """Specs that mostly compile: entries in a row, each from earlier ones, by operators, blocks and merges."""
    same = [
        "relu",
        "tanh",
        "conv(4, 3)",
        "batchnorm",
        "dropout(0.25)",
        "maxpool(3, 1, padding=1)",
        "part",
        "part(act=tanh)",
    ]
    same += [
        "conv(4, [3, 1], padding=same, bias=false)",
        "2 * part",
        "(conv(4, k) for k in [1, 3])",
        "identity",
        "lrn(3)",
    ]
    same += ["conv(4, 3, groups=2)", "avgpool(3, 1, padding=[1, 1])", "conv(4, 3, padding=[[0, 2], [1, 1]])"]
    lines, names = ["  e0: image -> conv(4, 3)"], ["e0"]
    for number in range(1, draw(st.integers(2, 7))):
        name, (a, b) = f"e{number}", (draw(st.sampled_from(names)), draw(st.sampled_from(names)))
        step = draw(st.sampled_from(same))
        forms = [
            f"{a} -> {step}",
            f"add({a}, {b})",
            f"add({a}, {b} -> {step})",
            f"{a} -> {step} -> {draw(st.sampled_from(same))}",
        ]
        lines.append(f"  {name}: {draw(st.sampled_from(forms))}")
        names.append(name)
    head = draw(
        st.sampled_from(["global_avgpool -> dense(3)", "relu", "scale(e0 -> global_avgpool)", "concat(e0, e0)"])
    )
    lines.append(f"  out: add({', '.join(names)}) -> {head}")
    size = draw(st.sampled_from(["[N, 3, 8*h, 8*w]", "[N, 3, 16, 16]", "[B, 3, 4*s + 1, 9]"]))
    classify = "heads: {out: {classify: {labels: ['a: b', \"it's\", 'no']}}}\n" if "dense" in head else ""
    return (
        f"cnnspec: 1\nname: small\ninput: {{image: {size}}}\nblocks:\n  part(act=relu):\n    y: x -> conv(4, 1)\n"
        f"    out: add(x, y) -> act\nnet:\n{chr(10).join(lines)}\noutputs: [out]\n{classify}"
    )


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_spec_reloads(name: str) -> None:
    same_again(compile_file(name))


def test_small_spec_reloads() -> None:
    run(small_specs(), FAST, reloads)


@pytest.mark.long
def test_many_small_specs_reload() -> None:
    run(small_specs(), 1000, reloads)


def test_small_specs_mostly_compile() -> None:
    """Else the property above would say little."""
    good = []

    def count(text: str) -> None:
        try:
            compile_text(text)
            good.append(True)
        except CnnspecError:
            good.append(False)

    run(small_specs(), FAST, count)
    assert sum(good) > len(good) // 2
