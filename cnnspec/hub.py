"""Published files on this machine: where they are kept, how they get there, and whether they are the published ones.

They are kept where torch.hub and torchvision keep theirs (TORCH_HOME, else XDG_CACHE_HOME/torch, else ~/.cache/torch;
in it hub/checkpoints), so that what torchvision downloaded is found, and the other way round. Files of the Hugging Face
hub lie there too, under the spec's name for them: its own cache is laid out for its own library.

CNNSPEC_MIRROR=http://host:port fetches https://download.pytorch.org/models/x.pth from
http://host:port/download.pytorch.org/models/x.pth.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cnnspec import durable
from cnnspec.diagnostics import MissingError, RunError, UsageError
from cnnspec.published import Weights

MIRROR = "CNNSPEC_MIRROR"
CHUNK = 2**20
LARGEST = 2**34
"""Bytes of a file, the most that is fetched."""
SECONDS = 30
"""How long a server may be silent."""

Tick = Callable[[int], None]


def folder() -> Path:
    """Where files are kept; it need not be there yet."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "torch"
    return Path(os.environ.get("TORCH_HOME") or cache).expanduser() / "hub" / "checkpoints"


def address(url: str) -> str:
    """Where a url is fetched from. Raises UsageError for a mirror that is no http address."""
    mirror = os.environ.get(MIRROR)
    if not mirror:
        return url
    if not re.fullmatch(r"https?://[^/\s?#]+(/[^\s?#]*)?", mirror):
        raise UsageError(f"{MIRROR} wants an address as http://localhost:8000, got '{mirror}'")
    return f"{mirror.rstrip('/')}/{url.partition('://')[2]}"


def find(weights: Weights, what: str) -> Path:
    """The file on this machine. Raises MissingError that says how to get it."""
    path = folder() / weights.name
    if not path.is_file():
        command = f"curl -L --create-dirs -o {shlex.quote(str(path))} {weights.url}"
        raise MissingError(f"{what} are not here: there is no {path}", f"--download fetches them, or: {command}")
    return path


def verified(path: Path, weights: Weights, warn: Callable[[str], None]) -> bytes:
    """The bytes of a published file, which are the ones to use: hashed after they were read.

    Raises RunError where their SHA-256 is another than published or, of a file without a published one, recorded when
    it was downloaded; where there is neither, warns.
    """
    try:
        data = path.read_bytes()
        known = weights.sha256 or _recorded(path)
    except OSError as error:
        raise MissingError(f"cannot read {path}: {error.strerror}") from None
    if known is None:
        warn(f"no SHA-256 is known of {path}: it is used as it is")
        return data
    found = hashlib.sha256(data).hexdigest()
    if not found.startswith(known):
        origin = "the published one begins with" if weights.sha256 else "when it was downloaded it was"
        raise RunError(
            f"{path} ({len(data)} bytes) is damaged, or another file: its SHA-256 is {found}, {origin} {known}",
            "remove it and use --download; a file of your own goes by another name",
        )
    return data


def fetch(weights: Weights, warn: Callable[[str], None], tick: Tick) -> Path:
    """Download a file unless it is there; it gets its name once it is whole, durable and has its hash.

    `tick` is called with the number of mebibytes as each arrives. Raises RunError, and then nothing is left behind.
    """
    path = folder() / weights.name
    if path.is_file():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot make the folder {path.parent}: {error.strerror}") from None
    url = address(weights.url)
    digest = hashlib.sha256()
    with _opened(url) as response:
        size = _size(response)
        durable.write(path, _parts(response, url, size, weights.sha256, digest, tick), size)
    if weights.sha256 is None:
        durable.write(_record(path), f"{digest.hexdigest()}\n".encode())
        warn(f"no SHA-256 of {url} is published: that of this download is in {_record(path).name}, for later uses")
    return path


def _parts(response: Any, url: str, size: int, due: str | None, digest: Any, tick: Tick) -> Iterator[bytes]:
    """What arrives, part by part; raises RunError at its end where it is not what is due."""
    count = 0
    while True:
        try:
            part = response.read(CHUNK)
        except OSError as error:
            raise RunError(f"{url}: the connection broke after {count} bytes: {_reason(error)}") from None
        if not part:
            break
        count += len(part)
        if count > LARGEST:
            raise RunError(f"{url} has more than {LARGEST} bytes, the limit")
        digest.update(part)
        tick(-(-size // CHUNK))
        yield part
    if size and count != size:
        raise RunError(f"{url} ended after {count} of {size} bytes; nothing was kept")
    if due is not None and not digest.hexdigest().startswith(due):
        message = f"{url}: the SHA-256 of what came is {digest.hexdigest()}, the published one begins with {due}"
        raise RunError(f"{message}; nothing was kept")


def _opened(url: str) -> Any:
    import urllib.error
    import urllib.request

    class SameScheme(urllib.request.HTTPRedirectHandler):
        """https stays https."""

        def redirect_request(self, *args: Any) -> Any:
            same = args[-1].partition(":")[0] == url.partition(":")[0]
            return super().redirect_request(*args) if same else None

    try:
        request = urllib.request.Request(url, headers={"User-Agent": "cnnspec"})
        return urllib.request.build_opener(SameScheme).open(request, timeout=SECONDS)
    except urllib.error.HTTPError as error:
        error.close()
        if 300 <= error.code < 400:
            raise RunError(f"{url} leads to {error.headers['Location']}, which is not followed") from None
        raise RunError(f"{url}: the server says {error.code} {error.reason}") from None
    except (OSError, ValueError) as error:
        raise RunError(f"cannot reach {url}: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    return str(getattr(error, "reason", None) or error or type(error).__name__)


def _size(response: Any) -> int:
    """What the server says, 0 where it says nothing."""
    text = response.headers.get("Content-Length") or ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0


def _record(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _recorded(path: Path) -> str | None:
    record = _record(path)
    if not record.is_file():
        return None
    text = record.read_text(encoding="ascii", errors="replace").strip()
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise RunError(f"{record} holds no SHA-256")
    return text
