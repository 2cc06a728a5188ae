"""Hostile specs by name: the text, the codes of what must be said, and the seconds it may take."""

from __future__ import annotations

from itertools import pairwise

HEAD = "cnnspec: 1\nname: hostile\ninput: {image: [N, 3, 8, 8]}\n"
PLAIN = f"{HEAD}net:\n  out: image -> relu\noutputs: [out]\n"


def net(out: str, blocks: str = "") -> str:
    return f"{HEAD}{blocks and 'blocks:'}{blocks}\nnet:\n  out: {out}\noutputs: [out]\n"


def doubling(base: str, count: int) -> str:
    return f"\n  b0: {base}" + "".join(f"\n  b{n}: x -> b{n - 1} -> b{n - 1}" for n in range(1, count))


LETTERS = "abcdefghi"
PAIRS = list(pairwise(LETTERS))
LAUGHS = "a: &a [x, x, x]\n" + "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in PAIRS)
MERGES = "a: &a {k0: v, k1: v}\n" + "".join(f"{b}: &{b} {{<<: [{', '.join([f'*{a}'] * 9)}]}}\n" for a, b in PAIRS)

# text: (the codes of its errors, or none where it is a graph; seconds it may take)
TEXTS: dict[str, tuple[str, list[str], float]] = {
    "billion laughs": (LAUGHS, ["yaml.anchor"], 0.05),
    "merge bomb": (MERGES, ["yaml.anchor"], 0.05),
    "merge key": (net("{<<: a}"), ["yaml.merge"], 0.05),
    "100,000 nested brackets": (f"a: {'[' * 100_000}", ["limit.depth"], 1),
    "100,000 nested braces": (f"a: {'{a: ' * 100_000}", ["limit.depth"], 1),
    "nested mappings in lines": ("".join(f"{' ' * n}a:\n" for n in range(1000)), ["limit.depth"], 1),
    "nested lists on one line": ("- " * 100_000 + "a", ["limit.depth"], 1),
    "100,000 parentheses": (net("(" * 100_000), ["limit.scalar"], 1),
    "4,000 parentheses": (net("(" * 4000), ["limit.expression"], 1),
    "4,000 minus signs": (net("-" * 4000), ["limit.expression"], 1),
    "4,000 dots": (net("image" + ".a" * 2000), ["limit.expression"], 1),
    "5,000 digits": (net(f"image -> conv({'9' * 4000}, 3)"), ["value.range"], 1),
    "5,000 digits as data": (f"{PLAIN}typical: {{N: {'9' * 4000}}}\n", ["value.range"], 1),
    "powers": (net("image -> conv(9**9**9, 3)"), ["expr.syntax"], 0.05),
    "powers by hand": (net("image -> conv(" + "*".join(["9007199254740992"] * 30) + ", 3)"), ["value.range"], 0.05),
    "tall decimals": (net("image -> dropout(" + "*".join(["1e300"] * 30) + ")"), ["value.range"], 0.05),
    "small decimals": (net("image -> dropout(" + "*".join(["1e-300"] * 30) + ")"), ["value.range"], 0.05),
    "nested repeats": (net("image -> 1000 * (1000 * (1000 * relu))"), ["limit.nodes"], 0.05),
    "nested repeats of nothing": (net("image -> 1000 * (1000 * (1000 * (0 * relu)))"), ["limit.nodes"], 1),
    "doubling blocks": (net("image -> b29", doubling("x -> relu", 30)), ["limit.nodes"], 1),
    "doubling blocks of nothing": (net("image -> b29", doubling("x -> 0 * relu", 30)), ["limit.nodes"], 1),
    "doubling branches": (
        net(
            "image -> b29(1)",
            "\n  b0(n): x -> relu"
            + "".join(f"\n  b{k}(n): x -> b{k - 1}(n) -> b{k - 1}(n) if n == 1 else x -> relu" for k in range(1, 30)),
        ),
        ["limit.nodes"],
        10,  # a condition hides the doubling from the meter: 100,000 nodes are written before the limit stops them
    ),
    "doubling by taps": (
        net(
            "image -> b29",
            "\n  b0: x -> relu"
            + "".join(
                f"\n  b{k}:\n    a: x -> b{k - 1}\n    b: x -> b{k - 1}\n    out: add(a, b)" for k in range(1, 30)
            ),
        ),
        ["limit.nodes"],
        1,
    ),
    "blocks that call arguments": (net("image -> w(w)", "\n  w(f): x -> f(f)"), ["limit.blocks"], 1),
    "lists that double": (
        f"{HEAD}params:\n  p0: [1, 1]\n"
        + "".join(f"  p{n}: [p{n - 1}, p{n - 1}]\n" for n in range(1, 40))
        + "net:\n  out: image -> conv(8, p39)\noutputs: [out]\n",
        ["limit.list"],
        1,
    ),
    "steps that double": (
        f"{HEAD}params:\n  p0: relu -> relu\n"
        + "".join(f"  p{n}: p{n - 1} -> p{n - 1}\n" for n in range(1, 40))
        + "net:\n  out: image -> p39\noutputs: [out]\n",
        ["limit.nodes"],
        1,
    ),
    "10,001 entries in a row": (
        f"{HEAD}net:\n  e0: image -> relu\n"
        + "".join(f"  e{n}: e{n - 1} -> relu\n" for n in range(1, 10_001))
        + "outputs: [e10000]\n",
        [],
        8,
    ),
    "10,001 entries, last first": (
        f"{HEAD}net:\n"
        + "".join(f"  e{n}: e{n - 1} -> relu\n" for n in range(10_000, 0, -1))
        + "  e0: image -> relu\noutputs: [e10000]\n",
        [],
        8,
    ),
    "10,001 entries through attributes": (
        f"{HEAD}net:\n  e0: image -> relu\n"
        + "".join(f"  e{n}: image -> conv(e{n - 1}.channels, 1)\n" for n in range(1, 10_001))
        + "outputs: [e10000]\n",
        [],
        8,
    ),
    "10,001 entries through conditions": (
        f"{HEAD}net:\n  e0: image -> relu\n"
        + "".join(f"  e{n}: e{n - 1} if e{n - 1}.channels == 3 else image\n" for n in range(1, 10_001))
        + "outputs: [e10000]\n",
        [],
        8,
    ),
    "10,000 params in a row": (
        f"{HEAD}params:\n"
        + "".join(f"  p{n}: p{n + 1}\n" for n in range(10_000))
        + "  p10000: 8\nnet:\n  out: image -> conv(p0, 3)\noutputs: [out]\n",
        [],
        8,
    ),
    "circle of 3,000": (
        f"{HEAD}net:\n" + "".join(f"  e{n}: e{(n + 1) % 3_000} -> relu\n" for n in range(3_000)) + "outputs: [e0]\n",
        ["graph.cycle"],
        8,
    ),
    "20,000 duplicate keys": (f"{PLAIN}" + "name: x\n" * 20_000, ["yaml.duplicate"], 8),
    "20,000 unknown sections": (PLAIN + "".join(f"s{n}: 1\n" for n in range(20_000)), ["spec.section"], 8),
    "a line of 1 MB": (f"{PLAIN}# {'x' * 1_000_000}\n", [], 1),
    "80,000 documents": ("---\n" * 80_000, ["yaml.documents", "yaml.empty"], 1),
    "wide list": (f"{HEAD}params: {{a: [{'1, ' * 9_000}1]}}\nnet:\n  out: image -> relu\noutputs: [out]\n", [], 8),
    "wide add": (net(f"add({', '.join(['image'] * 400)})"), [], 1),
    "huge affine sizes": (
        HEAD.replace("8, 8", "16777216*h, 16777215*w")
        + "net:\n  out: image -> (relu if image.height == image.width else tanh)\noutputs: [out]\n",
        ["value.undecided"],
        1,
    ),
    "huge affine merge": (
        HEAD.replace("8, 8", "16777216*h + 1, 16777214*w")
        + "net:\n  a: image -> relu\n  out: image -> (relu if a.height == a.width else tanh)\noutputs: [out]\n",
        [],
        1,
    ),
    "regular expression": (f"{HEAD}net:\n  out: 'a" + " " * 4000 + "x\noutputs: [out]\n", ["yaml.syntax"], 1),
    "open signatures": (f"{HEAD}blocks:\n" + "  f(a,\n" * 20_000, ["limit.scalar"], 1),
    "blanks and tabs": (PLAIN + " \t" * 200_000, ["yaml.syntax"], 1),
    "lines of blanks": (PLAIN + (" " * 999 + "\n") * 900, [], 1),
    "one million blanks before a tab": (PLAIN + "#\n" + " " * 900_000 + "\tx: 1\n", ["yaml.tab"], 1),
}


# Faults that are known and open, by the number of their report; `run` would hang or crash.
