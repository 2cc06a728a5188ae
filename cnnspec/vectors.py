"""Vectors and threads of this processor: what memory a library of kernels takes depends on them."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

NARROWER = ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2")
"""What ONEDNN_MAX_CPU_ISA may say that is less than AVX-512."""


@cache
def instruction_set() -> str:
    """The widest vectors of this processor that oneDNN has kernels for, by name: `AVX-512` or `AVX2`.

    What cannot be read is taken for AVX2, and so is a processor where ONEDNN_MAX_CPU_ISA keeps oneDNN to that or less.
    """
    if os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper() in NARROWER:
        return "AVX2"
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return "AVX2"
    flags = next((line.split() for line in text.splitlines() if line.startswith("flags")), [])
    return "AVX-512" if {"avx512f", "avx512bw", "avx512vl", "avx512dq"} <= {*flags} else "AVX2"


def threads() -> int:
    """How many a library of kernels starts: OMP_NUM_THREADS if that is one, else the processors of this process."""
    told = os.environ.get("OMP_NUM_THREADS", "").strip()
    if told.isascii() and told.isdigit() and int(told):
        return int(told)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
