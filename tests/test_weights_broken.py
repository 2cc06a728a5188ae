"""Files of weights that are hostile or damaged: robustness rows B077 to B084, each as the text a user reads.

B080 and F17 are in test_hub.py, B085 in test_transfer.py.
"""

from __future__ import annotations

import collections
import json
import os
import pickle
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save, save_file
from torch import Tensor

import cnnspec
from cnnspec.diagnostics import CnnspecError, RunError
from cnnspec_torch import pretrained, tensors
from door import TINY, run, write

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, TINY, "tiny.yaml")


def said(capsys: Capture, file: str, code: int = 4) -> str:
    """What compile says of a file of weights; nothing is written."""
    before = sorted(Path().iterdir())
    out = ("compile", "./tiny.yaml", "--target", "onnx", "-o", "a.onnx", "--no-verify", "--weights", file)
    answer = run(capsys, *out)
    assert (answer.code, answer.out) == (code, "")
    assert sorted(Path().iterdir()) == before
    return answer.err


def state() -> dict[str, Tensor]:
    found: dict[str, Tensor] = cnnspec.compile("./tiny.yaml").lower("torch", seed=3).state_dict()
    return found


# B077 and B078: pickles of more than tensors


class Canary:
    """Unpickling it runs a command."""

    def __reduce__(self) -> Any:
        return os.system, ("touch canary",)


CODE = {
    "system.pt": ({"a": Canary()}, f"{os.system.__module__}.system"),
    "inside.pth": ({"a": torch.zeros(1), "deep": [{"b": (Canary(),)}]}, f"{os.system.__module__}.system"),
    "whole.pth": (torch.nn.Linear(1, 1), "torch.nn.modules.linear.Linear"),
    "counter.pt": ({"a": collections.Counter("aa"), "b": np.random.default_rng(0)}, "numpy.random._pickle"),
}


@pytest.mark.parametrize("file", CODE)
def test_a_pickle_that_calls_something(capsys: Capture, file: str) -> None:
    content, name = CODE[file]
    torch.save(content, file)
    text = said(capsys, file)
    assert text.startswith(f"error: {file} holds {name}")
    assert text.endswith(", which is no tensor; it was not loaded\n  help: save the state dict, best as .safetensors\n")
    assert "weights_only" not in text
    assert not Path("canary").exists()


def test_a_plain_pickle_is_as_safe(capsys: Capture) -> None:
    """Of no archive, as files were before PyTorch 1.6 and as any pickle is."""
    Path("plain.pt").write_bytes(pickle.dumps({"a": Canary()}))
    assert said(capsys, "plain.pt").startswith("error: plain.pt ")
    assert not Path("canary").exists()


HUNT = """
import sys
import onnx, torch, cnnspec_onnx.model, cnnspec_torch.pretrained
sys.addaudithook(lambda event, args: event in ("os.system", "subprocess.Popen", "socket.connect", "os.exec")
    and (print("BROKEN", event, args), sys.exit(99)))
from cnnspec.__main__ import main
sys.exit(main(["compile", "./tiny.yaml", "--target", "onnx", "-o", "a.onnx", "--weights", sys.argv[1]]))
"""


def test_nothing_runs_under_an_audit_hook() -> None:
    torch.save({"a": Canary()}, "system.pt")
    answer = subprocess.run([sys.executable, "-c", HUNT, "system.pt"], capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stdout) == (4, "")


