"""What a graph means, proves and costs; small ones by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwgen.adders import Adder, AdderGraph, Output, SolveOptions, solve
from hwgen.adders.graph import with_positive_outputs
from hwgen.errors import AdderGraphError
from hwgen.numeric import CodeType
from tests.adders.matrices import corners, intervals, matrices

BYTE = CodeType(-128, 127)
NIBBLE = CodeType(0, 15)


@pytest.mark.parametrize(
    ("inputs", "adder", "bits"),
    [
        ((BYTE, BYTE), Adder(0, 1, 0), 9),
        ((BYTE, BYTE), Adder(0, 1, 3), 12 - 3),
        ((BYTE, BYTE), Adder(0, 1, 3, negative_b=True), 12 - 3),
        ((BYTE, BYTE), Adder(0, 1, 3, negative_a=True), 12 - 1),
        ((NIBBLE, NIBBLE), Adder(0, 1, 4), 0),
        ((NIBBLE, NIBBLE), Adder(0, 1, 3), 8 - 3),
        ((NIBBLE, NIBBLE), Adder(0, 1, 4, negative_b=True), 9 - 4),
        ((BYTE, CodeType(0, 0)), Adder(0, 1, 0), 0),
    ],
)
def test_bits_of_an_adder(inputs, adder, bits):
    graph = AdderGraph(inputs, (adder,), (Output(2),))
    assert graph.adder_bits() == [bits]


def test_interval_is_that_of_the_form_not_of_the_operands():
    # (x + y) - y is x, though its operands alone would allow more.
    graph = AdderGraph((BYTE, BYTE), (Adder(0, 1, 0), Adder(2, 1, 0, negative_b=True)), ())
    assert graph.intervals[3] == BYTE


def test_negative_output_costs_a_negation():
    plain = AdderGraph((BYTE, BYTE), (Adder(0, 1, 0),), (Output(2),))
    negated = AdderGraph((BYTE, BYTE), (Adder(0, 1, 0),), (Output(2, negative=True),))
    assert negated.cost_bits() == plain.cost_bits() + 9


def test_verify_finds_a_wrong_row():
    graph = AdderGraph((BYTE, BYTE), (Adder(0, 1, 1),), (Output(2), Output(2, 1)))
    graph.verify(np.array([[1, 2], [2, 4]]))
    with pytest.raises(AdderGraphError) as caught:
        graph.verify(np.array([[1, 2], [2, -4]]))
    assert "output 1 computes [2, 4], expected [2, -4]" in str(caught.value)


@pytest.mark.parametrize(
    "adder", [Adder(0, 2, 0), Adder(0, 1, -1), Adder(-1, 1, 0), Adder(0, 1, 0, True, True)]
)
def test_what_is_no_adder(adder):
    with pytest.raises(AdderGraphError):
        AdderGraph((BYTE, BYTE), (adder,), ())


def test_overflow_is_refused():
    doubling = tuple(Adder(k, k, 30) for k in range(3))
    with pytest.raises(AdderGraphError, match="exceeds 61 bits"):
        AdderGraph((BYTE,), doubling, (Output(3),)).matrix()


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.data())
def test_turning_signs_round_changes_no_value(data):
    matrix = data.draw(matrices())
    inputs = data.draw(intervals(matrix.shape[1]))
    graph = solve(matrix, inputs, SolveOptions())
    negated = AdderGraph(
        graph.inputs,
        graph.adders,
        tuple(Output(o.node, o.shift, not o.negative) for o in graph.outputs),
    )
    turned = with_positive_outputs(negated)
    x = corners(inputs)
    assert np.array_equal(turned.evaluate(x), -graph.evaluate(x))
    turned.verify(-matrix)
    assert turned.cost_bits() <= negated.cost_bits()
