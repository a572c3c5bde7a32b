"""Find the cheapest `clip((a*M + B) >> S)` that equals a finite function, if there is one.

With floor rounding, a step of value v on codes s..e (rising) asks of M >= 0 and B
    v * 2**S       <= s*M + B        unless v is the lowest code, where the clip helps
    (v+1) * 2**S   >  e*M + B        unless v is the highest
so for a given M, B has an interval, and its length is a concave function of M: bisection finds
the feasible M, and since feasible at S means feasible at S+1, the smallest S too. A falling
channel is the mirror image. A quantizer that rounds half to even has no such form; there the
exact line of the chain is tried with the quantizer's own rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hwgen.ir import Codes
from hwgen.numeric import CodeType, Rounding
from hwgen.numeric.signed_digits import count_digits
from hwgen.ops.elementwise import Elementwise
from hwgen.ops.float_steps import affine_lines
from hwgen.ops.requantize import Requantize
from hwgen.passes.finite_function import FiniteFunction

SHARED_EXTRA_BITS = 4
MAX_STEPS = 1 << 21  # of all rows; beyond, the search would take minutes
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


def searched(function: FiniteFunction) -> Requantize | None:
    """Return the floor-rounding form with the fewest multiplier bits, a shared one if possible."""
    codes = function.codes
    if codes.bipolar or codes.width > 32 or function.x.codes.width > 40:
        return None
    # A line through n steps has 1/n of a code to spare, the worst of many channels far less;
    # and v * 2**S stays below LIMIT.
    most = max(min(function.x.codes.width + codes.width + 12, 58 - codes.width), 0)
    found = constraints(function, codes)
    if found is None or found.value.size > MAX_STEPS or found.multipliers(most) is None:
        return None
    shift = _smallest_shift(found, most)
    for wider in range(shift, min(shift + SHARED_EXTRA_BITS, most) + 1):
        ranges = found.multipliers(wider)
        shared = None if ranges is None else _shared_multiplier(ranges, found.sign)
        if shared is not None:
            return _finished(found, np.array([shared]), wider, codes)
    ranges = found.multipliers(shift)
    return None if ranges is None else _finished(found, ranges[0] * found.sign, shift, codes)


def _smallest_shift(found: Constraints, most: int) -> int:
    low, high = 0, most
    while low < high:
        middle = (low + high) // 2
        if found.multipliers(middle) is None:
            low = middle + 1
        else:
            high = middle
    return low


def _shared_multiplier(ranges: tuple[Codes, Codes], sign: Codes) -> int | None:
    """Return the signed multiplier with fewest digits that serves every row."""
    ends = np.sort(np.stack(ranges) * sign, axis=0)
    low, high = int(ends[0].max()), int(ends[1].min())
    if low > high:
        return None
    if low <= 0 <= high:
        return 0
    candidates = np.arange(low, min(high, low + 4096) + 1, dtype=np.int64)
    powers = [s << p for p in range(61) for s in (1, -1) if low <= s << p <= high]
    candidates = np.concatenate([np.array(powers[:1], dtype=np.int64), candidates])
    return int(candidates[np.argmin(count_digits(candidates))])


def _finished(found: Constraints, multiplier: Codes, shift: int, codes: CodeType) -> Requantize:
    """Choose the offsets: one for all rows if possible, round binary numbers in any case."""
    signed = np.broadcast_to(multiplier, found.sign.shape)
    low, high, _ = found.bounds(signed * found.sign, shift)
    if low.max() <= high.min():
        low, high = low.max(keepdims=True), high.min(keepdims=True)
    offset = [_roundest(int(a), int(b)) for a, b in zip(low, high, strict=True)]
    return Requantize(multiplier, np.array(offset), shift, Rounding.TRN, codes)


def _roundest(low: int, high: int) -> int:
    """Return the number in low..high with the most trailing zero bits."""
    if low <= 0 <= high:
        return 0
    for bits in range(61, -1, -1):
        number = -(-low >> bits) << bits
        if number <= high:
            return number
    return low


def symbolic(op: Elementwise, function: FiniteFunction) -> Iterator[Requantize]:
    """Yield the chain's exact line with the quantizer's own rounding, if it is dyadic."""
    quantizer, rows = op.quantizer, len(function.rows)
    lines = affine_lines(op.scale.tolist(), op.steps, rows, through_clips=True)
    if lines is None or function.bipolar:
        return
    scales = np.broadcast_to(quantizer.scale, (rows,)).tolist()
    exact = [
        (slope / type(slope)(scale), offset / type(offset)(scale))
        for (slope, offset), scale in zip(lines, scales, strict=True)
    ]
    denominator = max(number.denominator for line in exact for number in line)
    shift = denominator.bit_length() - 1
    scaled = [[number * denominator for number in line] for line in exact]
    integers = all(number.denominator == 1 for line in scaled for number in line)
    if not integers or denominator != 1 << shift or shift > 40:
        return
    if max(abs(number) for line in scaled for number in line) >= 1 << 48:
        return
    multiplier, offset = (np.array([int(line[k]) for line in scaled]) for k in (0, 1))
    yield Requantize(
        _one_if_equal(multiplier), _one_if_equal(offset), shift, quantizer.rounding, function.codes
    )


def _one_if_equal(values: Codes) -> Codes:
    return values[:1] if (values == values[0]).all() else values
