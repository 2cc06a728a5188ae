"""What is installed: the wheel's contents, what an import brings along, and what a missing extra says."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

import cnnspec

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    (built,) = WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    return Path(built)


def python(*args: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    bare = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    command = [sys.executable, *args]
    return subprocess.run(command, cwd=cwd, env={**bare, **environment}, capture_output=True, text=True, check=False)


def test_the_wheel_holds_the_packages_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    backends = {path.name for path in (ROOT / "backends").iterdir() if path.is_dir() and path.name != "__pycache__"}
    info = f"cnnspec-{PROJECT['version']}.dist-info"
    assert {name.partition("/")[0] for name in names} == {"cnnspec", *backends, info}
    assert backends <= {"cnnspec_torch", "cnnspec_onnx"}
    assert not [name for name in names if name.endswith(".pyc")]


def test_the_wheel_holds_every_module_and_every_shipped_file(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    homes = {"cnnspec": "cnnspec", "backends": "", "specs": "cnnspec/specs"}
    due = {
        (Path(inside) / path.relative_to(ROOT / folder)).as_posix()
        for folder, inside in homes.items()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"
    }
    assert due <= names
    assert {"cnnspec/specs/resnet34.yaml", "cnnspec/specs/recipes/classify.yaml", "cnnspec/py.typed"} <= names


def test_the_wheel_works_where_there_is_no_checkout(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    code = "import cnnspec, cnnspec.zoo as z; print(z.folder()); print(cnnspec.compile('resnet34').cost().params.total)"
    done = python("-c", code, cwd=tmp_path, PYTHONPATH=str(tmp_path / "site"))
    assert done.stdout.splitlines() == [str(tmp_path / "site" / "cnnspec" / "specs"), "21797672"], done.stderr


def test_the_commands_of_the_wheel_are_the_project_s(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    points = archive.read(f"cnnspec-{PROJECT['version']}.dist-info/entry_points.txt").decode()
    assert points.split() == [
        *("[console_scripts]", "cnnspec", "=", "cnnspec.__main__:main"),
        *("[cnnspec.backends]", "onnx", "=", "cnnspec_onnx:Backend"),
        *("torch", "=", "cnnspec_torch:Backend"),
    ]


@pytest.mark.parametrize("code", ["import cnnspec", "import cnnspec; cnnspec.compile('resnet34')"])
def test_the_compiler_brings_no_framework(code: str) -> None:
    heavy = "torch torchvision onnx onnxruntime numpy PIL pytorch_lightning sklearn matplotlib"
    done = python("-c", f"{code}; import sys; print([name for name in '{heavy}'.split() if name in sys.modules])")
    assert done.stdout == "[]\n", done.stderr


def test_cli_py_is_the_same_door_without_an_install() -> None:
    done = python("-S", "cli.py", "check", "lenet5", PYTHONPATH=sysconfig.get_path("purelib"))  # -S: no editable finder
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("lenet5: ok")


@pytest.mark.parametrize(
    ("missing", "args", "text"),
    [
        ("torch", ["train", "lenet5"], "error: train needs torch\n  help: pip install 'cnnspec[train]'\n"),
        ("pytorch_lightning", ["train", "lenet5"], "error: train needs pytorch_lightning\n  help: pip install 'cnn"),
        ("sklearn", ["train", "lenet5"], "error: the data 'digits' needs scikit-learn\n  help: pip install 'cnn"),
        (
            "PIL",
            ["predict", "runs/none", "a.png"],
            "error: predict needs PIL\n  help: pip install 'cnnspec[predict]'\n",
        ),
        (
            "pygraphviz",
            ["plot", "lenet5", "-o", "a.svg"],
            "error: SVG needs pygraphviz\n  help: pip install 'cnnspec[plot]'\n",
        ),
        ("torch", ["predict", "lenet5", "a.png", "--random"], "error: predict needs torch\n  help: pip install 'cnn"),
    ],
)
def test_a_missing_extra_is_named_with_its_command(missing: str, args: list[str], text: str, tmp_path: Path) -> None:
    code = f"import sys; sys.modules['{missing}'] = None; from cnnspec.__main__ import main; sys.exit(main({args}))"
    (tmp_path / "runs" / "none").mkdir(parents=True)
    done = python("-c", code, cwd=tmp_path)
    assert done.returncode == 3
    assert done.stderr.startswith(text)
    assert list((tmp_path / "runs").iterdir()) == [tmp_path / "runs" / "none"]


def test_the_version_is_written_once_more_in_the_package() -> None:
    assert cnnspec.__version__ == PROJECT["version"]


def test_a_missing_backend_s_extra_is_declared() -> None:
    extras = PROJECT["optional-dependencies"]
    assert {"torch", "onnx", "predict", "train", "plot", "tensorboard", "all", "dev"} == set(extras)
    for name in ("torch", "onnx", "predict", "train", "plot"):
        assert all(">=" in line for line in extras[name])
