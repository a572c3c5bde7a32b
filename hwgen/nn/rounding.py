"""Rounding and overflow on tensors: the same functions as `hwgen.numeric`, for torch.

Every value here is an integer held in a float tensor; `tests/nn` compares each mode with
`hwgen.numeric` value by value.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hwgen.numeric import Overflow, Rounding


def round_tensor(x: Tensor, rounding: Rounding) -> Tensor:
    """Round to integers, exactly, in the precision of `x`."""
    direct = {
        Rounding.RND_CONV: torch.round,  # torch rounds ties to even
        Rounding.TRN: torch.floor,
        Rounding.CEIL: torch.ceil,
        Rounding.TRN_ZERO: torch.trunc,
    }
    if rounding in direct:
        return direct[rounding](x)
    whole = torch.trunc(x)
    # x - trunc(x) is representable for every float, so a tie is seen exactly.
    fraction = (x - whole).abs()
    if rounding is Rounding.UP:
        return whole + torch.sign(x) * (fraction > 0)
    tie_goes_away = {
        Rounding.RND: x > 0,
        Rounding.RND_MIN_INF: x < 0,
        Rounding.RND_INF: torch.ones_like(x, dtype=torch.bool),
        Rounding.RND_ZERO: torch.zeros_like(x, dtype=torch.bool),
    }[rounding]
    return whole + torch.sign(x) * ((fraction > 0.5) | ((fraction == 0.5) & tie_goes_away))


def overflow_tensor(codes: Tensor, width: int, signed: bool, overflow: Overflow) -> Tensor:
    """Bring integers held in a float tensor into `width` bits."""
    hi = (1 << (width - 1)) - 1 if signed else (1 << width) - 1
    lo = -hi - 1 if signed else 0
    if overflow is Overflow.SAT:
        return codes.clamp(lo, hi)
    if overflow is Overflow.SAT_SYM:
        return codes.clamp(-hi if signed else 0, hi)
    # The remainder comes first: it is exact for any float, `codes - lo` is not.
    low_bits = torch.remainder(codes, 1 << width)
    return torch.where(low_bits > hi, low_bits - (1 << width), low_bits)
