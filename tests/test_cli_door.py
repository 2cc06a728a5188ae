"""The door itself: exit codes, what goes where, and that only the verb asked for is imported."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

import cnnspec.front
from cnnspec.__main__ import main
from cnnspec.commands import VERBS
from cnnspec.diagnostics import RunError
from door import BROKEN, TINY, run, write

Capture = pytest.CaptureFixture[str]


def test_help_lists_every_verb(capsys: Capture) -> None:
    answer = run(capsys, "--help")
    assert answer.code == 0
    assert [line.split()[0] for line in answer.out.partition("Commands:\n")[2].splitlines()] == list(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(capsys: Capture, verb: str) -> None:
    answer = run(capsys, verb, "--help")
    assert (answer.code, answer.err) == (0, "")
    assert VERBS[verb] in answer.out
    assert "--json" in answer.out
    assert "--debug" in answer.out


@pytest.mark.parametrize(
    ("args", "text"),
    [
        ((), "error: missing command\n  help: cnnspec --help shows the options\n"),
        (("sumarize", "x"), "error: unknown verb 'sumarize'\n  help: did you mean 'summarize'?\n"),
        (("summarize",), "error: missing argument 'SPEC'\n  help: cnnspec summarize --help shows the options\n"),
        (("summarize", "resnet18", "--at", "h"), "error: --at wants NAME=VALUE, got 'h'\n"),
        (("summarize", "resnet18", "--at", "h=x"), "error: --at wants whole numbers of at least 1, got h=x\n"),
        (("summarize", "resnet18", "--set", "a=1", "--set", "a=2"), "error: --set gives 'a' twice: 1 and 2\n"),
    ],
)
def test_bad_usage_is_2(capsys: Capture, args: tuple[str, ...], text: str) -> None:
    answer = run(capsys, *args)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == text


def test_an_unknown_option_is_2(capsys: Capture) -> None:
    answer = run(capsys, "show", "x", "--zzz")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == "error: no such option: --zzz\n  help: cnnspec show --help shows the options\n"


def test_a_spec_with_errors_is_1(capsys: Capture, tmp_path: Path) -> None:
    answer = run(capsys, "summarize", write(tmp_path, BROKEN))
    assert (answer.code, answer.out) == (1, "")
    assert "error[" in answer.err


def test_what_is_not_there_is_3(capsys: Capture) -> None:
    answer = run(capsys, "show", "resnet43")
    assert (answer.code, answer.out) == (3, "")
    assert answer.err == "error: there is no shipped spec 'resnet43'\n  help: did you mean 'resnet34'?\n"
    answer = run(capsys, "show", "./nothing.yaml")
    assert (answer.code, answer.out) == (3, "")
    assert answer.err == "error: cannot read ./nothing.yaml: No such file or directory\n"


def failing(error: BaseException) -> Callable[..., NoReturn]:
    def fail(*args: object, **kwargs: object) -> NoReturn:
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (RunError("the loss is NaN"), 4, "error: the loss is NaN\n"),
        (MemoryError(), 4, "error: out of memory\n  help: a smaller --batch, or smaller sizes by --at\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (
            RuntimeError("a bug"),
            70,
            "internal error: RuntimeError: a bug\n"
            "  help: this is a fault of cnnspec; --debug shows the traceback to report\n",
        ),
    ],
)
def test_other_ends(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, text: str
) -> None:
    monkeypatch.setattr(cnnspec.front, "compile_file", failing(error))
    answer = run(capsys, "show", "resnet18")
    assert (answer.code, answer.out, answer.err) == (code, "", text)


def test_termination_is_143(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cnnspec.front, "compile_file", lambda *a, **k: os.kill(os.getpid(), signal.SIGTERM))
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as caught:
        main(["show", "resnet18"])
    assert caught.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is before


def test_debug_shows_the_traceback(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cnnspec.front, "compile_file", failing(RuntimeError("a bug")))
    assert main(["show", "resnet18", "--debug"]) == 70
    assert "Traceback (most recent call last)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("args", "code", "schema", "first"),
    [
        (("frob", "--json"), 2, "cnnspec/cnnspec@1", ("usage", "unknown verb 'frob'")),
        (("show", "--json"), 2, "cnnspec/show@1", ("usage", "missing argument 'SPEC'")),
        (("show", "nothing", "--json"), 3, "cnnspec/show@1", ("missing", "there is no shipped spec 'nothing'")),
    ],
)
def test_errors_are_documents_too(
    capsys: Capture, args: tuple[str, ...], code: int, schema: str, first: tuple[str, str]
) -> None:
    answer = run(capsys, *args)
    document = answer.document
    assert (answer.code, answer.err) == (code, "")
    assert (document["schema"], document["ok"], document["data"]) == (schema, False, {})
    assert (document["diagnostics"][0]["code"], document["diagnostics"][0]["message"]) == first


@pytest.mark.parametrize("verb", ["show", "summarize", "compile"])
def test_spec_errors_are_documents(capsys: Capture, tmp_path: Path, verb: str) -> None:
    answer = run(capsys, verb, write(tmp_path, BROKEN), "--json")
    assert (answer.code, answer.err, answer.document["ok"]) == (1, "", False)
    assert [(d["line"], d["severity"]) for d in answer.document["diagnostics"]] == [(5, "error"), (6, "error")]


def test_an_internal_error_is_a_document(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cnnspec.front, "compile_file", failing(RuntimeError("a bug")))
    answer = run(capsys, "show", "resnet18", "--json")
    assert (answer.code, answer.document["diagnostics"][0]["message"]) == (70, "RuntimeError: a bug")


# In a process of its own


def process(*args: str, **kwargs: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cnnspec", *args]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, **kwargs)  # type: ignore[call-overload,no-any-return]


def test_as_a_module(tmp_path: Path) -> None:
    done = process("check", write(tmp_path, TINY))
    assert (done.returncode, done.stderr) == (0, "")
    done = process("check", write(tmp_path, BROKEN))
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr


def test_start_up_imports_nothing_heavy(tmp_path: Path) -> None:
    heavy = "{'torch', 'numpy', 'rich', 'networkx', 'PIL', 'onnx'}"
    code = (
        "import sys; from cnnspec.__main__ import main; "
        f"code = main(['summarize', {write(tmp_path, TINY)!r}]); "
        f"sys.exit(code or sorted({heavy} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(os.name == "nt", reason="pipes break otherwise there")
@pytest.mark.parametrize("spec", ["good", "bad"])
def test_a_closed_pipe_is_quiet(tmp_path: Path, spec: str) -> None:
    read, wrote = os.pipe()
    os.close(read)
    target = write(tmp_path, TINY if spec == "good" else BROKEN)
    command = [sys.executable, "-m", "cnnspec", "check", target]
    done = subprocess.run(command, stdout=wrote, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    os.close(wrote)
    assert (done.returncode, done.stderr) == (0 if spec == "good" else 1, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_4() -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "cnnspec", "list"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (4, "error: cannot write the result: No space left on device\n")


def test_a_terminal_of_few_characters(tmp_path: Path) -> None:
    about = TINY.replace("A small network", "Géron's")
    done = process("summarize", write(tmp_path, about), env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0
    assert done.stdout.startswith("tiny: G\\xe9ron's\n")


@pytest.mark.skipif(os.name == "nt", reason="no pty there")
@pytest.mark.parametrize("colour", [True, False])
def test_a_terminal_gets_a_table_unless_no_color(tmp_path: Path, colour: bool) -> None:
    import pty

    leader, follower = pty.openpty()
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "TERM")}
    env = {**kept, "TERM": "xterm-256color", "COLUMNS": "160", **({} if colour else {"NO_COLOR": "1"})}
    command = [sys.executable, "-m", "cnnspec", "summarize", write(tmp_path, TINY)]
    with subprocess.Popen(command, stdout=follower, stderr=subprocess.DEVNULL, env=env) as child:
        os.close(follower)
        text = b""
        try:
            while chunk := os.read(leader, 65536):
                text += chunk
        except OSError:  # how a closed terminal ends on Linux
            pass
        assert child.wait() == 0
    os.close(leader)
    assert (b"\x1b[" in text) == colour
    assert b"logits.dense" in text
