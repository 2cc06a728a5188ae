"""Which vectors this processor has: what memory a library of kernels takes depends on them."""

from __future__ import annotations

from functools import cache
from pathlib import Path


@cache
def instruction_set() -> str:
    """The widest vectors of this processor that oneDNN has kernels for, by name: `AVX-512` or `AVX2`.

    What cannot be read is taken for AVX2.
    """
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return "AVX2"
    flags = next((line.split() for line in text.splitlines() if line.startswith("flags")), [])
    return "AVX-512" if {"avx512f", "avx512bw", "avx512vl", "avx512dq"} <= {*flags} else "AVX2"
