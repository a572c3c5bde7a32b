"""Canonical signed digits: the shortest way to write an integer as a sum of +-2**p.

Source: Reitwiesner, Binary Arithmetic, 1960; Avizienis, IRE Trans. EC-10, 1961.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def signed_digits(value: int) -> list[tuple[int, bool]]:
    """Return (shift, negative) of each non-zero digit, low shifts first.

    Examples
    --------
    >>> signed_digits(7), signed_digits(-6)
    ([(0, True), (3, False)], [(1, False), (3, True)])
    """
    digits = []
    shift = 0
    while value:
        if value & 1:
            digit = 2 - (value & 3)  # +1 when the two low bits are 01, -1 when they are 11
            digits.append((shift, digit < 0))
            value -= digit
        value >>= 1
        shift += 1
    return digits


def count_digits(values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return how many non-zero signed digits each value has: popcount(v ^ 3v), v >= 0."""
    magnitude = np.abs(values).astype(np.uint64)
    return np.bitwise_count(magnitude ^ (np.uint64(3) * magnitude)).astype(np.int64)


def roundest(low: int, high: int) -> int:
    """Return the number in low..high with the most trailing zero bits: adding it costs least.

    Examples
    --------
    >>> roundest(5, 9), roundest(-3, 7), roundest(-7, -5)
    (8, 0, -6)
    """
    if low <= 0 <= high:
        return 0
    for bits in range(61, -1, -1):
        number = -(-low >> bits) << bits
        if number <= high:
            return number
    return low
