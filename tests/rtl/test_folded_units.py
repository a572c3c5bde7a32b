"""Which unit forms a folded layer's sums, and what the units promise of themselves."""

import numpy as np
import pytest

from hwgen.numeric import CodeType
from hwgen.rtl.dot import KERNELS
from hwgen.rtl.dot.distributed import DistributedSum
from hwgen.rtl.dot.kernel import ProductTree
from hwgen.rtl.dot.match_count import BLOCK, MatchCount, block_sizes, carry_counts
from hwgen.rtl.dot.partial_products import PartialProducts

BITS, THREE = CodeType.binary(), CodeType(0, 7)


def kernel(name, low, high, inputs, step=1):
    weights = np.random.default_rng(0).choice(np.arange(low, high + 1, step), (8, 32))
    return KERNELS[name](weights, inputs)


@pytest.mark.parametrize(
    ("name", "low", "high", "step", "inputs", "unit"),
    [
        ("xnor", -1, 1, 2, BITS, MatchCount),
        ("signed_add", -1, 1, 2, THREE, MatchCount),
        ("signed_add", -1, 1, 1, THREE, DistributedSum),
        ("mac", -2, 1, 1, THREE, DistributedSum),
        ("shift_add", -6, 6, 1, CodeType(-8, 7), DistributedSum),
        # A DSP slice is worth more than the LUTs of a wide product.
        ("mac", -2000, 2000, 1, CodeType(0, 255), ProductTree),
    ],
)
def test_unit_for_few_steps(name, low, high, step, inputs, unit):
    assert type(kernel(name, low, high, inputs, step).folded_unit(8, 4)) is unit


def test_small_products_from_a_memory_are_one_heap():
    assert type(kernel("mac", -31, 31, THREE).folded_unit(64, 4)) is PartialProducts


@pytest.mark.parametrize("simd", [1, 2, 3, 6, 34, 35, 36, 71, 784])
def test_carries_and_parities_hold_every_match(simd):
    full, half = carry_counts(simd)
    sizes = block_sizes(simd)
    assert sum(sizes) == simd
    assert max(sizes) <= BLOCK
    # A parity a block, and a carry for every two inputs beyond it.
    assert len(sizes) + 2 * (full + half) == simd + half
    for steps in (2, 16, 100):
        shape = MatchCount(steps, simd, BITS)
        most = sum(height << k for k, height in enumerate(shape.heights))
        assert most >= simd


@pytest.mark.parametrize(("steps", "goal"), [(4, 1.3), (14, 1.5)])
def test_a_match_costs_less_than_a_lut_and_a_half(steps, goal):
    assert MatchCount(steps, 56, BITS).resources(64).lut / (56 * 64) < goal


@pytest.mark.parametrize(("steps", "goal"), [(2, 5), (8, 6), (16, 9)])
def test_a_small_product_costs_a_few_luts(steps, goal):
    unit = DistributedSum(steps, 36, THREE, CodeType(-2, 1))
    assert unit.resources(9).lut / (36 * 9) < goal


def test_offset_is_what_the_tables_leave_out():
    row = np.array([-2, 1, 0, -1])
    signed = DistributedSum(8, 4, CodeType(-4, 3), CodeType(-2, 1))
    # Inputs of -4: every bit counted from the lowest code is 0, so the tables give the sum of the
    # negative weights, seven times over, as nothing at all.
    assert signed.offset(row) == 7 * -3 - 4 * int(row.sum())
    stored = DistributedSum(100, 4, THREE, CodeType(-2, 1))
    assert stored.offset(row) == 7 * -2 * 4
    assert not stored.offsets_differ
    assert MatchCount(8, 4, BITS).offset(np.array([1, -1, -1, 1])) == -4
