"""Overflow modes: what a code beyond the format's range becomes.

Applied after rounding, always.

Source: AMD/Xilinx UG1399, ap_[u]fixed overflow modes.
"""

from __future__ import annotations

from enum import Enum

import numpy as np
import numpy.typing as npt


class Overflow(Enum):
    """SAT clips; SAT_SYM clips to +-hi when signed; WRAP keeps the low bits (two's complement)."""

    SAT = "SAT"
    SAT_SYM = "SAT_SYM"
    WRAP = "WRAP"


def apply_overflow(
    codes: npt.NDArray[np.int64], width: int, signed: bool, overflow: Overflow
) -> npt.NDArray[np.int64]:
    """Bring integer `codes` into `width` bits."""
    hi = (1 << (width - 1)) - 1 if signed else (1 << width) - 1
    lo = -hi - 1 if signed else 0
    if overflow is Overflow.SAT:
        return np.clip(codes, lo, hi)
    if overflow is Overflow.SAT_SYM:
        return np.clip(codes, -hi if signed else 0, hi)
    return ((codes - lo) & ((1 << width) - 1)) + lo
