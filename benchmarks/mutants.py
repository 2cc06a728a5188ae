"""How many small faults in the shape, parameter and cost rules the quick tests notice.

One mutant at a time: an operator, a comparison or a constant of one function is changed in a copy of the package, and
the tests of shapes and costs run on it until one fails. A survivor is a rule that no test holds, or a change without
effect. Texts, `raise` and `assert` statements and `strict=` stay as they are: they hold no rule.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import importlib
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

GOAL = 0.9
ROOT = Path(__file__).resolve().parent.parent
COPIED = ("cnnspec", "backends", "specs", "tests", "pyproject.toml")
TARGETS = ("cnnspec/ops/*.py", "cnnspec/cost.py", "cnnspec/tensor.py")
TESTS = "ops_errors cost graph ops_fields ops_arithmetic ops_in_specs affine torch_samples window"
PRELOADED = ("torch", "torch.utils.flop_counter", "torch._dynamo", "pydantic", "yaml", "networkx", "pytest")
PAIRS = ["Add Sub", "Mult FloorDiv", "Lt LtE", "Gt GtE", "Eq NotEq", "Is IsNot", "In NotIn", "And Or"]
SWAPS = dict(pair.split() for pair in PAIRS) | dict(pair.split()[::-1] for pair in PAIRS)
SWAPS |= {"Mod": "FloorDiv", "Pow": "Mult"}
NAMES = {"max": "min", "min": "max", "any": "all", "all": "any"}


class Mutant(NamedTuple):
    file: str
    line: int
    old: str
    new: str
    whole: str
    """The text of the file with the fault in it."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {' '.join(self.old.split())}  =>  {self.new}"


def swapped(op: ast.AST) -> Any:
    return getattr(ast, SWAPS[type(op).__name__])()


def changed(node: ast.AST) -> Iterator[ast.expr]:
    """What an expression may become."""
    match node:
        case ast.BinOp(left, op, right) if type(op).__name__ in SWAPS:
            yield ast.BinOp(left, swapped(op), right)
            yield left
        case ast.BoolOp(op, values):
            yield ast.BoolOp(swapped(op), values)
        case ast.Compare(left, ops, rights):
            for at, op in enumerate(ops):
                yield ast.Compare(left, [*ops[:at], swapped(op), *ops[at + 1 :]], rights)
        case ast.UnaryOp(ast.Not() | ast.USub(), operand):
            yield operand
        case ast.IfExp(test, body, orelse):
            yield ast.IfExp(test, orelse, body)
        case ast.Constant(bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(int() as value):
            yield from (ast.Constant(value + 1), ast.Constant(value - 1))
        case ast.Call(ast.Name(name), args, keywords) if name in NAMES:
            yield ast.Call(ast.Name(NAMES[name]), args, keywords)


def sites(node: ast.AST, inside: bool = False) -> Iterator[ast.expr]:
    """The expressions in bodies of functions that hold rules."""
    if isinstance(node, ast.JoinedStr | ast.Raise | ast.Assert) or getattr(node, "arg", "") == "strict":
        return
    if inside and isinstance(node, ast.expr):
        yield node
    children = ast.iter_child_nodes(node)
    if isinstance(node, ast.FunctionDef):
        children, inside = iter(node.body), True
    elif isinstance(node, ast.AnnAssign):
        children = iter([node.value] if node.value else [])
    for child in children:
        yield from sites(child, inside)


def mutants(root: Path) -> Iterator[Mutant]:
    for path in sorted(path for pattern in TARGETS for path in root.glob(pattern)):
        text = path.read_text()
        starts = [0, *accumulate(map(len, text.splitlines(keepends=True)))]
        for node in sites(ast.parse(text)):
            assert node.end_lineno and node.end_col_offset is not None
            start, end = starts[node.lineno - 1] + node.col_offset, starts[node.end_lineno - 1] + node.end_col_offset
            for new in map(ast.unparse, changed(node)):
                whole = text[:start] + new + text[end:]
                yield Mutant(str(path.relative_to(root)), node.lineno, text[start:end], new, whole)


def tested(root: Path, timeout: int) -> int:
    """What pytest says of the copy as it stands, in a process that has imported all but the package."""
    if child := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = 1
    try:
        signal.alarm(timeout)
        resource.setrlimit(resource.RLIMIT_DATA, (2**33, 2**33))
        os.chdir(root)
        sys.path[:0] = [str(root), str(root / "backends")]
        arguments = ["-x", "-q", "-p", "no:cacheprovider", *(f"tests/test_{name}.py" for name in TESTS.split())]
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            code = int(importlib.import_module("pytest").main(arguments))
    finally:
        os._exit(code)


def run(root: Path, options: argparse.Namespace) -> float:
    """The share of the mutants that die."""
    for name in COPIED:
        source, ignored = ROOT / name, shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, root / name, ignore=ignored) if source.is_dir() else shutil.copy(source, root)
    if tested(root, options.timeout):
        sys.exit("the tests fail without a mutant")
    found = [mutant for mutant in mutants(root) if options.only in mutant.file]
    drawn = random.Random(options.seed).sample(found, options.sample) if options.sample else found
    died, late = 0, 0
    for mutant in drawn:
        path = root / mutant.file
        original = path.read_text()
        path.write_text(mutant.whole)
        code = tested(root, options.timeout)
        path.write_text(original)
        died, late = died + (code != 0), late + (code == -signal.SIGALRM)
        if code == 0:
            print(mutant, flush=True)
    print(f"{died} of {len(drawn)} mutants die ({died / len(drawn):.1%}), {late} by the clock; there are {len(found)}")
    return died / len(drawn)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, help="so many mutants, drawn at random; all without it")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="mutants of files whose path holds this text")
    parser.add_argument("--timeout", type=int, default=120, help="seconds for one mutant")
    options = parser.parse_args()
    os.environ |= {"OMP_NUM_THREADS": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    sys.dont_write_bytecode = True
    for name in PRELOADED:
        importlib.import_module(name)
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(run(Path(folder), options) < GOAL)


if __name__ == "__main__":
    main()
