"""The public surface is complete, sorted and importable."""

import subprocess
import sys

import pytest

import cnnspec


def test_every_public_name_is_there() -> None:
    assert cnnspec.__all__ == sorted(cnnspec.__all__)
    for name in cnnspec.__all__:
        assert getattr(cnnspec, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'cnnspec' has no attribute 'nothing'"):
        _ = cnnspec.nothing


def test_the_compiler_imports_no_framework() -> None:
    code = "import sys, cnnspec; cnnspec.compile('resnet18').cost(); print(*sorted(sys.modules))"
    loaded = set(
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    )
    assert loaded.isdisjoint({"torch", "onnx", "numpy", "torchvision", "PIL", "networkx", "rich"})
