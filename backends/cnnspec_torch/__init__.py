"""The PyTorch backend: graphs become torch modules. What needs no torch, cnnspec_torch.memory, imports none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cnnspec_torch.backend import Backend as Backend
    from cnnspec_torch.module import build as build


def __getattr__(name: str) -> Any:
    if name == "Backend":
        from cnnspec_torch.backend import Backend

        return Backend
    if name == "build":
        from cnnspec_torch.module import build

        return build
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
