"""Casts: the ap_fixed vectors, wrapping of huge values, and quantize against exact fractions."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwgen.errors import NumericError
from hwgen.numeric import FixedPoint, Overflow, Rounding, apply_overflow
from tests.numeric.test_rounding import exact

AP_FIXED_4_2 = FixedPoint(signed=True, width=4, frac=2)


@pytest.mark.parametrize(
    ("x", "rounding", "code"),
    [
        (0.375, Rounding.TRN, 1),
        (0.375, Rounding.RND, 2),
        (0.375, Rounding.RND_CONV, 2),
        (0.375, Rounding.TRN_ZERO, 1),
        (0.375, Rounding.RND_INF, 2),
        (0.375, Rounding.RND_ZERO, 1),
        (0.375, Rounding.RND_MIN_INF, 1),
        (-0.375, Rounding.TRN, -2),
        (-0.375, Rounding.RND, -1),
        (-0.375, Rounding.RND_CONV, -2),
        (-0.375, Rounding.TRN_ZERO, -1),
        (-0.375, Rounding.RND_INF, -2),
        (-0.375, Rounding.RND_ZERO, -1),
        (-0.375, Rounding.RND_MIN_INF, -2),
    ],
)
def test_ap_fixed_rounding(x, rounding, code):
    assert AP_FIXED_4_2.quantize(x, rounding).tolist() == code
    # The same cast from eight fractional bits, in integers.
    wide = np.array(int(x * 256))
    assert AP_FIXED_4_2.cast_codes(wide, 8, rounding, Overflow.SAT).tolist() == code


@pytest.mark.parametrize(
    ("x", "overflow", "code"),
    [
        (1.99, Overflow.SAT, 7),
        (1.99, Overflow.WRAP, -8),
        (-2.2, Overflow.SAT, -8),
        (-2.2, Overflow.WRAP, 7),
        (-2.2, Overflow.SAT_SYM, -7),
        (1.99, Overflow.SAT_SYM, 7),
    ],
)
def test_ap_fixed_overflow(x, overflow, code):
    """Rounding comes first: 1.99 becomes 8, one beyond the largest code."""
    assert AP_FIXED_4_2.quantize(x, Rounding.RND, overflow).tolist() == code


def test_cast_defaults_are_those_of_ap_fixed():
    assert AP_FIXED_4_2.cast_codes(np.array([-1, 127, 128]), 4).tolist() == [-1, -1, 0]


formats = st.builds(
    FixedPoint, signed=st.booleans(), width=st.integers(1, 32), frac=st.integers(-8, 40)
)


def bound(code: int, form: FixedPoint, overflow: Overflow) -> int:
    if overflow is Overflow.WRAP:
        code %= 1 << form.width
        return code - (1 << form.width) if code > form.hi else code
    lowest = -form.hi if overflow is Overflow.SAT_SYM and form.signed else form.lo
    return max(lowest, min(form.hi, code))


@pytest.mark.parametrize("overflow", Overflow)
@given(form=formats, x=st.floats(-1e6, 1e6), rounding=st.sampled_from(Rounding))
def test_quantize_is_exact(form, x, rounding, overflow):
    code = exact(Fraction(x) * Fraction(2) ** form.frac, rounding)
    assert form.quantize(x, rounding, overflow).tolist() == bound(code, form, overflow)


@given(form=formats, x=st.floats(allow_nan=False, allow_infinity=False, min_value=2.0**70))
def test_huge_values(form, x):
    x = min(x, 2.0**900)
    code = int(Fraction(x) * Fraction(2) ** form.frac)
    assert form.quantize([x, -x], Rounding.TRN_ZERO, Overflow.WRAP).tolist() == [
        bound(code, form, Overflow.WRAP),
        bound(-code, form, Overflow.WRAP),
    ]
    assert form.quantize([x, -x]).tolist() == [form.hi, form.lo]


@given(form=formats, rounding=st.sampled_from(Rounding), data=st.data())
def test_every_code_is_a_fixed_point_of_quantize(form, rounding, data):
    code = data.draw(st.integers(form.lo, form.hi))
    assert form.quantize(form.dequantize([code]), rounding).tolist() == [code]


@pytest.mark.parametrize("x", [np.nan, np.inf, -np.inf])
def test_no_code_for_nan_and_infinity(x):
    with pytest.raises(NumericError, match="NaN or infinity"):
        AP_FIXED_4_2.quantize([0.0, x])


@pytest.mark.parametrize("width", [0, -1, 63])
def test_width_limits(width):
    with pytest.raises(NumericError, match=f"width is {width}, expected 1..62"):
        FixedPoint(signed=True, width=width, frac=0)


@given(code=st.integers(-(2**62), 2**62), width=st.integers(1, 62), signed=st.booleans())
def test_wrap_keeps_the_low_bits(code, width, signed):
    wrapped = int(apply_overflow(np.array([code]), width, signed, Overflow.WRAP)[0])
    assert (wrapped - code) % (1 << width) == 0
    form = FixedPoint(signed, width, 0)
    assert form.lo <= wrapped <= form.hi
