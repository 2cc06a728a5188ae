"""`cnnspec check`: the findings as text, JSON, GitHub's commands and SARIF."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from door import BROKEN, TINY, WARNING, run, write

Capture = pytest.CaptureFixture[str]

FORGOTTEN = Path("specs/resnet34.yaml")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_ok_with_the_count(capsys: Capture, here: Path) -> None:
    write(here, TINY)
    answer = run(capsys, "check", "spec.yaml")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out == "spec.yaml: ok, 1,434 parameters, 8 nodes\n"


def test_shipped_specs_by_name(capsys: Capture) -> None:
    answer = run(capsys, "check", "resnet34", "lenet5")
    assert answer.out == (
        "resnet34: ok, 21,797,672 (21.8 M) parameters, 124 nodes\nlenet5: ok, 61,706 (61.7 k) parameters, 12 nodes\n"
    )


DESIGN = """\
specs/resnet34.yaml:13:11: error[shape.add]: operands of add differ in height and width
   13 |     out:  add(main, skip) -> relu
      |           ^^^^^^^^^^^^^^^
      main is [N, 128, 4*h, 4*w], from line 11      skip is [N, 128, 8*h, 8*w], from line 12
  in unit(filters=128, stride=2), line 14; in stage(count=4, filters=128), line 19; node c3.stage.unit.add (and 2 more)
  help: main has stride 2 and skip has not
