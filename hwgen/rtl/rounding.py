"""Rounding shift and clip in gates: what `numeric.round_shift` and `np.clip` say, bit for bit."""

from __future__ import annotations

from amaranth import Const, Mux, Signal, Value

from hwgen.numeric import CodeType, Rounding
from hwgen.rtl.adder_tree import extend


def rounded_shift(
    value: Signal, codes: CodeType, result: CodeType, shift: int, rounding: Rounding
) -> Value:
    """Return round(value / 2**shift) in the width of `result`.

    Parameters
    ----------
    value : of type `codes`
    result : interval of the rounded codes
    shift : bits dropped, >= 0
    """
    if shift == 0:
        return extend(value, codes.signed, result.width)
    # All bits may be dropped; the floor is then 0 or -1, a copy of the sign.
    floor: Value = Const(0, 1)
    if shift < len(value):
        floor = value[shift:]
    elif codes.signed:
        floor = value[-1]
    wide = extend(floor, codes.signed, result.width)
    if rounding is Rounding.TRN:
        return wide
    increment = _increment(value, codes, floor[0], shift, rounding)
    return (wide + extend(increment, False, result.width))[: result.width]


def _increment(value: Signal, codes: CodeType, odd: Value, shift: int, rounding: Rounding) -> Value:
    """Copy `numeric.rounding_increment` in gates."""
    negative = value[-1] if codes.signed else Const(0, 1)
    dropped = extend(value, codes.signed, shift)
    half, rest = dropped[-1], dropped[:-1].any() if shift > 1 else Const(0, 1)
    inexact, above, tie = half | rest, half & rest, half & ~rest
    return {
        Rounding.CEIL: inexact,
        Rounding.TRN_ZERO: inexact & negative,
        Rounding.UP: inexact & ~negative,
        Rounding.RND: half,
        Rounding.RND_MIN_INF: above,
        Rounding.RND_INF: above | (tie & ~negative),
        Rounding.RND_ZERO: above | (tie & negative),
        Rounding.RND_CONV: above | (tie & odd),
    }[rounding]


def clipped(value: Signal, codes: CodeType, limits: CodeType, result: CodeType) -> Value:
    """Return `value` clipped to `limits`, in the width of `result`; free where nothing clips."""
    mask = (1 << result.width) - 1
    chosen = extend(value, codes.signed, result.width)
    if codes.hi > limits.hi:
        chosen = Mux(value > limits.hi, Const(limits.hi & mask, result.width), chosen)
    if codes.lo < limits.lo:
        chosen = Mux(value < limits.lo, Const(limits.lo & mask, result.width), chosen)
    return chosen
