"""Rows of bits share popcounts, and what is predicted of them is what is planned."""

import numpy as np
import pytest

from hwgen.rtl.binary_rows import BinaryRows
from hwgen.rtl.shared_matches import SharedMatches, similar_columns


def signs(rows, columns, seed=0):
    return np.random.default_rng(seed).choice([-1, 1], (rows, columns))


@pytest.mark.parametrize("lut_inputs", [4, 6])
@pytest.mark.parametrize("columns", [5, 6, 7, 8, 33, 64])
def test_blocks_leave_half_the_bits(columns, lut_inputs):
    shared = SharedMatches(signs(9, columns), np.zeros(9, dtype=bool), lut_inputs)
    assert all(len(block.bits) < lut_inputs for blocks in shared.levels for block in blocks)
    carries = [c for blocks in shared.levels for block in blocks for c in block.carries]
    assert len(carries) == columns // 2
    assert all(len(carry.variants) <= 4 for carry in carries)


def test_opposite_columns_need_one_carry():
    column = signs(8, 1)
    weights = np.concatenate([column, -column, column, column, -column], axis=1)
    (block,) = SharedMatches(weights, np.zeros(8, dtype=bool)).levels[0]
    assert block.luts == 3


def test_similar_columns_come_together():
    weights = np.repeat(signs(16, 4), 3, axis=1)[:, [0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11]]
    order = np.array(similar_columns(weights < 0)) % 4
    assert (order.reshape(4, 3) == order.reshape(4, 3)[:, :1]).all()


def test_few_rows_share_nothing():
    assert BinaryRows(signs(1, 64)).shared is None
    assert BinaryRows(signs(32, 64)).shared is not None


@pytest.mark.parametrize("lut_inputs", [4, 6])
@pytest.mark.parametrize(("rows", "columns"), [(1, 40), (3, 9), (16, 31), (20, 32)])
def test_prediction_is_the_plan(rows, columns, lut_inputs):
    thresholds = np.random.default_rng(1).integers(-6, 7, rows)
    plan = BinaryRows(signs(rows, columns), thresholds, lut_inputs)
    functions, _ = plan.network.count(plan.wanted, plan.network_cycles)
    # A function of one input more than a LUT has counts as two.
    assert functions <= plan.luts() <= functions + 2 * rows


def test_unrolled_layers_beat_the_naive_popcount():
    """64 inputs and 32 rows: 1,572 LUTs by yosys where each row is counted by itself."""
    weights, thresholds = signs(32, 64), np.zeros(32, dtype=np.int64)
    assert BinaryRows(weights).luts() < 1572
    assert BinaryRows(weights, thresholds).luts() < 0.8 * 1572
