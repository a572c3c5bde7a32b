"""`FixedPoint`: a number format, real = code * 2**-frac.

Used by the quantizers (training), the importer and the tests; the IR itself only knows intervals
of codes and a scale.

Source: AMD/Xilinx UG1399 (ap_[u]fixed); Dai et al., QFX, arXiv 2401.17544.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hwgen.errors import NumericError
from hwgen.numeric.overflow import Overflow, apply_overflow
from hwgen.numeric.rounding import Rounding, round_real, round_shift

MAX_WIDTH = 62  # a code, its rounding carry and a sign stay inside int64


@dataclass(frozen=True)
class FixedPoint:
    """A fixed-point format.

    Parameters
    ----------
    signed : two's complement when true
    width : total bits, sign included, 1..62
    frac : fractional bits; may be negative or exceed `width`

    Examples
    --------
    >>> int(FixedPoint(signed=True, width=4, frac=2).quantize(0.375, Rounding.RND_CONV))
    2
    """

    signed: bool
    width: int
    frac: int

    def __post_init__(self) -> None:
        if not 1 <= self.width <= MAX_WIDTH:
            raise NumericError(f"FixedPoint: width is {self.width}, expected 1..{MAX_WIDTH}")

    @property
    def lo(self) -> int:
        """Smallest code."""
        return -(1 << (self.width - 1)) if self.signed else 0

    @property
    def hi(self) -> int:
        """Largest code."""
        return (1 << (self.width - 1)) - 1 if self.signed else (1 << self.width) - 1

    @property
    def scale(self) -> float:
        """Real value of code 1, a power of two."""
        return float(2.0**-self.frac)

    def quantize(
        self,
        x: npt.ArrayLike,
        rounding: Rounding = Rounding.RND_CONV,
        overflow: Overflow = Overflow.SAT,
    ) -> npt.NDArray[np.int64]:
        """Return the codes of real numbers `x`: round first, then overflow."""
        real = np.asarray(x, dtype=np.float64)
        if not np.isfinite(real).all():
            raise NumericError("FixedPoint: NaN or infinity has no fixed-point code")
        rounded = round_real(np.ldexp(real, self.frac), rounding)
        if overflow is Overflow.WRAP:
            # Python integers: a wrapped value may start far outside int64.
            wide = np.array([int(v) % (1 << self.width) for v in rounded.ravel()], dtype=np.int64)
            return apply_overflow(wide.reshape(rounded.shape), self.width, self.signed, overflow)
        bounded = np.clip(rounded, -(2.0**62), 2.0**62).astype(np.int64)
        return apply_overflow(bounded, self.width, self.signed, overflow)

    def cast_codes(
        self,
        codes: npt.NDArray[np.int64],
        frac: int,
        rounding: Rounding = Rounding.TRN,
        overflow: Overflow = Overflow.WRAP,
    ) -> npt.NDArray[np.int64]:
        """Recode `codes` that have `frac` fractional bits; defaults are ap_fixed's own."""
        shifted = round_shift(codes, frac - self.frac, rounding)
        return apply_overflow(shifted, self.width, self.signed, overflow)

    def dequantize(self, codes: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the real numbers that `codes` stand for (exact below 53 bits)."""
        return np.ldexp(np.asarray(codes, dtype=np.float64), -self.frac)
