"""Every graph is exact, within its depth, no dearer than plain trees, and the same each time."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwgen.adders import SolveOptions, solve
from hwgen.adders.start import minimum_depth
from hwgen.errors import AdderGraphError
from hwgen.numeric import CodeType
from hwgen.numeric.signed_digits import count_digits
from tests.adders.matrices import corners, intervals, matrices

BYTE = CodeType(-128, 127)
QUICK = settings(max_examples=60, deadline=None, derandomize=True)


def random_matrix(rows, columns, bits, seed=0):
    half = 1 << (bits - 1)
    return np.random.default_rng(seed).integers(-half, half, (rows, columns))


@QUICK
@given(st.data())
def test_exact_by_form_and_by_value(data):
    matrix = data.draw(matrices())
    inputs = data.draw(intervals(matrix.shape[1]))
    operands = data.draw(st.sampled_from([2, 3]))
    graph = solve(matrix, inputs, SolveOptions(effort=0.01, operands=operands))
    assert all(len(adder.operands) <= operands for adder in graph.adders)
    assert np.array_equal(graph.matrix(), matrix)
    x = corners(inputs)
    values = graph.evaluate(x)
    assert np.array_equal(values, x @ matrix.T)
    for codes, form in zip(graph.intervals, graph.forms, strict=True):
        assert codes.contains(x @ form)


@QUICK
@given(st.data())
def test_depth_bound_holds(data):
    matrix = data.draw(matrices())
    operands = data.draw(st.sampled_from([2, 3]))
    bound = minimum_depth(matrix, operands) + data.draw(st.integers(0, 3))
    options = SolveOptions(max_depth=bound, effort=0.01, operands=operands)
    graph = solve(matrix, (BYTE,) * matrix.shape[1], options)
    assert graph.depth() <= bound


@QUICK
@given(matrices(), st.sampled_from([2, 3]))
def test_never_more_adders_than_plain_trees(matrix, operands):
    graph = solve(matrix, (BYTE,) * matrix.shape[1], SolveOptions(operands=operands))
    digits = count_digits(matrix).sum(axis=1)
    additions = np.maximum(digits - 1, 0)
    # With least depth a tree of three may have an adder of two on each of its levels.
    assert len(graph.adders) <= int((-(-additions // (operands - 1))).sum())


@pytest.mark.parametrize("operands", [2, 3])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_more_effort_never_costs_more(bits, operands):
    matrix = random_matrix(10, 12, bits, seed=bits)
    costs = [
        solve(matrix, (BYTE,) * 12, SolveOptions(None, effort, operands=operands)).cost_bits()
        for effort in (0.0, 0.05, 0.2)
    ]
    assert costs == sorted(costs, reverse=True)
    assert costs[-1] < costs[0]


def test_same_seed_same_graph():
    matrix = random_matrix(8, 8, 6)
    options = SolveOptions(effort=0.05, seed=7)
    assert solve(matrix, (BYTE,) * 8, options) == solve(matrix.copy(), (BYTE,) * 8, options)


def test_rows_that_are_alike_share():
    row = random_matrix(1, 12, 8)[0]
    alike = np.stack([row, row, -row, 4 * row])
    graph = solve(alike, (BYTE,) * 12)
    alone = solve(row[np.newaxis], (BYTE,) * 12)
    assert len(graph.adders) == len(alone.adders)


def test_rows_close_to_each_other_are_made_from_each_other():
    row = random_matrix(1, 16, 8)[0]
    close = np.stack([row, row, row])
    close[1, 3] += 1
    close[2] *= -1
    close[2, 5] += 4
    graph = solve(close, (BYTE,) * 16)
    alone = solve(row[np.newaxis], (BYTE,) * 16)
    assert len(graph.adders) <= len(alone.adders) + 2


@pytest.mark.parametrize(
    "row", [[-1, -1, 1], [-4, -2, 1, -1], [-1, 5, -16], [-1, -1, -1, -1, 32], [-128, 64]]
)
def test_output_is_positive_where_a_row_has_a_positive_digit(row):
    graph = solve(np.array([row]), (BYTE,) * len(row))
    assert not graph.outputs[0].negative


@pytest.mark.parametrize(
    ("matrix", "inputs", "depth", "text"),
    [
        (np.ones((2, 3), dtype=np.int64), 2, None, "matrix has shape (2, 3), expected [O, 2]"),
        (np.ones((2, 4), dtype=np.int64), 4, 1, "max_depth is 1, the row with most signed digits"),
        (np.full((1, 2), 1 << 50, dtype=np.int64), 2, None, "expected at most 55"),
    ],
)
def test_what_cannot_be_solved(matrix, inputs, depth, text):
    with pytest.raises(AdderGraphError) as caught:
        solve(matrix, (BYTE,) * inputs, SolveOptions(max_depth=depth))
    assert text in str(caught.value)


def test_three_operands_cost_a_good_part_less_than_two():
    matrix = random_matrix(16, 16, 6)
    two, three = (
        solve(matrix, (BYTE,) * 16, SolveOptions(effort=0.2, operands=operands)).cost_bits()
        for operands in (2, 3)
    )
    assert three < 0.7 * two


def test_search_saves_a_good_part_of_the_greedy_start():
    matrix = random_matrix(16, 16, 6)
    depth = minimum_depth(matrix)
    greedy = solve(matrix, (BYTE,) * 16, SolveOptions(max_depth=depth))
    found = solve(matrix, (BYTE,) * 16, SolveOptions(max_depth=depth, effort=1.0))
    assert found.cost_bits() < 0.96 * greedy.cost_bits()


def test_search_stops_where_nothing_is_left_to_gain():
    matrix = np.array([[3, 5], [5, -3]])
    begin = time.process_time()
    graph = solve(matrix, (BYTE,) * 2, SolveOptions(effort=1e6))
    assert time.process_time() - begin < 60
    assert len(graph.adders) <= 5
