"""The command line of a checkout that is not installed: `python cli.py VERB SPEC` is `cnnspec VERB SPEC`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "backends"))
from cnnspec.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
