"""What a finite function asks of a floor-rounding `clip((a*M + B) >> S)`.

A step of value v on codes s..e (rising) asks of M >= 0 and B
    v * 2**S       <= s*M + B        unless v is the lowest code, where the clip helps
    (v+1) * 2**S   >  e*M + B        unless v is the highest
so for a given M, B has an interval, and its length is a concave function of M: bisection finds
the feasible M. A falling channel is the mirror image. Used by `fit_requantize.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwgen.ir import Codes
from hwgen.numeric import CodeType
from hwgen.passes.finite_function import FiniteFunction

LIMIT = 1 << 60  # every product and sum below stays in int64


@dataclass(frozen=True, eq=False)
class Constraints:
    """Steps of all rows, rising, padded to [rows, steps]; see the module docstring."""

    start: Codes
    end: Codes
    value: Codes
    needs_lower: Codes  # 1 where the lower bound counts
    needs_upper: Codes
    sign: Codes  # per row: -1 where the row was mirrored

    def bounds(self, multiplier: Codes, shift: int) -> tuple[Codes, Codes, Codes]:
        """Return per row the lowest and the highest B, and the slope of their distance in M."""
        lower = np.where(
            self.needs_lower == 1, (self.value << shift) - self.start * multiplier[:, None], -LIMIT
        )
        upper = np.where(
            self.needs_upper == 1,
            ((self.value + 1) << shift) - 1 - self.end * multiplier[:, None],
            LIMIT,
        )
        low_at, high_at = lower.argmax(axis=1), upper.argmin(axis=1)
        every = np.arange(len(lower))
        slope = self.end[every, high_at] - self.start[every, low_at]
        return lower[every, low_at], upper[every, high_at], slope

    def feasible(self, multiplier: Codes, shift: int) -> Codes:
        """Return per row 0 when some B exists, else +1 or -1 when M must grow or shrink."""
        low, high, slope = self.bounds(multiplier, shift)
        return np.where(low <= high, 0, np.where(slope < 0, 1, -1))

    def multipliers(self, shift: int) -> tuple[Codes, Codes] | None:
        """Return per row the smallest and largest feasible M, None when a row has none."""
        reach = max(int(np.abs(self.start).max()), int(np.abs(self.end).max()), 1)
        span = int(self.value.max() - self.value.min()) + 2
        most = min(span << shift, LIMIT // reach)
        rows = len(self.start)
        low, high = np.zeros(rows, dtype=np.int64), np.full(rows, most, dtype=np.int64)
        found = np.full(rows, -1, dtype=np.int64)
        while ((found < 0) & (low <= high)).any():
            middle = (low + high) // 2
            where = self.feasible(middle, shift)
            found = np.where((where == 0) & (found < 0) & (low <= high), middle, found)
            low = np.where((where > 0) & (found < 0), middle + 1, low)
            high = np.where((where < 0) & (found < 0), middle - 1, high)
        if (found < 0).any():
            return None
        return self._edge(low, found, shift, -1), self._edge(high, found, shift, +1)

    def _edge(self, limit: Codes, found: Codes, shift: int, toward: int) -> Codes:
        """Return the feasible M farthest from `found` toward `limit`."""
        near, far = found, limit + toward  # feasible, and not (or out of range)
        while (np.abs(far - near) > 1).any():
            middle = (near + far) // 2
            good = (self.feasible(middle, shift) == 0) & (np.abs(far - near) > 1)
            near, far = np.where(good, middle, near), np.where(good, far, middle)
        return near


def constraints(function: FiniteFunction, codes: CodeType) -> Constraints | None:
    """Return the constraints of `function` with results clipped to `codes`; None if not ordered."""
    signs = [row.direction for row in function.rows]
    if 0 in signs:
        return None
    start, end, value = [], [], []
    for row, sign in zip(function.rows, signs, strict=True):
        start.append(row.starts if sign > 0 else -row.ends[::-1])
        end.append(row.ends if sign > 0 else -row.starts[::-1])
        value.append(row.values[::sign])
    steps = max(map(len, start))

    def padded(rows: list[Codes]) -> Codes:
        return np.stack([np.pad(row, (0, steps - len(row)), mode="edge") for row in rows])

    # Padding repeats the last step, whose constraints then merely count twice.
    values = padded(value)
    return Constraints(
        padded(start),
        padded(end),
        values,
        (values > codes.lo).astype(np.int64),
        (values < codes.hi).astype(np.int64),
        np.array(signs, dtype=np.int64),
    )
