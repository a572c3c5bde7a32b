"""Rounding modes and their one exact meaning, on real numbers and on integer codes.

Everything that rounds (quantizers, importer, interpreter, hardware) refers to this enum.

Source: AMD/Xilinx UG1399, ap_[u]fixed quantization modes; QONNX IntQuant rounding table
(qonnx/docs/qonnx-custom-ops/intquant_op.md).
"""

from __future__ import annotations

from enum import Enum
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from hwgen.errors import NumericError

Float = TypeVar("Float", np.float32, np.float64)


class Rounding(Enum):
    """What happens to a value between two grid points; the value is the ap_fixed spelling."""

    TRN = "TRN"  # toward minus infinity (floor)
    TRN_ZERO = "TRN_ZERO"  # toward zero
    RND = "RND"  # nearest, ties toward plus infinity
    RND_CONV = "RND_CONV"  # nearest, ties to even
    RND_ZERO = "RND_ZERO"  # nearest, ties toward zero
    RND_INF = "RND_INF"  # nearest, ties away from zero
    RND_MIN_INF = "RND_MIN_INF"  # nearest, ties toward minus infinity
    CEIL = "CEIL"  # toward plus infinity; QONNX only
    UP = "UP"  # away from zero; QONNX only

    @property
    def is_nearest(self) -> bool:
        """Whether only ties depend on the mode."""
        return self.value.startswith("RND")


# QONNX calls ties-away "HALF_UP"; the name is older than its meaning.
QONNX_ROUNDING = {
    "ROUND": Rounding.RND_CONV,
    "HALF_EVEN": Rounding.RND_CONV,
    "CEIL": Rounding.CEIL,
    "FLOOR": Rounding.TRN,
    "UP": Rounding.UP,
    "DOWN": Rounding.TRN_ZERO,
    "HALF_UP": Rounding.RND_INF,
    "HALF_DOWN": Rounding.RND_ZERO,
}


def rounding_from_qonnx(name: str) -> Rounding:
    """Return the mode QONNX calls `name` (case-insensitive)."""
    try:
        return QONNX_ROUNDING[name.upper()]
    except KeyError:
        known = ", ".join(QONNX_ROUNDING)
        raise NumericError(f"rounding mode {name!r} is unknown; QONNX has {known}") from None


def qonnx_name(rounding: Rounding) -> str:
    """Return QONNX's name for a mode, its older spelling ROUND for ties to even."""
    for name, known in QONNX_ROUNDING.items():
        if known is rounding:
            return name
    sayable = ", ".join(sorted({mode.value for mode in QONNX_ROUNDING.values()}))
    raise NumericError(f"rounding mode {rounding.value} has no QONNX name; use one of {sayable}")


def round_real(x: npt.NDArray[Float], rounding: Rounding) -> npt.NDArray[Float]:
    """Round to integers, exactly, in the precision `x` comes in.

    The fraction is taken from `trunc`, not `floor`: x - trunc(x) is representable for every
    float, x - floor(x) is not (-0.49999999999999994 would look like a tie).
    """
    whole = np.trunc(x)
    fraction = np.abs(x - whole)
    away = np.copysign(np.ones_like(x), x)
    if rounding is Rounding.TRN:
        return np.floor(x)
    if rounding is Rounding.CEIL:
        return np.ceil(x)
    if rounding is Rounding.TRN_ZERO:
        return whole
    if rounding is Rounding.UP:
        return np.where(fraction > 0, whole + away, whole)
    tie_goes_away = {
        Rounding.RND: x > 0,
        Rounding.RND_MIN_INF: x < 0,
        Rounding.RND_INF: np.ones_like(x, dtype=bool),
        Rounding.RND_ZERO: np.zeros_like(x, dtype=bool),
        Rounding.RND_CONV: np.fmod(whole, 2) != 0,
    }[rounding]
    goes_away = (fraction > 0.5) | ((fraction == 0.5) & tie_goes_away)
    return np.where(goes_away, whole + away, whole)


def round_shift(
    codes: npt.NDArray[np.int64], shift: int, rounding: Rounding
) -> npt.NDArray[np.int64]:
    """Return codes * 2**-shift rounded to integers, in integer arithmetic only.

    Parameters
    ----------
    codes : int64, any shape; |codes| * 2**max(-shift, 0) must stay below 2**63
    shift : positive divides, negative multiplies (exact)
    """
    codes = np.asarray(codes, dtype=np.int64)
    if shift <= 0:
        return codes << -shift
    floor = codes >> shift
    return floor + rounding_increment(
        remainder=codes & ((1 << shift) - 1),
        half=1 << (shift - 1),
        negative=codes < 0,
        odd=(floor & 1) == 1,
        rounding=rounding,
    ).astype(np.int64)


def rounding_increment(
    remainder: npt.NDArray[np.int64],
    half: int,
    negative: npt.NDArray[np.bool_],
    odd: npt.NDArray[np.bool_],
    rounding: Rounding,
) -> npt.NDArray[np.bool_]:
    """Whether to add one to floor(v): the rule the requantizer's hardware copies.

    Parameters
    ----------
    remainder : v - floor(v), in units of the bits shifted out
    half : one half in the same units
    negative : whether v < 0
    odd : whether floor(v) is odd
    """
    above: npt.NDArray[np.bool_] = np.greater(remainder, half)
    tie: npt.NDArray[np.bool_] = np.equal(remainder, half)
    inexact: npt.NDArray[np.bool_] = np.not_equal(remainder, 0)
    match rounding:
        case Rounding.TRN:
            return np.zeros_like(above)
        case Rounding.CEIL:
            return inexact
        case Rounding.TRN_ZERO:
            return inexact & negative
        case Rounding.UP:
            return inexact & ~negative
        case Rounding.RND:
            return above | tie
        case Rounding.RND_MIN_INF:
            return above
        case Rounding.RND_INF:
            return above | (tie & ~negative)
        case Rounding.RND_ZERO:
            return above | (tie & negative)
        case Rounding.RND_CONV:
            return above | (tie & odd)
