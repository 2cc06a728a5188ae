"""Every constant of cnnspec.limits, on both sides."""

from __future__ import annotations

from pathlib import Path

import pytest

from cnnspec import limits
from cnnspec.diagnostics import SpecError
from cnnspec.front import compile_file, compile_text
from cnnspec.graph import Graph
from cnnspec.values import ValueFault, bounded

HEAD = "cnnspec: 1\nname: limit\ninput: {image: [N, 3, 8, 8]}\n"
PLAIN = f"{HEAD}net:\n  out: image -> relu\noutputs: [out]\n"


def spec(out: str, *, blocks: str = "", top: str = "", size: str = "8, 8") -> Graph:
    head = HEAD.replace("8, 8", size) + top
    return compile_text(f"{head}{blocks and 'blocks:'}{blocks}\nnet:\n  out: {out}\noutputs: [out]\n")


def refused(code: str, out: str, *, blocks: str = "", top: str = "", size: str = "8, 8") -> str:
    with pytest.raises(SpecError) as caught:
        spec(out, blocks=blocks, top=top, size=size)
    assert [found.code for found in caught.value.diagnostics] == [code]
    return caught.value.diagnostics[0].message


def test_every_constant_is_tested_here() -> None:
    named = {name for name in vars(limits) if name.isupper()}
    text = Path(__file__).read_text(encoding="utf-8")
    assert {name for name in named if f"limits.{name}" not in text} == set()


