"""`cnnspec init`, `list`, `schema` and `doctor`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from cnnspec import zoo
from cnnspec.commands import doctor
from cnnspec.ops import OPS
from cnnspec.reader import read, read_file, to_python
from cnnspec.schema import spec_schema
from door import TINY, run, write

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


# init


def test_the_starter_compiles_without_a_warning(capsys: Capture, here: Path) -> None:
    answer = run(capsys, "init", "mine")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out == "wrote mine.yaml\nnext: cnnspec check ./mine.yaml; cnnspec summarize ./mine.yaml\n"
    checked = run(capsys, "check", "./mine.yaml", "--strict")
    assert (checked.code, checked.out.startswith("./mine.yaml: ok, ")) == (0, True)


def test_init_overwrites_nothing(capsys: Capture, here: Path) -> None:
    write(here, "mine", "mine.yaml")
    answer = run(capsys, "init", "mine.yaml")
    assert (answer.code, answer.err) == (2, "error: mine.yaml is there already\n  help: --force overwrites it\n")
    assert Path("mine.yaml").read_text(encoding="utf-8") == "mine"
    assert run(capsys, "init", "mine.yaml", "--force").code == 0


def test_init_refuses_a_name_no_spec_may_have(capsys: Capture, here: Path) -> None:
    answer = run(capsys, "init", "my net")
    assert answer.code == 2
    assert answer.err.startswith("error: 'my net' cannot name a spec\n")
    assert list(here.iterdir()) == []


def test_init_json(capsys: Capture, here: Path) -> None:
    assert run(capsys, "init", "mine", "--json").document["data"] == {"file": "mine.yaml"}


# list


def test_list_has_every_shipped_spec(capsys: Capture) -> None:
    answer = run(capsys, "list")
    assert [line.split()[0] for line in answer.out.splitlines()[1:]] == zoo.names()
    assert ["resnet152", "60,192,808", "Deep"] in [line.split()[:3] for line in answer.out.splitlines()]
    specs = run(capsys, "list", "--json").document["data"]["specs"]
    assert {"name", "params", "about"} == set(specs[0])


def test_list_ops_has_every_operator(capsys: Capture) -> None:
    answer = run(capsys, "list", "ops")
    assert [line.split()[0] for line in answer.out.splitlines()[1:]] == [op.op for op in OPS]
    assert "filters, kernel, stride=1, padding=half, dilation=1, groups=1, bias=true" in answer.out
    ops = run(capsys, "list", "ops", "--json").document["data"]["ops"]
    assert ops[0]["fields"][2] == {"name": "stride", "positional": True, "default": "1"}


# schema


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(spec_schema())


def document(path: Path) -> Any:
    return to_python(read(read_file(path))[0])


def test_the_schema_is_a_schema(capsys: Capture, here: Path) -> None:
    printed = json.loads(run(capsys, "schema").out)
    jsonschema.Draft202012Validator.check_schema(printed)
    assert printed == run(capsys, "schema", "--json").document["data"]
    assert run(capsys, "schema", "-o", "spec.schema.json").err == "wrote spec.schema.json\n"
    assert json.loads(Path("spec.schema.json").read_text(encoding="utf-8")) == printed
    assert run(capsys, "schema", "-o", "spec.schema.json").code == 2


@pytest.mark.parametrize("name", zoo.names())
def test_every_shipped_spec_validates(validator: jsonschema.Draft202012Validator, name: str) -> None:
    assert list(validator.iter_errors(document(zoo.folder() / f"{name}.yaml"))) == []


@pytest.mark.parametrize("name", ["lenet5", "resnet34", "googlenet"])
def test_the_canonical_form_validates(
    capsys: Capture, validator: jsonschema.Draft202012Validator, tmp_path: Path, name: str
) -> None:
    text = run(capsys, "show", name, "--resolved").out
    assert list(validator.iter_errors(document(Path(write(tmp_path, text))))) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("cnnspec: 1", "cnnspec: 2"),
        ("name: tiny", "nam: tiny"),
        ("{classify: {}}", "{classify: {}, segment: {}}"),
        ("{classify: {}}", "{clasify: {}}"),
        ("{when: train}", "{when: never}"),
        ("[N, 1, 4*h, 4*w]", "[N]"),
        ("image -> conv(8, 3, 2) -> relu", "{op: conv, in: image, filters: 8}"),
        ("image -> conv(8, 3, 2) -> relu", "{op: conv, in: image, filters: 8, kernle: 3}"),
        ("image -> conv(8, 3, 2) -> relu", "{op: conv, in: image, filters: 0, kernel: 3}"),
        ("image -> conv(8, 3, 2) -> relu", "image ? conv"),
    ],
)
def test_faults_are_found(validator: jsonschema.Draft202012Validator, tmp_path: Path, old: str, new: str) -> None:
    assert old in TINY
    assert list(validator.iter_errors(document(Path(write(tmp_path, TINY.replace(old, new))))))


def test_expressions_are_allowed_in_canonical_fields(
    validator: jsonschema.Draft202012Validator, tmp_path: Path
) -> None:
    form = "{op: conv, in: image, filters: 2 * classes, kernel: 3, padding: same}"
    text = TINY.replace("image -> conv(8, 3, 2) -> relu", form)
    assert list(validator.iter_errors(document(Path(write(tmp_path, text))))) == []


# doctor


def test_doctor_says_what_is_there(capsys: Capture) -> None:
    data = run(capsys, "doctor", "--json").document["data"]
    assert data["specs"]["count"] == len(zoo.names())
    assert data["extras"]["base"]["present"] is True
    assert data["extras"]["base"]["packages"]["pyyaml"]


def test_doctor_without_torch(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    there = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda name: None if name == "torch" else there(name))
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    answer = run(capsys, "doctor")
    assert (answer.code, answer.err) == (0, "")
    assert "pip install 'cnnspec[torch]'" in answer.out
    assert "devices: none that torch can reach" in answer.out
