"""Intervals of codes: widths against a naive count, stored words there and back, bipolar."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwgen.errors import NumericError
from hwgen.numeric import Bipolar, CodeType

bounds = st.integers(-(2**61), 2**61)
intervals = st.tuples(bounds, bounds).map(lambda pair: CodeType(min(pair), max(pair)))
small = st.tuples(st.integers(-300, 300), st.integers(-300, 300)).map(
    lambda pair: CodeType(min(pair), max(pair))
)


def naive_width(lo: int, hi: int) -> int:
    """The first width whose two's complement (or unsigned, without negatives) range holds both."""
    width = 1
    while not (-(2 ** (width - 1)) <= lo and hi < 2 ** (width - 1) if lo < 0 else hi < 2**width):
        width += 1
    return width


@given(intervals)
def test_width(code_type):
    assert code_type.width == naive_width(code_type.lo, code_type.hi)


def test_width_of_every_small_interval():
    for lo in range(-20, 21):
        for hi in range(lo, 21):
            assert CodeType(lo, hi).width == naive_width(lo, hi)


@given(small)
def test_words_there_and_back(code_type):
    codes = code_type.codes()
    words = code_type.to_bits(codes)
    assert words.min() >= 0
    assert words.max() < 2**code_type.width
    assert len(set(words.tolist())) == code_type.size
    assert code_type.from_bits(words).tolist() == codes.tolist()


@given(intervals)
def test_words_of_the_ends(code_type):
    ends = np.array([code_type.lo, code_type.hi])
    expected = [int(end) % 2**code_type.width for end in ends]
    assert code_type.to_bits(ends).tolist() == expected
    assert code_type.from_bits(code_type.to_bits(ends)).tolist() == ends.tolist()


def test_bipolar():
    binary = CodeType.binary()
    assert (binary.width, binary.size, binary.signed) == (1, 2, False)
    assert binary.codes().tolist() == [-1, 1]
    assert binary.to_bits(np.array([-1, 1])).tolist() == [0, 1]
    assert binary.from_bits(np.array([0, 1])).tolist() == [-1, 1]
    assert str(binary) == "bipolar"


def test_sign_of_zero_is_plus_one():
    assert Bipolar.quantize([-0.0, 0.0, 0, -1e-300, 1e-300]).tolist() == [1, 1, 1, -1, 1]


@given(small, st.lists(st.integers(-400, 400), min_size=1))
def test_contains(code_type, codes):
    expected = all(code_type.lo <= code <= code_type.hi for code in codes)
    assert code_type.contains(np.array(codes)) is expected


def test_bipolar_does_not_contain_zero():
    assert CodeType.binary().contains(np.array([-1, 1, 1]))
    assert not CodeType.binary().contains(np.array([-1, 0, 1]))


@given(st.lists(st.integers(-(2**60), 2**60), min_size=1))
def test_tightest_interval(codes):
    assert CodeType.of(np.array(codes)) == CodeType(min(codes), max(codes))


def test_empty_interval_is_refused():
    with pytest.raises(NumericError, match=r"empty interval 3\.\.2"):
        CodeType(3, 2)


def test_bipolar_with_other_bounds_is_refused():
    with pytest.raises(NumericError, match=r"bipolar means -1 and \+1, got -2\.\.1"):
        CodeType(-2, 1, bipolar=True)
