"""The reader and the parser by themselves: values, places, and words that no whole spec shows."""

from __future__ import annotations

from fractions import Fraction

import pytest

from cnnspec.diagnostics import Diagnostic, Source, Span, SpecError, printable, render
from cnnspec.expression import parse
from cnnspec.reader import Mapping, Scalar, decode, key_span, literal, locate, read, to_python
from cnnspec.syntax import Binary, Call, Conditional, Expr, ListOf, Literal, Loop, Name, Pipe, Unary


def mapping(text: str) -> Mapping:
    root, found = read(Source("t.yaml", text))
    assert found == []
    return root


def scalar(text: str) -> Scalar:
    node = mapping(f"a: {text}\n").entries["a"]
    assert isinstance(node, Scalar)
    return node


def refused(text: str) -> Diagnostic:
    with pytest.raises(SpecError) as caught:
        to_python(read(Source("t.yaml", text))[0])
    return caught.value.diagnostics[-1]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-1", -1),
        ("+1", 1),
        ("0", 0),
        ("1.0", 1.0),
        ("1e-3", 1e-3),
        (".5", 0.5),
        ("1.", 1.0),
        ("-2.5E+2", -250.0),
        ("9007199254740992", 2**53),
        ("true", True),
        ("false", False),
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("True", "True"),
        ("none", "none"),
        ("'1'", "1"),
        ('"true"', "true"),
        ('"~"', "~"),
        ("2026-11-23", "2026-11-23"),
        ("a b", "a b"),
        ("a\n  b", "a b"),
        ("1.2.3", "1.2.3"),
        ('"a\\tb"', "a\tb"),
    ],
)
def test_yaml_1_2_values(text: str, value: object) -> None:
    found = literal(scalar(text))
    assert found == value
    assert type(found) is type(value)


def test_not_finite() -> None:
    assert literal(scalar(".inf")) == float("inf")
    assert literal(scalar("-.inf")) == float("-inf")
    assert str(literal(scalar(".nan"))) == "nan"


@pytest.mark.parametrize("text", ["010", "1_000", "0x10", "0o7", "0b1", "12:30", "-007", "1:2:3"])
def test_odd_numbers(text: str) -> None:
    found = refused(f"a: {text}\n")
    assert (found.code, found.message) == ("value.number", f"'{text}' is no decimal number")


@pytest.mark.parametrize("text", ["", "~", "null", "Null", "NULL"])
def test_nulls(text: str) -> None:
    found = refused(f"a: {text}\n")
    assert (found.code, found.message) == ("yaml.null", "a value is missing here")
    assert refused(f"a: [b, {text or '~'}]\n").code == "yaml.null"


@pytest.mark.parametrize("control", ["\x00", "\x07", "\x1b", "\x7f", "\x85", "\u2028", "\u202e", "\u2066"])
def test_control_characters(control: str) -> None:
    for text in (f"a: x{control}y\n", f"# {control}\n", f"{control}: a\n"):
        with pytest.raises(SpecError, match="control character"):
            decode(text.encode(), "t.yaml")
    escape = f"\\u{ord(control):04x}"
    assert refused(f'a: "x{escape}y"\n').code == "yaml.escape"
    assert control not in str(refused(f'a: "x{escape}y"\n'))


def test_byte_offsets_count_the_mark_at_the_start() -> None:
    with pytest.raises(SpecError, match="at byte offset 8"):
        decode(b"\xef\xbb\xbf\xc3\xa4: b\x07", "t.yaml")
    with pytest.raises(SpecError, match="0xff is not UTF-8 at byte offset 6"):
        decode(b"\xef\xbb\xbfa: \xff", "t.yaml")


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_places(end: str) -> None:
    root = mapping(f"a: 1{end}b:{end}  - x{end}  - {{c: yy}}{end}ä: 'zz'{end}")
    assert (locate(root, ("a",)).line, locate(root, ("a",)).column) == (1, 4)
    assert locate(root, ("b", 1, "c")).text == "yy"
    assert (locate(root, ("b", 1, "c")).line, locate(root, ("b", 1, "c")).column) == (4, 9)
    assert locate(root, ("b", "list[int]", 0)).text == "x"
    assert locate(root, ("ä",)).text == "'zz'"
    assert key_span(root, ("b", 1, "c")).text == "c"
    assert key_span(root, ("ä",)).line == 5


def test_line_ends_within_a_diagnostic() -> None:
    span = Span(Source("t.yaml", "a: 1\r\nb: 2\r\n"), 6, 7)
    assert str(Diagnostic("x.y", "m", span)).split("\n")[1:] == ["    2 | b: 2", "      | ^"]


def test_place_at_the_very_end() -> None:
    source = Source("t.yaml", "a: 1\n")
    found = Diagnostic("x.y", "m", Span(source, 5, 5))
    assert str(found) == "t.yaml:2:1: error[x.y]: m"
    assert found.as_json()["line"] == 2


