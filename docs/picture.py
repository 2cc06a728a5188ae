"""Draw docs/summary.svg, the README's picture: what `cnnspec summarize lenet5` prints. Run: python docs/picture.py

The figures with backend are those of a processor with AVX2; a test lets them be others.
"""

import io
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
COMMAND = ["summarize", "lenet5"]
WIDTH = 100


def picture() -> str:
    """The command's output as SVG, with fonts that every machine has."""
    run = [sys.executable, str(ROOT / "cli.py"), *COMMAND]
    printed = subprocess.run(run, check=True, capture_output=True, text=True, cwd=ROOT).stdout
    console = Console(record=True, width=WIDTH, file=io.StringIO(), color_system=None)
    console.print(Text(f"$ cnnspec {' '.join(COMMAND)}", style="bold"))
    console.print(Text(printed.rstrip()))
    svg = console.export_svg(title="cnnspec", unique_id="summary")
    return re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL).replace("Fira Code, monospace", "monospace")


if __name__ == "__main__":
    (ROOT / "docs" / "summary.svg").write_text(picture(), encoding="utf-8")
