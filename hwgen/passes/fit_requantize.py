"""Find the cheapest `clip((a*M + B) >> S)` that equals a finite function, if there is one.

What is feasible at S is feasible at S+1, so the smallest S is found by bisection too. A quantizer
that rounds half to even has no such form; `fit_exact_line.py` tries the chain's own line there.
"""

from __future__ import annotations

import numpy as np

from hwgen.ir import Codes
from hwgen.numeric import CodeType, Rounding
from hwgen.numeric.signed_digits import count_digits, roundest
from hwgen.ops.requantize import Requantize
from hwgen.passes.finite_function import FiniteFunction
from hwgen.passes.requantize_constraints import Constraints, constraints

SHARED_EXTRA_BITS = 4
MAX_STEPS = 1 << 21  # of all rows; beyond, the search would take minutes


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
    offset = [roundest(int(a), int(b)) for a, b in zip(low, high, strict=True)]
    return Requantize(multiplier, np.array(offset), shift, Rounding.TRN, codes)
