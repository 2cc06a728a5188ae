"""Expressions that are no tensors, sizes that hold symbols, and what is refused, word for word."""

from __future__ import annotations

import pytest

from cnnspec.diagnostics import SpecError, UsageError
from language import compiled

SYMBOLS = "input: {image: [N, 3, 32*h, 32*w]}\n"

NUMBERS: dict[str, int] = {
    "1 + 2 * 3": 7,
    "(1 + 2) * 3": 9,
    "7 // 2 * 2": 6,
    "2 * 7 // 2": 7,
    "7 % 4 - 1": 2,
    "10 - 2 - 3": 5,
    "10 + -3": 7,
    "2 - -1": 3,
    "-7 // 2": -4,
    "-7 % 3": 2,
    "--3": 3,
    "-2 * -3": 6,
    "1 if true else 2 + 5": 1,
    "1 if 2 > 3 else 2 + 5": 7,
    "1 if false else 2 if false else 3": 3,
    "[3, 4][1] * 2": 8,
    "[[1, 2], [3, 4]][1][0]": 3,
    "image.channels": 3,
    "image.height + image.width": 16,
    "image.shape[2]": 8,
    "min(3, 2, 5)": 2,
    "min([3, 2])": 2,
    "max(1, 4) + 1": 5,
    "ceil(2.1)": 3,
    "ceil(2)": 2,
    "ceil(-2.5)": -2,
    "ceil(3 * 0.1 * 10)": 3,  # 4 with floats
    "ceil(1e1)": 10,
    "ceil(max(1, 1.5))": 2,
    "ceil_div(7, 2)": 4,
    "ceil_div(8, 2)": 4,
    "round_to(20, 8)": 24,
    "round_to(19, 8)": 24,  # 16 is below 0.9 * 19
    "round_to(17, 8)": 16,
    "round_to(0.35 * 16, 8)": 8,
    "round_to(0.75 * 32, 8)": 24,
    "round_to(3, 8)": 8,
}

TRUTHS: dict[str, bool] = {
    "true or false and false": True,
    "not 1 == 2": True,
    "not false and false": False,
    "not (false and false)": True,
    "1 + 1 == 2": True,
    "2 == 2.0": True,
    "1 == true": False,
    "0.1 + 0.2 == 0.3": True,
    "1 != 2 and 1 <= 1 and 2 >= 2 and 1 < 2 and 3 > 2": True,
    "'a' == 'a'": True,
    "same == 'same'": True,
    "same == valid": False,
    "none == none": True,
    "[1, 2] == [1, 2]": True,
    "[1] == [1, 2]": False,
    "false and 1 // 0 == 0": False,
    "true or 1 // 0 == 0": True,
    "image.shape == image.shape": True,
    "image.channels == 3": True,
}

# With the image [N, 3, 32*h, 32*w].
SYMBOLIC: dict[str, bool] = {
    "image.height == image.height": True,
    "image.height == 33": False,
    "image.height // 32 == image.height": False,  # equal at h = 0 only
    "image.height > 31": True,
    "image.height >= 32": True,
    "image.height < 32": False,
    "image.height % 32 == 0": True,
    "(image.height + 5) % 16 == 5": True,
    "2 * image.height == image.height + image.height": True,
    "image.height - image.height == 0": True,
    "image.height // 2 + 1 == image.height // 2": False,
    "-image.height < 0": True,
    "image.shape == [2, 4, 32, 32]": False,  # the channels differ, whatever N is
    "image.shape[0] >= 1": True,
}

UNDECIDED: dict[str, str] = {
    "image.height == 64": "32*h == 64 is undecided: it turns at h = 2",
    "image.height != 64": "32*h != 64 is undecided: it turns at h = 2",
    "image.height > 32": "32*h > 32 is undecided: it turns at h = 2",
    "image.height == image.width": "32*h == 32*w is undecided: it turns at h = 1, w = 1",
    "image.shape[0] == 1": "N == 1 is undecided: it turns at N = 1",
}