# B079: truncated


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize("where", ["0", "1", "100", "half", "last"])
def test_a_file_that_is_cut_off(capsys: Capture, suffix: str, where: str) -> None:
    file = Path(f"cut.{suffix}")
    if suffix == "pth":
        torch.save(state(), file)
    else:
        save_file(state(), file)
    whole = file.read_bytes()
    size = {"half": len(whole) // 2, "last": len(whole) - 1}.get(where) or int(where if where.isdigit() else 0)
    file.write_bytes(whole[:size])
    text = said(capsys, str(file))
    assert text.startswith(f"error: {file} ({size} bytes) ")
    if suffix == "safetensors" and size > 8:
        assert str(len(whole) - 8 - struct.unpack("<Q", whole[:8])[0]) in text or "its header is said to" in text


# B081: safetensors that break a rule


def edited(change: Callable[[dict[str, Any]], object], tail: bytes = b"") -> bytes:
    """A file of tensors a [2, 3] and b [4], 40 bytes, whose header was changed."""
    whole = save({"a": torch.ones(2, 3), "b": torch.ones(4)})
    (length,) = struct.unpack("<Q", whole[:8])
    header = json.loads(whole[8 : 8 + length])
    change(header)
    return packed(json.dumps(header).encode(), whole[8 + length :] + tail)


def packed(header: bytes, rest: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header)) + header + rest


ENTRY = b'{"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}'
RULES: list[tuple[bytes, str]] = [
    (struct.pack("<Q", 2**62), "its header is said to have 4611686018427387904 bytes; 0 follow, the limit is 16777216"),
    (struct.pack("<Q", 9) + b"{}", "its header is said to have 9 bytes; 2 follow, the limit is 16777216"),
    (packed(b"[" * 100_000), "its header is no JSON"),
    (packed(b"nonsense"), "its header is no JSON"),
    (packed(b"[]"), "its header is no mapping"),
    (packed(b'{"a": ' + ENTRY + b', "a": ' + ENTRY + b"}", b"1234"), "'a' stands twice in its header"),
    (edited(lambda h: h["a"].pop("dtype")), "'a' has not exactly a dtype, a shape and two offsets"),
    (edited(lambda h: h.update(a=3)), "'a' has not exactly a dtype, a shape and two offsets"),
    (edited(lambda h: h["a"].update(dtype="F99")), "'a' is of the unknown dtype F99"),
    (edited(lambda h: h["a"].update(shape=[2, -3])), "'a' has the shape [2, -3]; the limit is 2^40 numbers"),
    (edited(lambda h: h["a"].update(shape=[2**32, 2**32])), "'a' has the shape [4294967296, 4294967296]; the limit"),
    (edited(lambda h: h["a"].update(shape=[2, True])), "'a' has the shape [2, True]; the limit is 2^40 numbers"),
    (edited(lambda h: h["a"].update(shape=[2, 4])), "'a' is [2, 4] F32, 32 bytes; its offsets 0 to 24 leave 24"),
    (edited(lambda h: h["b"].update(data_offsets=[20, 36])), "'b' begins at byte 20, 'a' ends at byte 24"),
    (edited(lambda h: h["b"].update(data_offsets=[28, 44])), "'b' begins at byte 28, 'a' ends at byte 24"),
    (edited(lambda h: h["a"].update(data_offsets=[-8, 16])), "'a' begins at byte -8, the header ends at byte 0"),
    (edited(lambda h: h.pop("b")), "its tensors take 24 bytes, 40 are there"),
    (edited(lambda h: None, b"more"), "its tensors take 40 bytes, 44 are there"),
]


@pytest.mark.parametrize(("whole", "rule"), RULES)
def test_safetensors_that_break_a_rule(capsys: Capture, whole: bytes, rule: str) -> None:
    Path("a.safetensors").write_bytes(whole)
    with pytest.raises(RunError) as caught:
        tensors.read(Path("a.safetensors"))
    assert str(caught.value).startswith(f"error: a.safetensors ({len(whole)} bytes) cannot be read: {rule}")
    with pytest.raises(RunError) as caught:  # as bytes that were hashed
        tensors.read(Path("a.safetensors"), whole)
    assert f"cannot be read: {rule}" in str(caught.value)
    assert said(capsys, "a.safetensors").startswith(f"error: a.safetensors ({len(whole)} bytes) ")


