"""Backends turn a graph into something that runs. They are found by the entry point group `cnnspec.backends`."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol

from cnnspec.diagnostics import MissingError, UsageError, did_you_mean

if TYPE_CHECKING:
    from cnnspec.graph import Graph
    from cnnspec.memory import Allocations


GROUP = "cnnspec.backends"
_OWN = {"torch": "cnnspec_torch:Backend", "onnx": "cnnspec_onnx:Backend"}  # for a checkout without an install
_MEMORY = {"torch": "cnnspec_torch.memory:TorchMemory"}
"""Tables that are read without the backend's own library."""
DEVICES = ("cpu", "cuda")
"""What those tables tell of."""


class Backend(Protocol):
    def lower(self, graph: Graph, seed: int = 0) -> Any: ...


def memory_table(name: str, device: str = "cpu") -> Allocations | None:
    """What the backend of that name allocates on a device besides the graph's tensors; None if there is no table of it.

    Raises UsageError for an unknown device.
    """
    if device not in DEVICES:
        raise UsageError(f"unknown device '{device}'", did_you_mean(device, DEVICES) or f"one of {', '.join(DEVICES)}")
    module, _, table = _MEMORY.get(name, ":").partition(":")
    if not module or find_spec(module.split(".")[0]) is None:
        return None
    found: Allocations = getattr(import_module(module), table)(device)
    return found


def machine(device: str) -> dict[str, object]:
    """What a backend's scratch memory depends on besides the graph: device, the processor's vectors, and threads."""
    from os import cpu_count

    from cnnspec.vectors import instruction_set, threads

    return {
        "device": device,
        "instruction_set": instruction_set(),
        "processors": cpu_count(),
        "threads": threads(),
    }


def find(name: str) -> Backend:
    """The backend of that name; raises MissingError with the command to get it where it is not installed."""
    found = {own: EntryPoint(own, value, GROUP) for own, value in _OWN.items() if find_spec(value.split(":")[0])}
    found |= {point.name: point for point in entry_points(group=GROUP)}
    if name not in found:
        help = did_you_mean(name, found) or f"backends at hand: {', '.join(sorted(found)) or 'none'}"
        raise MissingError(f"there is no backend '{name}'", help)
    try:
        backend: Backend = found[name].load()()
    except ModuleNotFoundError as error:
        raise MissingError(f"the backend {name} needs {error.name}", f"pip install 'cnnspec[{name}]'") from None
    return backend