def test_file_bytes(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    comment = limits.FILE_BYTES - len(PLAIN)
    path.write_text(PLAIN + "#" * comment, encoding="utf-8")
    assert compile_file(path).name == "limit"
    path.write_text(PLAIN + "#" * (comment + 1), encoding="utf-8")
    with pytest.raises(SpecError, match=rf"the file has {limits.FILE_BYTES + 1} bytes, the limit is 1048576 \(1 MiB\)"):
        compile_file(path)


def test_yaml_depth() -> None:
    """The document is level 1, the section 2, the value 3."""
    inner = limits.YAML_DEPTH - 2

    def nested(levels: int) -> str:
        return f"params:\n  a: {'[' * levels}1{']' * levels}\n"

    assert spec("image -> relu", top=nested(inner)).name == "limit"
    assert refused("limit.depth", "image -> relu", top=nested(inner + 1)) == "nested deeper than 64 levels"


def test_scalar_chars() -> None:
    about = "x" * limits.SCALAR_CHARS
    assert spec("image -> relu", top=f"about: {about}\n").about == about
    message = refused("limit.scalar", "image -> relu", top=f"about: {about}x\n")
    assert message == "4097 characters, the limit is 4096"


def test_scalar_chars_of_an_expression() -> None:
    """An expression counts as written, with what YAML folds away."""
    short = "image -> relu"
    wrapped = short.replace(" -> ", f" ->\n{' ' * (limits.SCALAR_CHARS - len(short))}")
    assert spec(wrapped).name == "limit"
    assert (
        refused("limit.expression", wrapped.replace("\n", "\n "))
        == "an expression of 4097 characters, the limit is 4096"
    )


@pytest.mark.parametrize("rest", [": x -> relu", ":\n    mine: x -> relu\n    out: mine"], ids=["one line", "entries"])
def test_key_chars(rest: str) -> None:
    """A signature is a key."""
    known = "part(a=[])"

    def signature(length: int) -> str:
        return f"\n  part(a=[{' ' * (length - len(known))}]){rest}"

    assert spec("image -> part", blocks=signature(limits.KEY_CHARS)).name == "limit"
    message = refused("limit.key", "image -> part", blocks=signature(limits.KEY_CHARS + 1))
    assert message == "1025 characters before a colon, the limit is 1024 (YAML's own)"


def test_expression_depth() -> None:
    """The whole expression is level 1, an argument 2."""
    inner = limits.EXPRESSION_DEPTH - 2
    assert spec(f"image -> conv({'(' * inner}8{')' * inner}, 3)").name == "limit"
    message = refused("limit.expression", f"image -> conv({'(' * (inner + 1)}8{')' * (inner + 1)}, 3)")
    assert message == "nested deeper than 32 levels"


def test_expression_depth_of_signs() -> None:
    inner = limits.EXPRESSION_DEPTH - 2
    assert spec(f"image -> conv({'-' * inner}8, 3)").name == "limit"
    assert refused("limit.expression", f"image -> conv({'-' * (inner + 1)}8, 3)") == "nested deeper than 32 levels"


def test_expression_depth_of_operators_in_a_row() -> None:
    row = " + ".join(["1"] * (limits.EXPRESSION_DEPTH + 1))
    assert spec(f"image -> conv({row}, 3)").nodes["out.conv"].type.channels == 33
    assert refused("limit.expression", f"image -> conv({row} + 1, 3)") == "more than 32 operators in a row"


def test_integer() -> None:
    top = limits.INTEGER
    assert spec("image -> conv(a + b + 8, 3)", top=f"params: {{a: {top}, b: -{top}}}\n").name == "limit"
    message = refused("value.range", "image -> relu", top=f"params: {{a: {top + 1}}}\n")
    assert message == "9007199254740993 is out of range: -2^53 to 2^53"
    message = refused("value.range", "image -> conv(a + 1, 3)", top=f"params: {{a: {top}}}\n")
    assert message == "9007199254740993 is out of range: -2^53 to 2^53"


def chain(folder: Path, count: int) -> Path:
    """Files that use each other in a row; the first is the last one used."""
    for number in range(1, count + 1):
        use, step = (f"use: {{below: f{number - 1}.yaml}}\n", "below") if number > 1 else ("", "relu")
        text = PLAIN.replace("relu", step).replace("input:", f"{use}input:")
        (folder / f"f{number}.yaml").write_text(text, encoding="utf-8")
    return folder / f"f{count}.yaml"


def test_use_depth(tmp_path: Path) -> None:
    assert compile_file(chain(tmp_path, limits.USE_DEPTH)).name == "limit"
    with pytest.raises(SpecError, match=r"files used 8 deep, the limit: f9.yaml -> f8.yaml -> .* -> f1.yaml"):
        compile_file(chain(tmp_path, limits.USE_DEPTH + 1))


def test_use_files(tmp_path: Path) -> None:
    for number in range(limits.USE_FILES):
        (tmp_path / f"u{number}.yaml").write_text(PLAIN, encoding="utf-8")

    def using(count: int) -> Path:
        lines = "".join(f"  s{number}s: u{number}.yaml\n" for number in range(count))
        path = tmp_path / "root.yaml"
        path.write_text(PLAIN.replace("input:", f"use:\n{lines}input:"), encoding="utf-8")
        return path

    assert compile_file(using(limits.USE_FILES - 1)).name == "limit"
    with pytest.raises(SpecError, match="more than 64 files"):
        compile_file(using(limits.USE_FILES))


def test_block_depth() -> None:
    """Each block's result is one level, and so is what holds it."""

    def nested(levels: int) -> str:
        return "\n  b1: x -> relu" + "".join(f"\n  b{n}: x -> b{n - 1} -> tanh" for n in range(2, levels + 1))

    deep = limits.BLOCK_DEPTH
    assert spec(f"image -> b{deep}", blocks=nested(deep)).name == "limit"
    message = refused("limit.blocks", f"image -> b{deep + 1}", blocks=nested(deep + 1))
    assert message == "blocks nested deeper than 64 levels"


def test_repeat() -> None:
    assert len(spec(f"image -> {limits.REPEAT} * relu").nodes) == limits.REPEAT + 1
    message = refused("limit.repeat", f"image -> {limits.REPEAT + 1} * relu")
    assert message == "a repeat of 1001 turns: it is from 0 to 1000"
    assert len(spec(f"image -> (relu for i in {limits.REPEAT})").nodes) == limits.REPEAT + 1
    assert refused("limit.repeat", f"image -> (relu for i in {limits.REPEAT + 1})") == message


def test_nodes(tmp_path: Path) -> None:
    """The flag that raises the limit lowers it too, so that this is quick."""
    path = tmp_path / "spec.yaml"
    path.write_text(PLAIN.replace("relu", "10 * (3 * relu)"), encoding="utf-8")
    assert len(compile_file(path, max_nodes=31).nodes) == 31
    with pytest.raises(SpecError, match="more than 30 nodes"):
        compile_file(path, max_nodes=30)
    assert limits.NODES == 100_000
    with pytest.raises(SpecError, match="nested repeats would write 101000 nodes or more, the limit is 100000"):
        spec("image -> 101 * (1000 * relu)")


def test_dimension() -> None:
    top = limits.DIMENSION
    assert spec("image -> relu", size=f"{top}, 1").name == "limit"
    message = refused("input.size", "image -> relu", size=f"{top + 1}, 1")
    assert message == "the input 'image' is [N, 3, 16777217, 1]: a size is from 1 to 16777216"
    assert spec(f"image -> conv({top}, 1)", size="1, 1").name == "limit"
    assert (
        refused("value.argument", f"image -> conv({top + 1}, 1)")
        == "conv: filters: want at least 1 and at most 16777216, got 16777217"
    )
    assert spec(f"image -> conv(1, 1, padding=[[0, {top - 8}], [0, 0]])").name == "limit"
    message = refused("shape.conv", f"image -> conv(1, 1, padding=[[0, {top - 7}], [0, 0]])")
    assert message == "the result would be [N, 1, 16777217, 8]: a size is from 1 to 16777216"


def test_dimension_of_a_symbol() -> None:
    top = limits.DIMENSION
    assert spec("image -> relu", size=f"{top}*h + {top}, 1").name == "limit"
    for size in (f"{top + 1}*h, 1", f"h + {top + 1}, 1", f"h - {top + 1}, 1"):
        assert refused("input.size", "image -> relu", size=size).endswith("is out of range")


def test_elements() -> None:
    """2^40 = 2^20 x 2^20, as an activation and as a weight."""
    assert limits.ELEMENTS == 2**40
    half = 2**20
    assert spec(f"image -> conv({half}, 1)", size="1024, 1024").name == "limit"
    message = refused("shape.conv", f"image -> conv({half}, 1)", size="1025, 1024")
    assert message.endswith("1100585369600 elements, the limit is 1099511627776")
    assert spec(f"image -> global_avgpool -> dense({half}) -> dense({half})").name == "limit"
    message = refused("shape.dense", f"image -> global_avgpool -> dense({half}) -> dense({half + 1})")
    assert message == "its weight [1048577, 1048576] would have 1099512676352 elements, the limit is 1099511627776"


def test_name_chars() -> None:
    name = "n" * limits.NAME_CHARS
    assert compile_text(PLAIN.replace("out:", f"{name}:").replace("[out]", f"[{name}]")).outputs[0].name == name
    with pytest.raises(SpecError, match="the name of an entry has 65 characters, the limit is 64"):
        compile_text(PLAIN.replace("out:", f"{name}n:").replace("[out]", f"[{name}n]"))


def test_list_items() -> None:
    """Items of lists inside a list count wherever they stand, though they are stored once."""
    assert len(bounded((1,) * limits.LIST_ITEMS)) == limits.LIST_ITEMS
    with pytest.raises(ValueFault, match="a list of more than 10000 items"):
        bounded((1,) * (limits.LIST_ITEMS + 1))
    doubled: tuple[object, ...] = (1, 1)
    for _ in range(60):
        doubled = (doubled, doubled)
    with pytest.raises(ValueFault, match="a list of more than 10000 items"):
        bounded(doubled)


def given(folder: Path, numbers: str) -> Path:
    (folder / "numbers.json").write_text(numbers, encoding="utf-8")
    path = folder / "spec.yaml"
    path.write_text(PLAIN + "params: {given: {file: numbers.json}}\n", encoding="utf-8")
    return path


def test_list_items_of_a_file(tmp_path: Path) -> None:
    """The inner list and its numbers; the outermost list is none of its items."""
    full = ", ".join(["0"] * (limits.LIST_ITEMS - 1))
    assert compile_file(given(tmp_path, f"[[{full}]]")).name == "limit"
    message = r"cannot read 'numbers\.json': line 1, column 30000: more than 10000 items"
    with pytest.raises(SpecError, match=message):
        compile_file(given(tmp_path, f"[[{full}, 0]]"))


def test_given_rank(tmp_path: Path) -> None:
    def nested(levels: int) -> str:
        return "[" * levels + "1" + "]" * levels

    assert compile_file(given(tmp_path, nested(limits.GIVEN_RANK))).name == "limit"
    with pytest.raises(SpecError, match="lists nested deeper than 5 levels"):
        compile_file(given(tmp_path, nested(limits.GIVEN_RANK + 1)))


def test_file_bytes_of_numbers(tmp_path: Path) -> None:
    padding = " " * (limits.FILE_BYTES - len("[1]"))
    assert compile_file(given(tmp_path, f"[1]{padding}")).name == "limit"
    with pytest.raises(SpecError, match=r"'numbers\.json': the file has 1048577 bytes, the limit is 1048576"):
        compile_file(given(tmp_path, f"[1] {padding}"))


def test_use_files_counts_files_of_numbers(tmp_path: Path) -> None:
    """One file of numbers is read once however often it is named."""
    for number in range(limits.USE_FILES):
        (tmp_path / f"n{number}.json").write_text("[1]", encoding="utf-8")

    def naming(count: int) -> Path:
        lines = "".join(f"  p{number}p: [{{file: n{number}.json}}, {{file: ./n0.json}}]\n" for number in range(count))
        path = tmp_path / "root.yaml"
        path.write_text(f"{PLAIN}params:\n{lines}", encoding="utf-8")
        return path

    assert compile_file(naming(limits.USE_FILES - 1)).name == "limit"
    with pytest.raises(SpecError, match="more than 64 files"):
        compile_file(naming(limits.USE_FILES))


def test_idle_calls() -> None:
    """Calls that make no node, besides four for every node there is (here the input alone)."""
    blocks = "\n  idle: x"
    full = " -> ".join([f"{limits.IDLE_CALLS // limits.REPEAT} * ({limits.REPEAT} * idle)", "4 * idle"])
    assert set(spec(f"image -> {full}", blocks=blocks).nodes) == {"image"}
    message = f"more than {limits.IDLE_CALLS} calls that make no node, while the graph is written"
    assert refused("limit.work", f"image -> {full} -> idle", blocks=blocks) == message