def test_names_of_tensors_cannot_write_on_the_terminal(capsys: Capture) -> None:
    save_file({"\x1b[2Ja": torch.zeros(1)}, "a.safetensors")
    text = said(capsys, "a.safetensors")
    assert "\\x1b[2Ja" in text
    assert "\x1b" not in text


def test_every_dtype_that_the_library_writes_is_known() -> None:
    floats = (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2)
    for kind in (*floats, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool):
        save_file({"a": torch.zeros(4, dtype=kind), "none": torch.zeros(0, 3, dtype=kind)}, "a.safetensors")
        assert tensors.safetensors_fault(Path("a.safetensors")) is None, kind
        assert tensors.read(Path("a.safetensors"))["a"].dtype == kind


def test_a_flipped_bit_anywhere_gives_tensors_or_a_named_error() -> None:
    save_file(state(), "whole.safetensors")
    whole, random = Path("whole.safetensors").read_bytes(), np.random.default_rng(0)
    (length,) = struct.unpack("<Q", whole[:8])
    for at in [*range(16), *random.integers(0, 8 + length, 300).tolist()]:
        bad = bytearray(whole)
        bad[at] ^= 1 << int(random.integers(0, 8))
        for data in (bytes(bad), whole[:at]):
            Path("bad.safetensors").write_bytes(data)
            found: list[str | None] = []
            for given in (None, data):
                try:
                    found.append(str(sorted(tensors.read(Path("bad.safetensors"), given))))
                except CnnspecError as error:
                    found.append(str(error))
            assert found[0] == found[1]


# B082 to B084: tensors that are not the model's


def changed(change: Callable[[dict[str, Tensor]], object]) -> str:
    given = state()
    change(given)
    save_file(given, "a.safetensors")
    graph = cnnspec.compile("./tiny.yaml")
    with pytest.raises(RunError) as caught:
        pretrained.load(graph.lower("torch"), graph, "a.safetensors")
    return str(caught.value)


def test_other_names() -> None:
    """B082."""

    def rename(given: dict[str, Tensor]) -> None:
        given["c1.convv.weight"] = given.pop("c1.conv.weight")
        given.update({f"new{i}": torch.zeros(1) for i in range(12)})

    text = changed(rename)
    assert text.startswith(
        "error: a.safetensors does not have the model's tensors\n"
        "1 missing:\n"
        "  c1.conv.weight (for c1.conv.weight), it has c1.convv.weight\n"
        "13 unexpected:\n"
        "  c1.convv.weight, wanted is c1.conv.weight\n"
    )
    assert text.endswith("\n  ... and 3 more")


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (torch.zeros(8, 1, 5, 5), "[8, 1, 5, 5] float32"),
        (torch.zeros(8, 1, 3, 3, dtype=torch.int8), "[8, 1, 3, 3] int8"),
    ],
)
def test_another_shape_or_type(value: Tensor, found: str) -> None:
    """B083."""
    assert changed(lambda given: given.update({"c1.conv.weight": value})) == (
        "error: 1 tensors of a.safetensors do not fit the model's:\n"
        "  c1.conv.weight is [8, 1, 3, 3] float32 (./tiny.yaml:8), which wants c1.conv.weight to be [8, 1, 3, 3]; "
        f"it is {found}"
    )


@pytest.mark.parametrize("number", [torch.nan, torch.inf, -torch.inf])
def test_numbers_that_are_none(number: float) -> None:
    """B084."""

    def spoil(given: dict[str, Tensor]) -> None:
        given["c2.conv.weight"][3, 2, 1, 0] = number
        given["c2.conv.weight"][3, 2, 1, 2] = number

    assert changed(spoil) == (
        "error: a.safetensors holds numbers that are NaN or infinite; nothing was loaded:\n"
        "  c2.conv.weight (for c2.conv.weight): 2 of 1152, the first at [3, 2, 1, 0]"
    )
