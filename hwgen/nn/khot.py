"""K-hot weights: integers that are sums of at most K powers of two.

A product with such a weight is K shifted additions and needs no multiplier. A weight is first
rounded to its w-bit code, then the magnitude m = |code| is replaced by a level of at most K terms,
looked up in a table. The power-of-two scale is learned as in `quantizer.py`, and the gradient is
identity inside the representable range.

Source: Dai et al., QFX, arXiv 2401.17544 (idea; the paper's exact projection is not public, so the
variants are stated here); You et al., ShiftAddLLM, arXiv 2406.05981 (greedy).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch

from hwgen.nn.config import KHotConfig, KHotVariant
from hwgen.nn.quantizer import FixedPointQuantizer


class KHotQuantizer(FixedPointQuantizer):
    """Fixed point whose codes are K-hot."""

    def __init__(self, config: KHotConfig, channels: int | None = None, axis: int = 0) -> None:
        super().__init__(config.fixed_point(), channels, axis)
        self.khot = config
        table = khot_projection(config.bit_width - 1, config.k, config.variant)
        del self.levels  # a plain attribute so far; as a buffer the table follows the device
        self.register_buffer("levels", torch.from_numpy(table.copy()), persistent=False)

    def extra_repr(self) -> str:
        """Return the format for `repr`."""
        return f"{super().extra_repr()}, k={self.khot.k}, {self.khot.variant.value}"


def khot_projection(magnitude_bits: int, k: int, variant: KHotVariant) -> npt.NDArray[np.int64]:
    """Return the table that takes each magnitude 0..2**magnitude_bits - 1 to its K-hot level.

    Levels never leave that interval; of two equally near ones the smaller is taken.

    Examples
    --------
    >>> khot_projection(4, 2, KHotVariant.SIGNED_DIGIT)[[7, 11, 13]]
    array([ 7, 10, 12])
    """
    magnitudes = np.arange(1 << magnitude_bits, dtype=np.int64)
    if variant is KHotVariant.TRUNCATING:
        return np.array([_keep_leading_ones(int(m), k) for m in magnitudes], dtype=np.int64)
    if variant is KHotVariant.GREEDY:
        greedy = np.array([_greedy(int(m), k) for m in magnitudes], dtype=np.int64)
        # Rounding up in the logarithm may step past the largest code; fall back to a level below.
        below: npt.NDArray[np.int64] = np.minimum(greedy, greedy[greedy < magnitudes.size].max())
        return below
    signed = variant is KHotVariant.SIGNED_DIGIT
    levels: npt.NDArray[np.int64] = np.array(
        [m for m in magnitudes if terms_needed(int(m), signed) <= k], dtype=np.int64
    )
    distance = np.abs(magnitudes[:, None] - levels[None, :])
    nearest: npt.NDArray[np.int64] = levels[distance.argmin(axis=1)]
    return nearest


def terms_needed(magnitude: int, signed_digits: bool) -> int:
    """Return the fewest powers of two that sum to `magnitude`, subtraction allowed or not.

    With subtraction this is the weight of the non-adjacent form, popcount(m XOR 3m).
    """
    if signed_digits:
        return (magnitude ^ (3 * magnitude)).bit_count()
    return magnitude.bit_count()


def _keep_leading_ones(magnitude: int, k: int) -> int:
    kept = 0
    for _ in range(k):
        rest = magnitude - kept
        if rest:
            kept += 1 << (rest.bit_length() - 1)
    return kept


def _greedy(magnitude: int, k: int) -> int:
    level = 0
    for _ in range(k):
        rest = magnitude - level
        if rest:
            # No tie exists: log2 of an integer is never a half-integer.
            level += int(math.copysign(1, rest)) * (1 << round(math.log2(abs(rest))))
    return level
