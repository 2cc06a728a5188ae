"""Runs one command line in this process, and writes specs for it to read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cnnspec.__main__ import main

TINY = """\
cnnspec: 1
name: tiny
about: A small network
input: {image: [N, 1, 4*h, 4*w]}
typical: {h: 2, w: 3}
params: {classes: 10}
net:
  c1: image -> conv(8, 3, 2) -> relu
  c2: c1 -> conv(16, 3, 2, bias=false) -> batchnorm
  logits: c2 -> global_avgpool -> dense(classes)
  extra: c1 -> global_avgpool -> dense(5)
outputs: {logits: {}, extra: {when: train}}
heads: {logits: {classify: {}}}
expect: {params: 1434, training_params: 1479, logits: [N, classes]}
"""
"""80 + 1,152 + 32 + 170 parameters; 45 more in training."""

WARNING = """\
cnnspec: 1
name: biased
input: {image: [N, 3, 8, 8]}
net:
  logits: image -> conv(8, 3) -> batchnorm -> global_avgpool
outputs: [logits]
"""

BROKEN = """\
cnnspec: 1
name: broken
input: {image: [N, 3, 8, 8]}
net:
  a: image -> conv(8, 9, padding=valid)
  b: image -> cnov(8, 3)
  c: add(a, b)
outputs: [c]
"""


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document on stdout."""
        document = json.loads(self.out)
        assert list(document) == ["schema", "ok", "data", "diagnostics"]
        return dict(document)


def run(capsys: pytest.CaptureFixture[str], *args: str) -> Answer:
    code = main(list(args))
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    return Answer(code, out, err)


def write(folder: Path, text: str, name: str = "spec.yaml") -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return str(path)
