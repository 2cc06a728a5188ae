"""One thread per test process: small layers run faster so, and processes side by side do not fight for cores."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
