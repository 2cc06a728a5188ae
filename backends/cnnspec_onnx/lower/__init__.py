"""One small function per operator, a file per family as in cnnspec.ops; `lower` chooses by the operator's class."""

from __future__ import annotations

from cnnspec_onnx.lower import activation, conv, dense, merge, norm, pool, shape
from cnnspec_onnx.lower.base import Place, lower

FAMILIES = (activation, conv, dense, merge, norm, pool, shape)

__all__ = ["FAMILIES", "Place", "lower"]
