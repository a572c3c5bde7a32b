"""What a graph means, proves and costs; small ones by hand."""

import numpy as np
import pytest

from hwgen.adders import Adder, AdderGraph, Output
from hwgen.errors import AdderGraphError
from hwgen.numeric import CodeType

BYTE = CodeType(-128, 127)
NIBBLE = CodeType(0, 15)


@pytest.mark.parametrize(
    ("inputs", "adder", "bits"),
    [
        ((BYTE, BYTE), Adder(0, 1, 0), 9),
        ((BYTE, BYTE), Adder(0, 1, 3), 12 - 3),
        ((BYTE, BYTE), Adder(0, 1, 3, negative_b=True), 12 - 3),
        ((BYTE, BYTE), Adder(0, 1, 3, negative_a=True), 12),
        ((NIBBLE, NIBBLE), Adder(0, 1, 4), 0),
        ((NIBBLE, NIBBLE), Adder(0, 1, 3), 8 - 3),
        ((NIBBLE, NIBBLE), Adder(0, 1, 4, negative_b=True), 9 - 4),
        ((BYTE, CodeType(0, 0)), Adder(0, 1, 0), 0),
        # x0 - x1 * 2 - x2 * 4: two carries in at the place of x1.
        ((BYTE, BYTE, BYTE), Adder(0, 1, 1, False, True, 2, 2, True), 11 - 1),
        ((BYTE, BYTE, BYTE), Adder(0, 1, 1, True, False, 2, 2, True), 11),
        ((BYTE, BYTE, BYTE), Adder(0, 1, 0, c=2), 10),
        ((NIBBLE, NIBBLE, NIBBLE), Adder(0, 1, 4, c=2, shift_c=8), 0),
        # The upper two meet, or the lowest reaches the highest.
        ((NIBBLE, NIBBLE, NIBBLE), Adder(0, 1, 4, c=2, shift_c=6), 11 - 6),
        ((CodeType(0, 127), NIBBLE, NIBBLE), Adder(0, 1, 8, c=2, shift_c=6), 13 - 6),
        ((BYTE, CodeType(0, 0), BYTE), Adder(0, 1, 0, c=2, shift_c=3), 12 - 3),
    ],
)
def test_bits_of_an_adder(inputs, adder, bits):
    graph = AdderGraph(inputs, (adder,), (Output(len(inputs)),))
    assert graph.adder_bits() == [bits]


def test_interval_is_that_of_the_form_not_of_the_operands():
    # (x + y) - y is x, though its operands alone would allow more.
    graph = AdderGraph((BYTE, BYTE), (Adder(0, 1, 0), Adder(2, 1, 0, negative_b=True)), ())
    assert graph.intervals[3] == BYTE


def test_negative_output_costs_a_negation():
    plain = AdderGraph((BYTE, BYTE), (Adder(0, 1, 0),), (Output(2),))
    negated = AdderGraph((BYTE, BYTE), (Adder(0, 1, 0),), (Output(2, negative=True),))
    assert negated.cost_bits() == plain.cost_bits() + 9


def test_three_operands_mean_what_they_say():
    adder = Adder(0, 1, 2, False, True, 2, 1, True)
    graph = AdderGraph((BYTE, BYTE, BYTE), (adder,), (Output(3), Output(3, 1, True)))
    matrix = np.array([[1, -4, -2], [-2, 8, 4]])
    graph.verify(matrix)
    x = np.array([[3, -5, 7], [-128, 127, 0]])
    assert np.array_equal(graph.evaluate(x), x @ matrix.T)
    assert graph.depth() == 1


def test_verify_finds_a_wrong_row():
    graph = AdderGraph((BYTE, BYTE), (Adder(0, 1, 1),), (Output(2), Output(2, 1)))
    graph.verify(np.array([[1, 2], [2, 4]]))
    with pytest.raises(AdderGraphError) as caught:
        graph.verify(np.array([[1, 2], [2, -4]]))
    assert "output 1 computes [2, 4], expected [2, -4]" in str(caught.value)


@pytest.mark.parametrize(
    "adder",
    [
        Adder(0, 2, 0),
        Adder(0, 1, -1),
        Adder(-1, 1, 0),
        Adder(0, 1, 0, True, True),
        Adder(0, 1, 0, c=2),
        Adder(0, 1, 0, True, True, 0, 0, True),
    ],
)
def test_what_is_no_adder(adder):
    with pytest.raises(AdderGraphError):
        AdderGraph((BYTE, BYTE), (adder,), ())


def test_overflow_is_refused():
    doubling = tuple(Adder(k, k, 30) for k in range(3))
    with pytest.raises(AdderGraphError, match="exceeds 61 bits"):
        AdderGraph((BYTE,), doubling, (Output(3),)).matrix()