# The net's one entry is `y: image -> STEP`; each is one error.
STEPS: dict[str, tuple[str, str]] = {
    "2.0 * relu": ("value.repeat", "a repeat wants a whole number, got a decimal: 2.0"),
    "true * relu": ("value.repeat", "a repeat wants a whole number, got a boolean: true"),
    "-1 * relu": ("limit.repeat", "a repeat of -1 turns: it is from 0 to 1000"),
    "1001 * relu": ("limit.repeat", "a repeat of 1001 turns: it is from 0 to 1000"),
    "(relu for a, b in [[1]])": ("value.loop", "2 names want items of 2 values, got [1]"),
    "conv(1.0, 1)": ("value.argument", "conv: filters: want a whole number, got 1.0"),
    "conv(1.5 // 1, 1)": ("value.kind", "// wants whole numbers, got 1.5 // 1"),
    "conv(7 % 0, 1)": ("value.zero", "division by zero: 7 % 0"),
    "conv([1, 2][2], 1)": ("value.index", "the list has 2 items, [0] to [1], got [2]"),
    "conv([1, 2][-1], 1)": ("value.index", "the list has 2 items, [0] to [1], got [-1]"),
    "conv(1 + true, 1)": ("value.kind", "+ wants numbers, got a boolean: true"),
    "conv(ceil_div(1.5, 2), 1)": ("value.kind", "ceil_div wants whole numbers, got 1.5"),
    "conv(round_to(20, 0), 1)": ("value.zero", "round_to wants a positive whole number second, got 0"),
    "conv(9007199254740992 + 1, 1)": ("value.range", "9007199254740993 is out of range: -2^53 to 2^53"),
    "conv(2 ** 3, 1)": ("expr.syntax", "the language has no powers"),
    "conv(8 / 2, 1)": ("expr.syntax", "the language has no true division; write a // b for whole numbers"),
    "(conv(1, 1) if 1 else relu)": ("value.kind", "a condition is a boolean, got a number: 1"),
    "(relu if 1 < 2 < 3 else tanh)": ("expr.syntax", "comparisons are not chained"),
    "(relu if image == image else tanh)": ("value.kind", "a tensor cannot be compared"),
    "(relu if true else rleu)": ("name.operator", "there is no operator or block 'rleu'"),
    "conv(n, 1)": ("name.unknown", "there is no 'n' here"),
    "conv(no, 1)": ("name.unknown", "there is no 'no' here"),
    "conv(4)": ("call.missing", "conv needs kernel"),
    "conv(4, 1, 1, 1)": (
        "call.arguments",
        "conv takes 1 tensor (x) and at most 3 arguments (filters, kernel, stride) without a keyword, got 4",
    ),
    "conv(4, 1, filters=4)": ("call.twice", "conv gets 'filters' twice"),
    "conv(4, 1, filter=4)": ("call.unknown", "conv has no argument 'filter'"),
    "add": ("call.tensors", "add takes 2 or more tensors, got 1"),
    "2": ("value.step", "a step is due here: an operator, a block, or a pipe that begins with one"),
}

