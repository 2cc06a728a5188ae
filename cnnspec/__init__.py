"""cnnspec: a compiler for convolutional networks. Architectures are YAML; shapes, cost and memory are proved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cnnspec.diagnostics import CnnspecError as CnnspecError
    from cnnspec.diagnostics import Diagnostic as Diagnostic
    from cnnspec.diagnostics import MissingError as MissingError
    from cnnspec.diagnostics import RunError as RunError
    from cnnspec.diagnostics import SpecError as SpecError
    from cnnspec.diagnostics import UsageError as UsageError
    from cnnspec.front import compile as compile
    from cnnspec.graph import Graph as Graph
    from cnnspec.graph import Node as Node
    from cnnspec.optimizing import optimize as optimize
    from cnnspec.passes.convolutionalize import convolutionalize as convolutionalize
    from cnnspec.tensor import TensorType as TensorType

__version__ = "0.1.0"

_HOMES = {
    "CnnspecError": "cnnspec.diagnostics",
    "Diagnostic": "cnnspec.diagnostics",
    "Graph": "cnnspec.graph",
    "MissingError": "cnnspec.diagnostics",
    "Node": "cnnspec.graph",
    "RunError": "cnnspec.diagnostics",
    "SpecError": "cnnspec.diagnostics",
    "TensorType": "cnnspec.tensor",
    "UsageError": "cnnspec.diagnostics",
    "compile": "cnnspec.front",
    "convolutionalize": "cnnspec.passes.convolutionalize",
    "load_weights": "cnnspec_torch.weights",
    "optimize": "cnnspec.optimizing",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    """Public names are imported when first used, so that a command pays only for what it needs."""
    if name not in _HOMES:
        raise AttributeError(f"module 'cnnspec' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
