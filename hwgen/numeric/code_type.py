"""`CodeType`: the type of a value in the IR, an interval of integer codes, plus the bipolar case.

Widths are derived from intervals, never chosen: a tighter interval is free area.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hwgen.errors import NumericError


@dataclass(frozen=True)
class CodeType:
    """All integers from `lo` to `hi`; or, when `bipolar`, just -1 and +1 stored in one bit.

    Examples
    --------
    >>> CodeType(-3, 4).width, CodeType(0, 4).width, CodeType.binary().width
    (4, 3, 1)
    """

    lo: int
    hi: int
    bipolar: bool = False

    def __post_init__(self) -> None:
        if self.lo > self.hi:
            raise NumericError(f"CodeType: empty interval {self.lo}..{self.hi}")
        if self.bipolar and (self.lo, self.hi) != (-1, 1):
            raise NumericError(f"CodeType: bipolar means -1 and +1, got {self.lo}..{self.hi}")

    @classmethod
    def binary(cls) -> CodeType:
        """Return {-1, +1} in one bit: bit 1 is +1."""
        return cls(-1, 1, bipolar=True)

    @classmethod
    def of(cls, codes: npt.NDArray[np.int64]) -> CodeType:
        """Return the tightest interval around `codes`."""
        return cls(int(codes.min()), int(codes.max()))

    @property
    def signed(self) -> bool:
        """Whether the stored word needs a sign bit."""
        return self.lo < 0 and not self.bipolar

    @property
    def width(self) -> int:
        """Bits of the stored word, at least 1."""
        if self.bipolar:
            return 1
        if self.lo < 0:
            return max((-self.lo - 1).bit_length(), self.hi.bit_length() if self.hi > 0 else 0) + 1
        return max(self.hi.bit_length(), 1)

    @property
    def size(self) -> int:
        """How many codes there are."""
        return 2 if self.bipolar else self.hi - self.lo + 1

    def codes(self) -> npt.NDArray[np.int64]:
        """Return every code, ascending."""
        return np.arange(self.lo, self.hi + 1, 2 if self.bipolar else 1, dtype=np.int64)

    def contains(self, codes: npt.NDArray[np.int64]) -> bool:
        """Whether all of `codes` are of this type."""
        inside = bool(np.all((codes >= self.lo) & (codes <= self.hi)))
        return inside and (not self.bipolar or bool(np.all(codes != 0)))

    def to_bits(self, codes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the stored words as unsigned integers (two's complement; bit 1 for +1)."""
        if self.bipolar:
            return (codes + 1) >> 1
        return codes & ((1 << self.width) - 1)

    def from_bits(self, bits: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Invert `to_bits`."""
        if self.bipolar:
            return 2 * bits - 1
        sign = (bits >> (self.width - 1)) & 1 if self.signed else 0
        return np.asarray(bits - (sign << self.width), dtype=np.int64)

    def __str__(self) -> str:
        return "bipolar" if self.bipolar else f"{self.lo}..{self.hi}"
