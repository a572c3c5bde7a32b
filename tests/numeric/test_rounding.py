"""Rounding against QONNX's published table, UG1399's rules and exact fractions."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from qonnx.custom_op.general.intquant import resolve_rounding_mode

from hwgen.errors import NumericError
from hwgen.numeric import Rounding, round_real, round_shift, rounding_from_qonnx

# Columns of the IntQuant page of QONNX's documentation (docs/qonnx-custom-ops/intquant_op.md).
INPUTS = (5.5, 2.5, 1.6, 1.1, 1.0, -1.0, -1.1, -1.6, -2.5, -5.5)
QONNX_TABLE = {
    "ROUND": (6, 2, 2, 1, 1, -1, -1, -2, -2, -6),
    "CEIL": (6, 3, 2, 2, 1, -1, -1, -1, -2, -5),
    "FLOOR": (5, 2, 1, 1, 1, -1, -2, -2, -3, -6),
    "UP": (6, 3, 2, 2, 1, -1, -2, -2, -3, -6),
    "DOWN": (5, 2, 1, 1, 1, -1, -1, -1, -2, -5),
    "HALF_UP": (6, 3, 2, 1, 1, -1, -1, -2, -3, -6),
    "HALF_DOWN": (5, 2, 2, 1, 1, -1, -1, -2, -2, -5),
}


def exact(value: Fraction, mode: Rounding) -> int:
    """Each mode by its definition in words, on exact fractions."""
    floor, ceil = math.floor(value), math.ceil(value)
    zero_side, far_side = (floor, ceil) if value >= 0 else (ceil, floor)
    directed = {
        Rounding.TRN: floor,
        Rounding.CEIL: ceil,
        Rounding.TRN_ZERO: zero_side,
        Rounding.UP: far_side,
    }
    if mode in directed:
        return directed[mode]
    if value - floor != ceil - value:
        return min(floor, ceil, key=lambda whole: abs(value - whole))
    return {
        Rounding.RND: ceil,
        Rounding.RND_MIN_INF: floor,
        Rounding.RND_ZERO: zero_side,
        Rounding.RND_INF: far_side,
        Rounding.RND_CONV: floor if floor % 2 == 0 else ceil,
    }[mode]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", QONNX_TABLE)
def test_qonnx_table(name, dtype):
    rounded = round_real(np.array(INPUTS, dtype=dtype), rounding_from_qonnx(name))
    assert rounded.dtype == dtype
    assert rounded.tolist() == list(QONNX_TABLE[name])


@pytest.mark.parametrize("name", QONNX_TABLE)
def test_qonnx_itself_agrees_with_the_table(name):
    assert resolve_rounding_mode(name)(np.array(INPUTS)).tolist() == list(QONNX_TABLE[name])


@pytest.mark.parametrize("name", QONNX_TABLE)
def test_names_in_any_case(name):
    assert rounding_from_qonnx(name.lower()) is rounding_from_qonnx(name)


def test_half_even_is_round():
    assert rounding_from_qonnx("HALF_EVEN") is rounding_from_qonnx("ROUND") is Rounding.RND_CONV


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(
        NumericError, match=r"'STOCHASTIC' is unknown; QONNX has ROUND, .*HALF_DOWN"
    ):
        rounding_from_qonnx("STOCHASTIC")


# UG1399: ap_fixed<3, 2> of +-1.25, in halves: codes of +-2.5.
UG1399 = {
    Rounding.RND: (3, -2),
    Rounding.RND_ZERO: (2, -2),
    Rounding.RND_MIN_INF: (2, -3),
    Rounding.RND_INF: (3, -3),
    Rounding.RND_CONV: (2, -2),
    Rounding.TRN: (2, -3),
    Rounding.TRN_ZERO: (2, -2),
}


@pytest.mark.parametrize("mode", UG1399)
def test_ug1399_examples(mode):
    assert tuple(round_real(np.array([2.5, -2.5]), mode).tolist()) == UG1399[mode]
    assert tuple(round_shift(np.array([5, -5]), 1, mode).tolist()) == UG1399[mode]


@pytest.mark.parametrize("mode", Rounding)
@given(
    codes=st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=20), shift=st.integers(0, 62)
)
def test_round_shift_is_exact(mode, codes, shift):
    result = round_shift(np.array(codes, dtype=np.int64), shift, mode)
    assert result.dtype == np.int64
    assert result.tolist() == [exact(Fraction(code, 1 << shift), mode) for code in codes]


@pytest.mark.parametrize("mode", Rounding)
def test_round_shift_on_every_small_code(mode):
    codes = np.arange(-64, 65)
    for shift in range(1, 8):
        expected = [exact(Fraction(int(code), 1 << shift), mode) for code in codes]
        assert round_shift(codes, shift, mode).tolist() == expected


@pytest.mark.parametrize("mode", Rounding)
@given(code=st.integers(-(2**30), 2**30), shift=st.integers(0, 32))
def test_negative_shift_multiplies_exactly(mode, code, shift):
    assert round_shift(np.array([code]), -shift, mode).tolist() == [code << shift]


@pytest.mark.parametrize("mode", Rounding)
@given(x=st.floats(-(2.0**60), 2.0**60))
@example(0.49999999999999994)
@example(-0.49999999999999994)
@example(0.5)
@example(-0.5)
@example(1.5)
@example(-1.5)
@example(2.0**52 + 0.5)
@example(-(2.0**51) - 0.5)
@example(2.0**53 - 1)
@example(5e-324)
@example(-5e-324)
@example(-0.0)
def test_round_real_is_exact_on_float64(mode, x):
    assert int(round_real(np.array([x]), mode)[0]) == exact(Fraction(x), mode)


@pytest.mark.parametrize("mode", Rounding)
@given(halves=st.integers(-(2**20), 2**20))
def test_ties(mode, halves):
    assert int(round_real(np.array([halves / 2]), mode)[0]) == exact(Fraction(halves, 2), mode)


@pytest.mark.parametrize("mode", Rounding)
@given(x=st.floats(-(2.0**30), 2.0**30, width=32))
def test_round_real_is_exact_on_float32(mode, x):
    rounded = round_real(np.array([x], dtype=np.float32), mode)
    assert rounded.dtype == np.float32
    assert int(rounded[0]) == exact(Fraction(x), mode)
