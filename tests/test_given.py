"""Numbers in a file of their own: what is read, whence, and that nothing of a file is ever shown."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnspec import limits
from cnnspec.canonical import resolved_yaml
from cnnspec.diagnostics import SpecError
from cnnspec.front import compile_file, compile_text
from cnnspec.given import Malformed, numbers
from door import run

SPEC = """\
cnnspec: 1
name: given
input: {image: [N, 3, 8, 8]}
params: {codes: {file: codes.json}}
net:
  out: image -> global_avgpool -> distance(codes)
outputs: [out]
"""
CODES = "[[1, -1, 0.5], [-1, 1e-1, 2]]"


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def told(folder: Path, target: str = "codes.json") -> str:
    """What a spec in the folder is told that names the target, whole."""
    with pytest.raises(SpecError) as caught:
        compile_file(write(folder, "spec.yaml", SPEC.replace("codes.json", target)))
    (found,) = caught.value.diagnostics
    assert found.span is not None
    assert (found.span.line, found.span.column) == (4, 24)
    return str(found)


def nested(value: object) -> object:
    return tuple(map(nested, value)) if isinstance(value, list) else value


WHOLE = st.integers(-limits.INTEGER, limits.INTEGER)
DECIMAL = st.floats(allow_nan=False, allow_infinity=False).filter(lambda x: x == 0 or 1e-290 < abs(x) < 1e290)


@given(st.lists(st.recursive(WHOLE | DECIMAL, st.lists, max_leaves=12)))
def test_reads_what_json_writes(value: list[object]) -> None:
    text = json.dumps(value, indent=1)
    if max_depth(value) > limits.GIVEN_RANK:
        with pytest.raises(Malformed, match="nested deeper than"):
            numbers(text)
    else:
        assert nested_floats(numbers(text)) == nested_floats(nested(value))


def max_depth(value: object) -> int:
    return 1 + max(map(max_depth, value), default=0) if isinstance(value, list) else 0


def nested_floats(value: object) -> object:
    return tuple(map(nested_floats, value)) if isinstance(value, tuple) else float(value)  # type: ignore[arg-type]


@given(st.text("[], \n-+.0123eE", max_size=30))
def test_reads_nothing_that_json_refuses(text: str) -> None:
    try:
        found = numbers(text)
    except Malformed:
        return
    assert nested_floats(found) == nested_floats(nested(json.loads(text)))


def test_is_the_same_network_as_with_the_numbers_written_out(tmp_path: Path) -> None:
    write(tmp_path, "codes.json", CODES)
    graph = compile_file(write(tmp_path, "spec.yaml", SPEC))
    written = compile_text(SPEC.replace("{file: codes.json}", CODES))
    assert graph == written == compile_text(resolved_yaml(graph))
    assert graph.hash == written.hash


def test_a_table_may_be_ragged(tmp_path: Path) -> None:
    write(tmp_path, "codes.json", "[[0], [0, 2], [0, 1, 2]]")
    spec = SPEC.replace("global_avgpool -> distance(codes)", "conv(3, 3, bias=false, table=codes)")
    assert compile_file(write(tmp_path, "spec.yaml", spec)).cost().params.total == 6 * 9


@pytest.mark.parametrize("brought", ["use: {part: inner/part.yaml}", "extends: inner/part.yaml"])
def test_paths_count_from_the_file_they_stand_in(tmp_path: Path, brought: str) -> None:
    write(tmp_path, "inner/codes.json", CODES)
    write(tmp_path, "inner/part.yaml", SPEC)
    net = "" if brought.startswith("extends") else "net: {out: image -> part}\noutputs: [out]\n"
    root = f"cnnspec: 1\nname: root\n{brought}\ninput: {{image: [N, 3, 8, 8]}}\n{net}"
    assert compile_file(write(tmp_path, "root.yaml", root)).outputs[0].node.endswith("distance")


def test_a_param_of_numbers_is_overridden_like_another(tmp_path: Path) -> None:
    write(tmp_path, "codes.json", CODES)
    path = write(tmp_path, "spec.yaml", SPEC)
    graph = compile_file(path, params={"codes": "[[1, 2, 3]]"})
    assert graph.nodes["out.distance"].type.channels == 1
    assert graph == compile_file(path, params={"codes": [[1, 2, 3]]})


def test_stays_under_the_folder(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    secret = write(tmp_path, "codes.json", CODES)
    (inside / "link.json").symlink_to(secret)
    (inside / "folder").symlink_to(tmp_path)
    (inside / "loop.json").symlink_to(inside / "loop.json")
    for target in ("link.json", "folder/codes.json", "../codes.json"):
        assert f"error[use.path]: '{target}' leads out of the folder of the root file, inside/" in told(inside, target)
    assert "too many levels of symbolic links" in told(inside, "loop.json").lower()


def test_reads_regular_files_alone(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    assert "cannot read 'pipe.json': is no regular file" in told(tmp_path, "pipe.json")
    assert "File name too long" in told(tmp_path, f"{'x' * 300}.json")


@pytest.mark.parametrize(
    "text",
    ["password: hunter2", "[1, hunter2]", "[1, 2] hunter2", "[1\0 hunter2]", "\ufeff\ufeffhunter2", '["hunter2"]'],
)
def test_shows_nothing_of_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    write(tmp_path, "codes.json", text)
    assert "hunter2" not in told(tmp_path)
    found = run(capsys, "check", str(tmp_path / "spec.yaml"), "--json")
    assert found.code == 1
    assert "hunter2" not in found.out + found.err


def test_a_wrong_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often it is named; what is said of it is said at each place."""
    write(tmp_path, "codes.json", "[1,")
    calls: list[str] = []

    def counted(text: str) -> tuple[object, ...]:
        calls.append(text)
        return numbers(text)

    monkeypatch.setattr("cnnspec.given.numbers", counted)
    lines = "".join(f"  p{number}p: {{file: codes.json}}\n" for number in range(500))
    with pytest.raises(SpecError) as caught:
        compile_file(
            write(tmp_path, "spec.yaml", SPEC.replace("params: {codes: {file: codes.json}}\n", f"params:\n{lines}"))
        )
    assert calls == ["[1,"]
    assert [found.code for found in caught.value.diagnostics].count("use.numbers") == 500
