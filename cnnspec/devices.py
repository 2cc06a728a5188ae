"""What GPUs can do at most, as their makers' data sheets say: without sparsity, memory and rates in decimal units."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Device:
    """Operations a second, a multiplication and an addition being two; bytes a second and bytes of memory.

    `tf32` is what convolutions of float32 run at in torch unless told otherwise; None where there is no such unit.
    """

    name: str
    float32: float
    tf32: float | None
    float16: float
    bfloat16: float | None
    bandwidth: float
    memory: int
    source: str


_T, _G = 10**12, 10**9
_ADA = "NVIDIA Ada GPU architecture, whitepaper V2.01, appendix A"
_ROWS = (
    Device("t4", 8.1 * _T, None, 65 * _T, None, 320 * _G, 16 * _G, "NVIDIA T4 product brief PB-09256-001"),
    Device("v100", 15.7 * _T, None, 125 * _T, None, 900 * _G, 32 * _G, "NVIDIA V100 data sheet (2020), SXM2"),
    Device("rtx3090", 35.6 * _T, 35.6 * _T, 71 * _T, 71 * _T, 936 * _G, 24 * _G, "NVIDIA Ampere GA102 whitepaper V2"),
    Device("rtx4090", 82.6 * _T, 82.6 * _T, 165.2 * _T, 165.2 * _T, 1008 * _G, 24 * _G, _ADA),
    Device("l4", 30.3 * _T, 60 * _T, 121 * _T, 121 * _T, 300 * _G, 24 * _G, "NVIDIA L4 data sheet (2023)"),
    Device("a100", 19.5 * _T, 156 * _T, 312 * _T, 312 * _T, 2039 * _G, 80 * _G, "NVIDIA A100 data sheet (2021), SXM"),
    Device("h100", 67 * _T, 494 * _T, 989 * _T, 989 * _T, 3350 * _G, 80 * _G, "NVIDIA H100 data sheet (2023), SXM"),
    Device("h200", 67 * _T, 494 * _T, 989 * _T, 989 * _T, 4800 * _G, 141 * _G, "NVIDIA H200 data sheet (2024), SXM"),
)
DEVICES = {device.name: device for device in _ROWS}