def test_long_lines_are_shown_around_the_fault() -> None:
    source = Source("t.yaml", f"{'x' * 500}Y{'z' * 500}")
    lines = str(Diagnostic("x.y", "m", Span(source, 500, 501))).split("\n")
    assert lines[1][lines[2].index("^")] == "Y"
    assert len(lines[1]) < 200


def test_terminal_is_safe() -> None:
    source = Source("a\x1b[2J.yaml", "b\x1b[31m\n")
    found = Diagnostic("x.y", "m\x1b\n\u202e", Span(source, 0, 1), facts=("f\x07",), node="n\x00", help="h\x9b")
    assert printable(str(found)) == str(found)
    assert len(str(found).split("\n")) == 6
    assert printable("a\x1b\u200b\u202e\ufeff") == "a\\x1b\\u200b\\u202e\\ufeff"


def test_twenty_are_shown() -> None:
    source = Source("t.yaml", "x" * 50)
    found = [Diagnostic("x.y", f"m{n}", Span(source, n, n + 1)) for n in reversed(range(21))]
    assert render(found[1:]).count("error[") == 20
    assert "more" not in render(found[1:])
    assert render(found).endswith("... and 1 more (--json has all)")
    assert render(found).index("m0\n") < render(found).index("m1\n")


# expressions


def tree(text: str) -> str:
    """The tree of an expression, with every parenthesis."""
    return spelled(parse(scalar(text)))


def spelled(expr: Expr) -> str:
    match expr:
        case Literal(value=value):
            return str(value)
        case Name(id=name):
            return name
        case Unary(sign=sign, operand=operand):
            return f"({sign} {spelled(operand)})"
        case Binary(sign=sign, left=left, right=right):
            return f"({spelled(left)} {sign} {spelled(right)})"
        case Conditional(then=then, test=test, otherwise=otherwise):
            return f"({spelled(then)} if {spelled(test)} else {spelled(otherwise)})"
        case Pipe(first=first, steps=steps):
            return f"({' -> '.join(map(spelled, (first, *steps)))})"
        case Loop(step=step, names=names, over=over):
            return f"({spelled(step)} for {','.join(n.id for n in names)} in {spelled(over)})"
        case ListOf(items=items):
            return f"[{', '.join(map(spelled, items))}]"
        case Call(callee=callee, args=args, named=named):
            keys = [f"{name.id}={spelled(value)}" for name, value in named]
            return f"{spelled(callee)}<{', '.join([*map(spelled, args), *keys])}>"
    return expr.span.text


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("x -> a if c else x", "((x -> a) if c else x)"),
        ("x -> (a if c else x)", "(x -> (a if c else x))"),
        ("a if b else c if d else e", "(a if b else (c if d else e))"),
        ("2 * conv(64) -> relu", "((2 * conv<64>) -> relu)"),
        ("x -> 2 * (conv(64, 3) -> relu)", "(x -> (2 * (conv<64, 3> -> relu)))"),
        ("a or b and not c", "(a or (b and (not c)))"),
        ("not a == b", "(not (a == b))"),
        ("1 + 2 * 3 - 4 // 5 % 6", "((1 + (2 * 3)) - ((4 // 5) % 6))"),
        ("-a * b", "((- a) * b)"),
        ("a - -b", "(a - (- b))"),
        ("--a", "(- (- a))"),
        ("a - b - c", "((a - b) - c)"),
        ("(s(t, c) for t, c in rows)", "(s<t, c> for t,c in rows)"),
        ("f(a, b -> up(2), k=[1, 2])", "f<a, (b -> up<2>), k=[1, 2]>"),
        ("a.b.c[0][1]", "a.b.c[0][1]"),
        ("a < b + 1", "(a < (b + 1))"),
        ("f()", "f<>"),
        ("f(a,)", "f<a>"),
        ("1e-3", str(Fraction(1, 1000))),
        (".5", str(Fraction(1, 2))),
        ("0.1 + 0.2", f"({Fraction(1, 10)} + {Fraction(1, 5)})"),
        ("a\n  -> b", "(a -> b)"),
        ("'x -> y'", "(x -> y)"),
        ("\"f('x')\"", "f<x>"),
        ("f(a; b)", "f<a, b>"),
        ("true", "True"),
        ("trues", "trues"),
        ("for_ -> in_", "(for_ -> in_)"),
    ],
)
def test_grammar(text: str, meaning: str) -> None:
    assert tree(text) == meaning


def test_spans_of_an_expression_are_what_was_written() -> None:
    expr = parse(scalar("image -> conv(64, k=a.b) -> relu"))
    assert expr.span.text == "image -> conv(64, k=a.b) -> relu"
    assert isinstance(expr, Pipe)
    call = expr.steps[0]
    assert isinstance(call, Call)
    assert [part.span.text for part in (call, call.callee, call.args[0], *call.named[0])] == [
        "conv(64, k=a.b)",
        "conv",
        "64",
        "k",
        "a.b",
    ]