# Whole fragments; each is one error.
FRAGMENTS: dict[str, tuple[str, str]] = {
    "net: {y: image}\nblocks:\n  b: x -> conv(m, 1)\n": ("name.unknown", "there is no 'm' here"),
    "net: {y: image}\nblocks:\n  b(a=c, c=1): x -> conv(a + c, 1)\n": ("name.unknown", "there is no 'c' here"),
    "net: {a: image -> relu, y: a -> b}\nblocks:\n  b: add(x, a)\n": ("name.unknown", "there is no 'a' here"),
    "net: {y: image}\nblocks:\n  a: x -> b\n  b: x -> a\n": (
        "block.recursion",
        "blocks may not call themselves: a -> b -> a",
    ),
    "net: {a: y -> relu, y: a -> relu}": ("graph.cycle", "entries need each other in a circle: a -> y -> a"),
    "net: {y: image}\nparams: {a: b + 1, b: a}": ("param.cycle", "params need each other in a circle: a -> b -> a"),
    "net: {y: image, a: image -> relu}": ("graph.unused", "'a' reaches no output"),
    "net: {y: image}\nparams: {y: 1}": ("name.twice", "'y' is an entry here and a param in line 4"),
    "net: {y: image}\nblocks:\n  y: x -> relu\n": ("name.twice", "'y' is an entry here and a block in line 5"),
    "net: {y: image}\nblocks:\n  b(n):\n    n: x -> relu\n    out: n\n": (
        "name.twice",
        "'n' is an entry here and an argument in line 5",
    ),
    "net: {y: image}\nblocks:\n  unit_2: x -> relu\n": (
        "name.form",
        "'unit_2' cannot name a block: _ and digits at its end number repeated steps",
    ),
    "net: {y: image}\nblocks:\n  b:\n    relu_2: x -> tanh\n    out: relu_2 -> relu\n": (
        "name.step",
        "'relu_2' is also the name of a step of out",
    ),
    "net: {y: image}\nparams: {half: 1}": ("name.form", "'half' cannot name a param: it is a word of the language"),
    "net: {y: image}\nparams: {training: 1}\n": (
        "name.form",
        "'training' cannot name a param: Python or PyTorch uses it",
    ),
    "net:\n  y: image -> (conv(i, 1) for i, i in [[1, 2]])": ("name.twice", "'i' in the loop has another meaning here"),
    "net:\n  y: image -> ((relu for i in 2) for i in 2)": ("name.twice", "'i' in the loop has another meaning here"),
    "net: {y: image}\nblocks:\n  b(n): x -> (relu for n in 2)\n": (
        "name.twice",
        "'n' in the loop has another meaning here",
    ),
    "net: {y: image}\nblocks:\n  b:\n    relu: x -> tanh\n    out: relu -> (tanh if false else relu)\n": (
        "name.step",
        "'relu' is also the name of a step of out",
    ),
    "net: {y: relu}": ("value.tensor", "an entry is a tensor or a value, 'relu' is a step"),
    "net:\n  y: image + image": ("value.kind", "+ wants numbers, got a tensor"),
    "net: {y: m}\n": ("name.unknown", "there is no 'm' here"),
    "blocks:\n  b:\n    hi: x -> relu\nnet:\n  m: image -> b\n  y: m -> relu\n": (
        "value.result",
        "b has not exactly one result",
    ),
    "blocks:\n  b:\n    out: x -> relu\nnet:\n  m: image -> b -> relu\n  y: m.out\n": (
        "name.tap",
        "'m' has no entry 'out'",
    ),
    "net: {y: image -> act(4)}\nparams: {act: relu -> tanh}": (
        "call.arguments",
        "'act' holds a whole step and takes no arguments",
    ),
    "input: {image: [1, 3, 8, 8]}\nnet: {y: image}": (
        "input.batch",
        "axis 0 of 'image' is the batch, one symbol, got 1",
    ),
    "input: {image: [N, c, 8, 8]}\nnet: {y: image}": (
        "input.channels",
        "axis 1 of 'image' is the number of channels, got c",
    ),
    "input: {a: [N, 3, 8], b: [M, 3, 8]}\nnet:\n  y: add(a, b)": (
        "input.batch",
        "all inputs share one batch, got N and M",
    ),
    "input: {image: [N, 3, h, h]}\nparams: {h: 8}\ntypical: {h: 8}\nnet: {y: image}": (
        "name.twice",
        "'h' is a symbol here and a param",
    ),
    SYMBOLS + "net:\n  y: image -> conv(image.height, 1)": (
        "value.argument",
        "conv: filters wants a plain value, got a size that holds a symbol: 32*h",
    ),
    SYMBOLS + "net:\n  y: image -> conv(4, 3, 3)": ("shape.conv", "stride 3 does not divide the height 32*h"),
    SYMBOLS + "net:\n  y: image -> conv(image.height // 3, 3)": (
        "value.size",
        "3 does not divide the factor of h in 32*h",
    ),
    SYMBOLS + "net:\n  y: image -> conv(image.height * image.width, 3)": (
        "value.size",
        "32*h * 32*w is no size: a size is affine in one symbol",
    ),
}

# The default of `v`, what it is overridden by, and the error where it may not.
OVERRIDES: list[tuple[str, object, str | None]] = [
    ("1", 2, None),
    ("1", "2", None),
    ("1", "1 + 1", None),
    ("1", 2.0, "the param 'v' is a number, got a decimal: 2.0"),
    ("1", True, "the param 'v' is a number, got a boolean: true"),
    ("1.5", 2, None),
    ("1.5", 0.1, None),
    ("true", False, None),
    ("true", "false", None),
    ("true", 1, "the param 'v' is a boolean, got a number: 1"),
    ("[1, 2]", [3], None),
    ("[1, 2]", "[3, 4]", None),
    ("[1, 2]", 3, "the param 'v' is a list, got a number: 3"),
    ("relu", "tanh", None),
    ("relu", "conv(4, 1)", None),
    ("relu", 3, "the param 'v' is a step, got a number: 3"),
    ("none", 3, None),
    ("\"'text'\"", "word", None),
    ("\"'text'\"", 3, "the param 'v' is a text, got a number: 3"),
]


def _number(expr: str) -> int:
    return _channels(f"conv(1000 + ({expr}), 1)") - 1000