"""


def test_the_designs_error_word_for_word(capsys: Capture, here: Path) -> None:
    shipped = (Path(__file__).parents[1] / FORGOTTEN).read_text(encoding="utf-8")
    assert "conv_bn(filters, 1, stride)" in shipped
    write(here, shipped.replace("conv_bn(filters, 1, stride)", "conv_bn(filters, 1)"), str(FORGOTTEN))
    answer = run(capsys, "check", str(FORGOTTEN))
    assert (answer.code, answer.err) == (1, "")
    assert answer.out == DESIGN


def test_all_errors_come_together(capsys: Capture, here: Path) -> None:
    write(here, BROKEN)
    answer = run(capsys, "check", "spec.yaml")
    assert answer.code == 1
    assert [line.split(": error")[0] for line in answer.out.splitlines() if ": error" in line] == [
        "spec.yaml:5:15",
        "spec.yaml:6:15",
    ]


def test_several_files_are_judged_each(capsys: Capture, here: Path) -> None:
    write(here, TINY, "a.yaml")
    write(here, BROKEN, "b.yaml")
    answer = run(capsys, "check", "a.yaml", "b.yaml")
    assert answer.code == 1
    assert "a.yaml: ok" in answer.out
    assert "b.yaml:5:15: error" in answer.out


def test_a_missing_one_does_not_hide_the_others(capsys: Capture, here: Path) -> None:
    write(here, BROKEN, "b.yaml")
    answer = run(capsys, "check", "./nothing.yaml", "b.yaml")
    assert answer.code == 3
    assert "./nothing.yaml: error[missing]: cannot read ./nothing.yaml: No such file or directory\n" in answer.out
    assert "b.yaml:5:15: error" in answer.out


def test_json_has_every_diagnostic(capsys: Capture, here: Path) -> None:
    write(here, BROKEN)
    answer = run(capsys, "check", "spec.yaml", "--json")
    document = answer.document
    assert (answer.code, document["schema"], document["ok"]) == (1, "cnnspec/check@1", False)
    assert document["data"] == {"specs": [{"spec": "spec.yaml", "ok": False, "params": None, "nodes": None}]}
    first = document["diagnostics"][0]
    assert {"code", "severity", "file", "line", "column", "node", "message", "help"} <= set(first)
    assert (first["file"], first["line"], first["column"]) == ("spec.yaml", 5, 15)
    assert run(capsys, "check", "spec.yaml", "--format", "json").out == answer.out


def test_json_of_a_good_spec(capsys: Capture, here: Path) -> None:
    write(here, TINY)
    document = run(capsys, "check", "spec.yaml", "--json").document
    assert document["ok"] is True
    assert document["data"] == {"specs": [{"spec": "spec.yaml", "ok": True, "params": 1434, "nodes": 8}]}


def test_github_annotations(capsys: Capture, here: Path) -> None:
    write(here, BROKEN)
    answer = run(capsys, "check", "spec.yaml", "--format", "github")
    lines = answer.out.splitlines()
    assert answer.code == 1
    assert len(lines) == 2
    assert lines[1].startswith("::error file=spec.yaml,line=6,col=15,endLine=6,endColumn=19,title=cnnspec ")
    assert "%0Ahelp: did you mean 'conv'?" in lines[1]


def test_sarif(capsys: Capture, here: Path) -> None:
    write(here, BROKEN)
    log = json.loads(run(capsys, "check", "spec.yaml", "--format", "sarif").out)
    assert log["version"] == "2.1.0"
    (results,) = (one["results"] for one in log["runs"])
    rules = log["runs"][0]["tool"]["driver"]["rules"]
    assert [rules[one["ruleIndex"]]["id"] == one["ruleId"] for one in results] == [True, True]
    assert results[1]["level"] == "error"
    assert results[1]["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "spec.yaml"},
        "region": {"startLine": 6, "startColumn": 15, "endLine": 6, "endColumn": 19},
    }


def test_two_answers_at_once_are_refused(capsys: Capture) -> None:
    answer = run(capsys, "check", "resnet34", "--format", "sarif", "--json")
    assert (answer.code, answer.document["diagnostics"][0]["code"]) == (2, "usage")
    answer = run(capsys, "check", "resnet34", "--format", "xml")
    assert answer.code == 2
    assert answer.err.startswith("error: invalid value for '--format': 'xml' is not one of 'text', 'json', 'github'")


def test_warnings_are_said_ignored_or_taken_strictly(capsys: Capture, here: Path) -> None:
    write(here, WARNING)
    plain = run(capsys, "check", "spec.yaml")
    assert plain.code == 0
    assert "spec.yaml:5:" in plain.out
    assert "warning[" in plain.out
    assert "spec.yaml: ok" in plain.out
    code = plain.out.partition("warning[")[2].partition("]")[0]
    assert "warning" not in run(capsys, "check", "spec.yaml", "--ignore", code).out
    strict = run(capsys, "check", "spec.yaml", "--strict")
    assert strict.code == 1
    assert f"error[{code}]" in strict.out
    assert run(capsys, "check", "spec.yaml", "--strict", "--ignore", code).code == 0


def test_warnings_of_other_verbs_are_talk(capsys: Capture, here: Path) -> None:
    write(here, WARNING)
    answer = run(capsys, "show", "spec.yaml")
    assert answer.code == 0
    assert "warning[" in answer.err
    assert "warning[" not in answer.out
    quiet = run(capsys, "show", "spec.yaml", "--json")
    assert quiet.err == ""
    assert [one["severity"] for one in quiet.document["diagnostics"]] == ["warning"]
    assert run(capsys, "show", "spec.yaml", "--strict").code == 1


def test_set_and_input_are_checked_like_the_file(capsys: Capture, here: Path) -> None:
    write(here, TINY)
    assert "1,349 parameters" in run(capsys, "check", "spec.yaml", "--set", "classes=5").out
    assert run(capsys, "check", "spec.yaml", "--input", "image=N,3,64,64").code == 0
    wrong = run(capsys, "check", "spec.yaml", "--set", "clases=5")
    assert wrong.code in (1, 2)
    assert "did you mean 'classes'?" in wrong.out + wrong.err


def test_unused_entries(capsys: Capture, here: Path) -> None:
    write(here, TINY.replace(", extra: {when: train}", "").replace(", training_params: 1479", ""))
    assert run(capsys, "check", "spec.yaml").code == 1
    assert run(capsys, "check", "spec.yaml", "--allow-unused").code == 0
