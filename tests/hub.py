"""A file server that stands for torchvision's and timm's, and copies of specs whose weights lie on it."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from cnnspec import zoo

HOST = "weights.example.org"


class Quiet(SimpleHTTPRequestHandler):
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.answer()

    def answer(self) -> None:
        super().do_GET()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on stderr, which tests read."""


@contextmanager
def served(folder: Path, handler: type[Quiet] = Quiet) -> Iterator[tuple[str, list[str]]]:
    """The address of a server of a folder, and the paths it was asked for."""
    asked: list[str] = []
    kind = type("Handler", (handler,), {"asked": asked})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(kind, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Hub:
    """Published files, where they are served, and the folder that downloads go to."""

    def __init__(self, root: Path, address: str, asked: list[str], patch: pytest.MonkeyPatch) -> None:
        self.files, self.cache, self.asked = root / "files" / HOST, root / "home" / "hub" / "checkpoints", asked
        self.files.mkdir(parents=True, exist_ok=True)
        patch.setenv("TORCH_HOME", str(root / "home"))
        patch.setenv("CNNSPEC_MIRROR", address)

    def publish(self, name: str, model: nn.Module | dict[str, torch.Tensor]) -> str:
        """Save a state dict as a .pth or .safetensors; gives its SHA-256."""
        state = model.state_dict() if isinstance(model, nn.Module) else model
        path = self.files / name
        if path.suffix == ".safetensors":
            save_file({key: value.contiguous() for key, value in state.items()}, path)
        else:
            torch.save(state, path)
        return hashlib.sha256(path.read_bytes()).hexdigest()

    def spec(self, folder: Path, name: str, file: str, sha256: str | None, *, keep: str = "imagenet") -> Path:
        """A copy of a shipped spec whose weights `imagenet` are that file; all else of the entry stays."""
        text = (zoo.folder() / f"{name}.yaml").read_text(encoding="utf-8")
        network, _, entries = text.partition("\nweights:\n")
        entry = re.split(r"(?m)^  (?=\S)", entries)
        (rows,) = (one for one in entry if one.startswith(f"{keep}:"))
        rows = re.sub(r"    (url|sha256|file): .*\n", "", rows)
        known = f"    sha256: '{sha256}'\n" if sha256 else ""
        head = rows.replace(f"{keep}:\n", f"  imagenet:\n    url: https://{HOST}/{file}\n{known}", 1)
        for used in re.findall(r"(?:extends: |: )([a-z0-9-]+)\.yaml", network):
            other = zoo.folder() / f"{used}.yaml"
            copies = folder / other.name
            if not copies.exists():
                self.copy(other, folder)
        path = folder / f"{name}.yaml"
        path.write_text(f"{network}\nweights:\n{head}", encoding="utf-8")
        return path

    def copy(self, spec: Path, folder: Path) -> None:
        """A spec and those it extends and uses."""
        text = spec.read_text(encoding="utf-8")
        (folder / spec.name).write_text(text, encoding="utf-8")
        for used in re.findall(r"(?:extends: |: )([a-z0-9-]+)\.yaml", text):
            self.copy(zoo.folder() / f"{used}.yaml", folder)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    (tmp_path / "files").mkdir()
    with served(tmp_path / "files") as (address, asked):
        yield Hub(tmp_path, address, asked, monkeypatch)
