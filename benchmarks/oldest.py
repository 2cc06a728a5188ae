"""Prints the requirements of pyproject.toml with every lower bound as the version: `torch>=2.6` as `torch==2.6`."""

import re
import sys
import tomllib
from pathlib import Path

project = tomllib.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["project"]
extras = project["optional-dependencies"]
lines = [*project["dependencies"], *(line for name in extras if name not in ("all", "dev") for line in extras[name])]
tests = [line for line in extras["dev"] if re.match(r"pytest|hypothesis|build|hatchling", line)]
print("\n".join(sorted({line.replace(">=", "==") for line in lines} | set(tests))))
