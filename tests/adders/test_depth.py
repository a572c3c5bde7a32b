"""How deep a graph may be: deeper where rows are made from each other, else as deep as a tree."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwgen.adders import AdderGraph, SolveOptions, cached_solve, roomy_depth, worthwhile_depth
from hwgen.adders.depth import LEVEL_PRICE
from hwgen.numeric import CodeType

from .matrices import intervals, matrices

BYTE = CodeType(-128, 127)


def alike(rows, columns, seed):
    """Rows of -1 and +1, each the one before with some of its signs turned."""
    rng = np.random.default_rng(seed)
    row = rng.choice([-1, 1], columns)
    found = []
    for _ in range(rows):
        row = np.where(rng.random(columns) < 0.1, -row, row)
        found.append(row)
    return np.array(found, dtype=np.int64)


def bits(matrix, inputs, depth, operands):
    return cached_solve(matrix, inputs, SolveOptions(depth, operands=operands)).cost_bits()


@pytest.mark.parametrize("operands", [2, 3])
def test_rows_that_resemble_each_other_get_more_levels(operands):
    matrix, inputs = alike(16, 32, seed=0), (BYTE,) * 32
    least = roomy_depth(matrix, operands)
    depth = worthwhile_depth(matrix, inputs, operands, AdderGraph.cost_bits)
    assert depth > least
    deep = cached_solve(matrix, inputs, SolveOptions(depth, operands=operands))
    price = (1 + LEVEL_PRICE) ** (deep.depth() - least)
    assert deep.cost_bits() * price < bits(matrix, inputs, least, operands)


@pytest.mark.parametrize("operands", [2, 3])
@given(st.data())
@settings(max_examples=40)
def test_another_level_is_never_there_for_nothing(operands, data):
    matrix = data.draw(matrices())
    inputs = data.draw(intervals(matrix.shape[1]))
    least = roomy_depth(matrix, operands)
    depth = worthwhile_depth(matrix, inputs, operands, AdderGraph.cost_bits)
    assert least <= depth <= least + 8
    before = bits(matrix, inputs, least, operands)
    assert depth == least or bits(matrix, inputs, depth, operands) < before


def test_a_single_row_is_a_tree():
    matrix = np.array([[1] * 9], dtype=np.int64)
    assert (
        worthwhile_depth(matrix, (BYTE,) * 9, 2, AdderGraph.cost_bits)
        == roomy_depth(matrix, 2)
        == 4
    )


def test_a_price_that_forbids_levels_is_heard():
    matrix, inputs = alike(16, 32, seed=0), (BYTE,) * 32
    assert worthwhile_depth(matrix, inputs, 2, AdderGraph.depth) == roomy_depth(matrix, 2)
