"""The graphs that small specs give, rule by rule, in the canonical form too.

A row of a graph is `path: operator(inputs) [shape]`; fragments are completed by language.PREAMBLE.
"""

from __future__ import annotations

import pytest

from cnnspec.canonical import resolved_yaml
from cnnspec.front import compile_text
from language import compiled, lines, rows

SYMBOLS = "input: {image: [N, 3, 32*h, 32*w]}\n"

GRAPHS: dict[str, tuple[str, str]] = {
    "order of lines means nothing": (
        "net: {y: a -> relu, a: image -> tanh}",
        """a.tanh: tanh(image) [N, 3, 8, 8]
        y.relu: relu(a.tanh) [N, 3, 8, 8]""",
    ),
    "a call has all its tensors or gets the first from the left": (
        "net: {a: relu(image), y: a -> add(image)}",
        """a.relu: relu(image) [N, 3, 8, 8]
        y.add: add(a.relu, image) [N, 3, 8, 8]""",
    ),
    "arguments are whole expressions": (
        "net:\n  y: add(image, image -> relu -> tanh)",
        """y.relu: relu(image) [N, 3, 8, 8]
        y.tanh: tanh(y.relu) [N, 3, 8, 8]
        y.add: add(image, y.tanh) [N, 3, 8, 8]""",
    ),
    "steps are numbered as written, an outer call before its arguments": (
        "net: {y: relu(relu(image)) -> relu}",
        """y.relu_2: relu(image) [N, 3, 8, 8]
        y.relu: relu(y.relu_2) [N, 3, 8, 8]
        y.relu_3: relu(y.relu) [N, 3, 8, 8]""",
    ),
    "only the branch taken counts": (
        "net: {y: image -> (relu if false else tanh) -> relu -> (tanh if true else relu)}",
        """y.tanh: tanh(image) [N, 3, 8, 8]
        y.relu: relu(y.tanh) [N, 3, 8, 8]
        y.tanh_2: tanh(y.relu) [N, 3, 8, 8]""",
    ),
    "a conditional is looser than a pipe": (
        "net: {y: image -> relu if false else image -> tanh}",
        "y.tanh: tanh(image) [N, 3, 8, 8]",
    ),
    "n * repeats the one step after it": (
        "net:\n  y: image -> 2 * conv(4, 1) -> relu",
        """y.conv: conv(image) [N, 4, 8, 8]
        y.conv_2: conv(y.conv) [N, 4, 8, 8]
        y.relu: relu(y.conv_2) [N, 4, 8, 8]""",
    ),
    "n * before a number is a product": (
        "net:\n  y: image -> conv(2 * 3, 1)",
        "y.conv: conv(image) [N, 6, 8, 8]",
    ),
    "a product, then a repeat": (
        "net: {y: image -> 1 * 2 * relu}",
        """y.relu: relu(image) [N, 3, 8, 8]
        y.relu_2: relu(y.relu) [N, 3, 8, 8]""",
    ),
    "a pipe in parentheses is a step; parentheses add no level": (
        "net:\n  y: image -> 2 * (conv(4, 1) -> relu)",
        """y.conv: conv(image) [N, 4, 8, 8]
        y.relu: relu(y.conv) [N, 4, 8, 8]
        y.conv_2: conv(y.relu) [N, 4, 8, 8]
        y.relu_2: relu(y.conv_2) [N, 4, 8, 8]""",
    ),
    "0 * is the identity": (
        "net:\n  y: image -> 0 * relu -> tanh -> (relu for i in [])",
        "y.tanh: tanh(image) [N, 3, 8, 8]",
    ),
    "a repeat is typed turn by turn": (
        """
blocks:
  layer:
    new: x -> conv(x.channels, 1)
    out: concat(x, new)
net:
  y: image -> 2 * layer
""",
        """y.layer.new.conv: conv(image) [N, 3, 8, 8]
        y.layer.concat: concat(image, y.layer.new.conv) [N, 6, 8, 8]
        y.layer_2.new.conv: conv(y.layer.concat) [N, 6, 8, 8]
        y.layer_2.concat: concat(y.layer.concat, y.layer_2.new.conv) [N, 12, 8, 8]""",
    ),
    "a loop counts from 0": (
        "net:\n  y: image -> (conv(4 + i, 1) for i in 2)",
        """y.conv: conv(image) [N, 4, 8, 8]
        y.conv_2: conv(y.conv) [N, 5, 8, 8]""",
    ),
    "a loop over a list, with several names, nested": (
        "net:\n  y: image -> ((conv(c + i, k) for i in 2) -> relu for c, k in [[4, 1], [8, 3]])",
        """y.conv: conv(image) [N, 4, 8, 8]
        y.conv_2: conv(y.conv) [N, 5, 8, 8]
        y.relu: relu(y.conv_2) [N, 5, 8, 8]
        y.conv_3: conv(y.relu) [N, 8, 8, 8]
        y.conv_4: conv(y.conv_3) [N, 9, 8, 8]
        y.relu_2: relu(y.conv_4) [N, 9, 8, 8]""",
    ),
    "one name takes a whole item, and items may be steps": (
        "net:\n  y: image -> (conv(p[0], p[1]) for p in [[4, 1]]) -> (f for f in [relu, tanh])",
        """y.conv: conv(image) [N, 4, 8, 8]
        y.f: relu(y.conv) [N, 4, 8, 8]
        y.f_2: tanh(y.f) [N, 4, 8, 8]""",
    ),
    "several tensors, called or piped into": (
        """
blocks:
  fuse(deep, skip; filters, kernel=1): add(deep -> conv(filters, kernel), skip)
net:
  a: fuse(image, image, 3)
  y: a -> fuse(image, 3, kernel=3)
""",
        """a.fuse.conv: conv(image) [N, 3, 8, 8]
        a.fuse.add: add(a.fuse.conv, image) [N, 3, 8, 8]
        y.fuse.conv: conv(a.fuse.add) [N, 3, 8, 8]
        y.fuse.add: add(y.fuse.conv, image) [N, 3, 8, 8]""",
    ),
    "x inside a step is the block's x": (
        "blocks:\n  residual: x -> relu -> tanh -> add(x)\nnet: {y: image -> residual}",
        """y.residual.relu: relu(image) [N, 3, 8, 8]
        y.residual.tanh: tanh(y.residual.relu) [N, 3, 8, 8]
        y.residual.add: add(y.residual.tanh, image) [N, 3, 8, 8]""",
    ),
    "out adds no level, another entry adds its own": (
        """
blocks:
  unit:
    main: x -> conv(3, 3) -> relu -> conv(3, 3)
    out:  add(main, x) -> relu
net: {y: image -> unit}
""",
        """y.unit.main.conv: conv(image) [N, 3, 8, 8]
        y.unit.main.relu: relu(y.unit.main.conv) [N, 3, 8, 8]
        y.unit.main.conv_2: conv(y.unit.main.relu) [N, 3, 8, 8]
        y.unit.add: add(y.unit.main.conv_2, image) [N, 3, 8, 8]
        y.unit.relu: relu(y.unit.add) [N, 3, 8, 8]""",
    ),
    "defaults see params, earlier arguments and x": (
        """
params: {scale: 2}
blocks:
  unit(filters=scale * x.channels, hidden=filters + 1): x -> conv(hidden, 1) -> conv(filters, 1)
net:
  y: image -> unit -> unit(4)
""",
        """y.unit.conv: conv(image) [N, 7, 8, 8]
        y.unit.conv_2: conv(y.unit.conv) [N, 6, 8, 8]
        y.unit_2.conv: conv(y.unit.conv_2) [N, 5, 8, 8]
        y.unit_2.conv_2: conv(y.unit_2.conv) [N, 4, 8, 8]""",
    ),
    "local values are numbers, booleans and lists": (
        """
blocks:
  unit(n):
    hidden: n * x.channels
    wide: hidden > 4
    sizes: [hidden, 9]
    out: x -> (conv(sizes[0], 1) if wide else conv(sizes[1], 1))
net:
  count: 1
  y: image -> unit(count) -> unit(count)
""",
        """y.unit.conv: conv(image) [N, 9, 8, 8]
        y.unit_2.conv: conv(y.unit.conv) [N, 9, 8, 8]""",
    ),
    "a held step bears the name it is used by": (
        """
params: {norm: batchnorm(eps=0.001)}
blocks:
  unit(act=relu): x -> norm -> act
net:
  y: image -> unit -> unit(tanh) -> norm
""",
        """y.unit.norm: batchnorm(image) [N, 3, 8, 8]
        y.unit.act: relu(y.unit.norm) [N, 3, 8, 8]
        y.unit_2.norm: batchnorm(y.unit.act) [N, 3, 8, 8]
        y.unit_2.act: tanh(y.unit_2.norm) [N, 3, 8, 8]
        y.norm: batchnorm(y.unit_2.act) [N, 3, 8, 8]""",
    ),
    "a held pipe or repeat is one level, numbered by its name": (
        """
blocks:
  unit(act): x -> act -> act
net:
  y: image -> unit((relu -> tanh)) -> unit(2 * tanh)
""",
        """y.unit.act.relu: relu(image) [N, 3, 8, 8]
        y.unit.act.tanh: tanh(y.unit.act.relu) [N, 3, 8, 8]
        y.unit.act_2.relu: relu(y.unit.act.tanh) [N, 3, 8, 8]
        y.unit.act_2.tanh: tanh(y.unit.act_2.relu) [N, 3, 8, 8]
        y.unit_2.act.tanh: tanh(y.unit.act_2.tanh) [N, 3, 8, 8]
        y.unit_2.act.tanh_2: tanh(y.unit_2.act.tanh) [N, 3, 8, 8]
        y.unit_2.act_2.tanh: tanh(y.unit_2.act.tanh_2) [N, 3, 8, 8]
        y.unit_2.act_2.tanh_2: tanh(y.unit_2.act_2.tanh) [N, 3, 8, 8]""",
    ),
    "a held step is handed on; a held block opens its own level": (
        """
blocks:
  pair: x -> relu -> tanh
  inner(act): x -> act
  outer(act=pair): x -> inner(act=act)
net: {y: image -> outer}
""",
        """y.outer.inner.act.relu: relu(image) [N, 3, 8, 8]
        y.outer.inner.act.tanh: tanh(y.outer.inner.act.relu) [N, 3, 8, 8]""",
    ),
    "an argument hides a param": (
        """
params: {act: relu, n: 4}
blocks:
  unit(act=tanh, n=5): x -> conv(n, 1) -> act
net: {y: image -> unit -> act}
""",
        """y.unit.conv: conv(image) [N, 5, 8, 8]
        y.unit.act: tanh(y.unit.conv) [N, 5, 8, 8]
        y.act: relu(y.unit.act) [N, 5, 8, 8]""",
    ),
    "taps of a block, one without out": (
        """
blocks:
  exchange(a, b;):
    high: a -> relu
    low: add(high, b)
net:
  m: exchange(image, image)
  y: add(m.high, m.low)
""",
        """m.exchange.high.relu: relu(image) [N, 3, 8, 8]
        m.exchange.low.add: add(m.exchange.high.relu, image) [N, 3, 8, 8]
        y.add: add(m.exchange.high.relu, m.exchange.low.add) [N, 3, 8, 8]""",
    ),
    "a tap beside the result, and nothing that is not needed": (
        """
blocks:
  unit:
    main: x -> tanh
    waste: x -> conv(1, 99, padding=valid)
    out: main -> relu
net:
  m: image -> unit
  y: add(m, m.main)
""",
        """m.unit.main.tanh: tanh(image) [N, 3, 8, 8]
        m.unit.relu: relu(m.unit.main.tanh) [N, 3, 8, 8]
        y.add: add(m.unit.relu, m.unit.main.tanh) [N, 3, 8, 8]""",
    ),
    "a held name takes tensors and arguments": (
        """
blocks:
  unit(merge=add, layer=conv): merge(x, x -> layer(3, 1))
net: {y: image -> unit -> unit(concat)}
""",
        """y.unit.layer: conv(image) [N, 3, 8, 8]
        y.unit.merge: add(image, y.unit.layer) [N, 3, 8, 8]
        y.unit_2.layer: conv(y.unit.merge) [N, 3, 8, 8]
        y.unit_2.merge: concat(y.unit.merge, y.unit_2.layer) [N, 6, 8, 8]""",
    ),
    "a held step keeps the names of the place it was written at": (
        """
params: {n: 3, act: relu if n > 2 else tanh}
blocks:
  inner(step, n): x -> tanh -> step
  outer(n): x -> inner((conv(n, 1) -> concat(x)), 9)
net:
  y: image -> outer(5) -> act
""",
        """y.outer.inner.tanh: tanh(image) [N, 3, 8, 8]
        y.outer.inner.step.conv: conv(y.outer.inner.tanh) [N, 5, 8, 8]
        y.outer.inner.step.concat: concat(y.outer.inner.step.conv, image) [N, 8, 8, 8]
        y.act: relu(y.outer.inner.step.concat) [N, 8, 8, 8]""",
    ),
    "out may name an entry": (
        "blocks:\n  unit:\n    main: x -> relu\n    out: main\nnet: {y: image -> unit}",
        "y.unit.main.relu: relu(image) [N, 3, 8, 8]",
    ),
    "an expression may wrap over lines, or be quoted": (
        "net:\n  a: image -> relu\n    -> tanh\n  y: 'a -> relu'",
        """a.relu: relu(image) [N, 3, 8, 8]
        a.tanh: tanh(a.relu) [N, 3, 8, 8]
        y.relu: relu(a.tanh) [N, 3, 8, 8]""",
    ),
    "one and three spatial axes": (
        """
input: {line: [N, 2, 9], cube: [N, 2, 4, 5, 6]}
net:
  a: line -> conv(line.width, 3)
  b: cube -> conv(cube.depth + 10 * cube.height, 1)
outputs: [a, b]
""",
        """a.conv: conv(line) [N, 9, 9]
        b.conv: conv(cube) [N, 54, 4, 5, 6]""",
    ),
    "a name that holds no step is called as the operator": (
        "params: {dropout: 0.2}\nnet: {y: image -> dropout(dropout)}",
        "y.dropout: dropout(image) [N, 3, 8, 8]",
    ),
    "a block hides an operator": (
        "blocks:\n  relu: x -> tanh\nnet: {y: image -> relu}",
        "y.relu.tanh: tanh(image) [N, 3, 8, 8]",
    ),
    "strides and paddings keep a size affine": (
        SYMBOLS + "net:\n  y: image -> conv(4, 3, 2, padding=valid) -> maxpool(2, padding=same)",
        """y.conv: conv(image) [N, 4, 16*h - 1, 16*w - 1]
        y.maxpool: maxpool(y.conv) [N, 4, 8*h, 8*w]""",
    ),
    "the inputs' sizes may hold params, whose names are then no symbols": (
        "params: {size: 4, maps: 2}\ninput: {a: [B, maps, size, 2 * size + 1], b: [B, 1, 4, 9]}\n"
        "net:\n  y: concat(a, b)",
        "y.concat: concat(a, b) [B, 3, 4, 9]",
    ),
}

