"""Products that share a multiplier: each lane of the one result is its product, exactly."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwgen.adders import DSP48E1, DSP48E2, MULT18X18D, SB_MAC16, MultiplierShape
from hwgen.errors import IRError
from hwgen.ir import Same
from hwgen.numeric import CodeType
from hwgen.rtl.dot import kernel_rejects
from hwgen.rtl.dot.packed_products import PackedProducts, Packing

EIGHT, FOUR = CodeType(-128, 127), CodeType(-8, 7)


def lanes_of(packing, weights, x):
    """The products that are cut out of one product of whole numbers."""
    operand = sum(w << k * packing.spacing for k, w in enumerate(weights))
    result = operand * x + packing.bias * packing.ones
    cut = [result >> k * packing.spacing for k in range(packing.lanes)]
    return [(lane & (1 << packing.spacing) - 1) - packing.bias for lane in cut]


@pytest.mark.parametrize(
    ("weights", "inputs", "multiplier", "lanes"),
    [
        (EIGHT, CodeType(0, 255), DSP48E2, 2),
        (EIGHT, EIGHT, DSP48E2, 2),
        (EIGHT, CodeType(0, 255), DSP48E1, 2),
        (EIGHT, EIGHT, MULT18X18D, 1),
        (FOUR, CodeType(0, 15), DSP48E2, 4),
        (FOUR, FOUR, DSP48E2, 4),
        (FOUR, FOUR, DSP48E1, 3),
        (FOUR, FOUR, MULT18X18D, 2),
        (FOUR, FOUR, SB_MAC16, 2),
        (EIGHT, EIGHT, SB_MAC16, 1),
        (CodeType(-128, 127), FOUR, MULT18X18D, 1),
        (CodeType(-2, 1), CodeType.binary(), DSP48E2, 9),
    ],
)
def test_products_of_a_multiplier(weights, inputs, multiplier, lanes):
    unit = PackedProducts(10, 1, inputs, weights, multiplier)
    assert unit.packing.lanes == lanes
    assert unit.packing.is_exact(multiplier)


@pytest.mark.parametrize("inputs", [FOUR, CodeType(0, 15), CodeType(0, 8), CodeType(-5, 2)])
def test_every_pair_of_weights_and_every_input(inputs):
    packing = PackedProducts(10, 1, inputs, FOUR, DSP48E2).packing
    other = [-8, 7, -1, 1][: packing.lanes - 2]
    for x in range(packing.inputs.lo, packing.inputs.hi + 1):
        for a in range(-8, 8):
            for b in range(-8, 8):
                weights = [a, *other, b]
                assert lanes_of(packing, weights, x) == [w * x for w in weights]


INTERVALS = st.tuples(st.integers(-300, 300), st.integers(0, 300))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(INTERVALS, INTERVALS, st.integers(1, 5), st.randoms(use_true_random=False))
def test_extremes_of_any_interval(weights, inputs, lanes, random):
    weights, inputs = (CodeType(low, low + size) for low, size in (weights, inputs))
    packing = Packing.of(weights, inputs, lanes)
    assert packing.is_exact(MultiplierShape("any", 999, 999))
    chosen = [random.choice([weights.lo, weights.hi]) for _ in range(lanes)]
    for x in (inputs.lo, inputs.hi):
        assert lanes_of(packing, chosen, x) == [w * x for w in chosen]


def test_a_lane_too_close_is_not_exact():
    packing = Packing.of(FOUR, FOUR, 3)
    closer = Packing(FOUR, FOUR, 3, packing.spacing - 1, packing.bias)
    assert packing.is_exact(DSP48E2)
    assert not closer.is_exact(DSP48E2)
    assert not Packing(FOUR, FOUR, 3, packing.spacing, 0).is_exact(DSP48E2)


@pytest.mark.parametrize("inputs", [FOUR, CodeType(0, 15)])
def test_stored_fields_are_the_packed_operand(inputs):
    unit = PackedProducts(1, 5, inputs, FOUR, DSP48E2)
    weights = np.random.default_rng(0).integers(-8, 8, (4, 5))
    stored, spacing = unit.fields(weights), unit.packing.spacing
    width = unit.field.width
    for k in range(5):
        numbers = [int(f) - ((int(f) >> width - 1) << width) for f in stored[:, k]]
        whole = (1 << 4 * spacing) - 1
        masked = sum((n & (1 << spacing) - 1) << lane * spacing for lane, n in enumerate(numbers))
        assert masked == sum(int(w) << n * spacing for n, w in enumerate(weights[:, k])) & whole


def test_offset_takes_biases_and_middle_back():
    row = np.array([3, -8, 7])
    unit = PackedProducts(1, 3, CodeType(0, 15), FOUR, DSP48E2)
    assert unit.base == 8
    assert unit.offset(row) == 8 * 2 - 3 * unit.packing.bias
    assert unit.offsets_differ
    plain = PackedProducts(1, 3, FOUR, FOUR, DSP48E2)
    assert plain.offset(row) == -3 * plain.packing.bias
    assert not plain.offsets_differ


def test_what_fits_no_multiplier_says_so():
    with pytest.raises(IRError, match="at most 18 and 18 bits with sign"):
        PackedProducts(1, 1, CodeType(0, 1 << 18), EIGHT, MULT18X18D)


def test_a_factor_wider_than_the_multiplier_is_rejected():
    weights, inputs = Same(np.array([[-(1 << 16), 1]])), CodeType(0, 15)
    assert kernel_rejects("packed_mac", weights, inputs, MULT18X18D) == ""
    reason = "weights are -65536..1, the packed_mac kernel takes 16 bits with sign"
    assert kernel_rejects("packed_mac", weights, inputs, SB_MAC16) == reason
