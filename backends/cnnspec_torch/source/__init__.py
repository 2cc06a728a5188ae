"""A graph as one readable file of PyTorch without cnnspec: a class per block, the paths of the spec as keys."""

from __future__ import annotations

from cnnspec_torch.source.file import python_source as python_source