EQUAL: dict[str, tuple[str, str]] = {
    "one tensor": ("{op: conv, in: image, filters: 4, kernel: 3}", "image -> conv(4, 3)"),
    "several": ("{op: add, in: [image, image]}", "add(image, image)"),
    "fields are expressions": ("{op: conv, in: image, filters: 2 * 2, kernel: [1, 3]}", "image -> conv(4, [1, 3])"),
    "words": ("{op: conv, in: image, filters: 4, kernel: 3, padding: same}", "image -> conv(4, 3, padding=same)"),
    "a block": ("{op: unit, in: image, n: 4}", "image -> unit(4)"),
    "in: is an expression too": ("{op: relu, in: image -> tanh}", "relu(image -> tanh)"),
    "a step that is held": ("{op: held, in: image, act: {op: relu}}", "image -> held(relu)"),
}


@pytest.mark.parametrize("rule", GRAPHS)
def test_graphs(rule: str) -> None:
    fragment, expected = GRAPHS[rule]
    assert rows(compiled(fragment)) == lines(expected)


@pytest.mark.parametrize("rule", GRAPHS)
def test_the_resolved_form_reloads_to_an_equal_graph(rule: str) -> None:
    graph = compiled(GRAPHS[rule][0])
    again = compile_text(resolved_yaml(graph))
    assert (again, again.hash, list(again.nodes)) == (graph, graph.hash, list(graph.nodes))


@pytest.mark.parametrize("rule", EQUAL)
def test_the_canonical_form_equals_the_expression(rule: str) -> None:
    blocks = "blocks:\n  unit(n): x -> conv(n, 1)\n  held(act): x -> act\n"
    canonical, expression = (compiled(f"{blocks}net:\n  y: {value}") for value in EQUAL[rule])
    assert canonical == expression
    assert rows(canonical) == rows(expression)


def test_a_dotted_key_is_the_whole_path() -> None:
    graph = compiled("net:\n  a.b.c: {op: relu, in: image}\n  y: add(a.b.c, image)")
    assert rows(graph) == ["a.b.c: relu(image) [N, 3, 8, 8]", "y.add: add(a.b.c, image) [N, 3, 8, 8]"]