def _channels(step: str) -> int:
    graph = compiled(f"net:\n  y: image -> {step}")
    return graph.nodes[graph.outputs[0].node].type.channels


def _truth(expr: str, sizes: str = "") -> bool:
    graph = compiled(f"{sizes}net:\n  y: image -> (relu if {expr} else tanh)")
    return "y.relu" in graph.nodes


@pytest.mark.parametrize("expr", NUMBERS)
def test_numbers(expr: str) -> None:
    assert _number(expr) == NUMBERS[expr]


@pytest.mark.parametrize("expr", TRUTHS)
def test_booleans(expr: str) -> None:
    assert _truth(expr) == TRUTHS[expr]


@pytest.mark.parametrize("expr", SYMBOLIC)
def test_symbols_decide(expr: str) -> None:
    assert _truth(expr, SYMBOLS) == SYMBOLIC[expr]


@pytest.mark.parametrize("expr", UNDECIDED)
def test_symbols_do_not_decide(expr: str) -> None:
    with pytest.raises(SpecError) as caught:
        _truth(expr, SYMBOLS)
    assert [(d.code, d.message) for d in caught.value.diagnostics] == [("value.undecided", UNDECIDED[expr])]


@pytest.mark.parametrize("step", STEPS)
def test_steps_refused(step: str) -> None:
    assert _errors(f"net:\n  y: image -> {step}") == [STEPS[step]]


@pytest.mark.parametrize("fragment", FRAGMENTS)
def test_fragments_refused(fragment: str) -> None:
    assert _errors(fragment) == [FRAGMENTS[fragment]]


@pytest.mark.parametrize(("default", "given", "message"), OVERRIDES)
def test_an_override_has_the_kind_of_the_default(default: str, given: object, message: str | None) -> None:
    fragment = f"params: {{v: {default}}}\nblocks:\n  unused: x -> relu\nnet: {{y: image}}"
    if message is None:
        compiled(fragment, params={"v": given})
    else:
        assert _errors(fragment, {"v": given}) == [("param.kind", message)]


def test_params_are_expressions_over_params_and_take_overrides_along() -> None:
    fragment = "params: {wide: 2 * width, width: 4}\nnet:\n  y: image -> conv(wide, 1)"
    given: list[dict[str, object]] = [{}, {"width": 5}, {"wide": 3}]
    assert [compiled(fragment, params=each).nodes["y.conv"].type.channels for each in given] == [8, 10, 3]


def test_decimals_are_exact_until_an_operator_takes_them() -> None:
    graph = compiled("net:\n  y: image -> (dropout(0.1 * i) for i in [1, 3])")
    assert [node.op.model_dump() for node in graph.nodes.values() if node.inputs] == [{"rate": 0.1}, {"rate": 0.3}]


def test_every_size_that_must_be_positive_bounds_its_symbol() -> None:
    graph = compiled(SYMBOLS + "net:\n  y: image -> conv(4, [70, 3], padding=valid) -> maxpool(3, 1)")
    assert graph.bounds == {"h": 3}
    assert graph.sizes(w=7) == {"N": 1, "h": 3, "w": 7}
    with pytest.raises(UsageError, match="h = 2 is too small: example wants h >= 3"):
        graph.sizes(h=2)


def test_an_error_in_a_repeat_says_nothing_of_other_entries() -> None:
    net = "net:\n  a: image -> 3 * maxpool(2)\n  b: image -> flatten\n  y: add(a, b)"
    with pytest.raises(SpecError) as caught:
        compiled(f"input: {{image: [N, 3, 4*h, 8]}}\n{net}")
    facts = [d.facts for d in caught.value.diagnostics]
    assert facts == [
        ("a.maxpool_2 is [N, 3, h, 2], from line 5", "in turn 3 of 3"),
        ("image is [N, 3, 4*h, 8], from line 3",),
    ]


def test_comparisons_use_no_bounds() -> None:
    fragment = SYMBOLS + "net:\n  a: image -> conv(3, 70, padding=valid)\n  y: a -> (relu if %s else tanh)"
    with pytest.raises(SpecError, match="h = 2"):
        compiled(fragment % "image.height > 32")
    assert "y.relu" in compiled(fragment % "a.height < image.height").nodes


def _errors(fragment: str, params: dict[str, object] | None = None) -> list[tuple[str, str]]:
    with pytest.raises(SpecError) as caught:
        compiled(fragment, params=params)
    return [(d.code, d.message) for d in caught.value.diagnostics]
