"""A comparison asks no more than it must, and its steps add up to the right answer."""

import numpy as np
import pytest

from hwgen.rtl.heap_comparison import Carry, Count, Reach, comparison, weighted_sums


def answer(bits, heights, threshold, lut_inputs):
    """Whether `bits`, low column first, reach the threshold, by the plan's own steps."""
    plan = comparison(heights, threshold, lut_inputs)
    if plan.constant is not None:
        return plan.constant
    heap, taken = [], list(bits)
    for height in heights:
        heap.append([taken.pop(0) for _ in range(height)])
    for step in plan.steps:
        if isinstance(step, Count):
            low, heap[0] = heap[0][: step.inputs], heap[0][step.inputs :]
            number = sum(low)
        elif isinstance(step, Carry):
            low = [bit for column in heap[: step.columns] for bit in column]
            heap = heap[step.columns :]
            number = int(step.carries()[index_of(low)])
        else:
            assert isinstance(step, Reach)
            rest = [bit for column in heap for bit in column]
            return bool(weighted_sums(step.heights)[index_of(rest)] >= step.threshold)
        for k in range(step.outputs):
            heap += [[]] * (k == len(heap))
            heap[k] = [*heap[k], number >> k & 1]
    raise AssertionError("the steps end without an answer")


def index_of(bits):
    return sum(bit << k for k, bit in enumerate(bits))


@pytest.mark.parametrize("lut_inputs", [4, 6])
@pytest.mark.parametrize("heights", [(1,), (5,), (9,), (0, 3, 2), (7, 7, 1), (31,), (40, 3), (64,)])
def test_every_threshold(heights, lut_inputs):
    rng = np.random.default_rng(0)
    weights = np.repeat([1 << k for k in range(len(heights))], heights)
    frames = rng.random((40, len(weights))) < rng.random((40, 1))
    frames[0], frames[1] = False, True
    for threshold in range(-1, int(weights.sum()) + 3):
        for frame in frames:
            bits = frame.astype(int).tolist()
            reached = bool(frame @ weights >= threshold)
            assert answer(bits, heights, threshold, lut_inputs) == reached


def test_out_of_reach_is_a_constant():
    assert comparison((3,), 0).constant is True
    assert comparison((3,), 4).constant is False


@pytest.mark.parametrize(("height", "luts"), [(6, 1), (31, 23), (63, 55), (127, 117)])
def test_cost(height, luts):
    """A LUT a bit and less; a count alone takes as many as there are bits less its width."""
    assert comparison((height,), height // 2).luts == luts


def test_no_function_is_wider_than_two_luts():
    for step in comparison((64, 3), 40, lut_inputs=4).steps:
        assert (step.inputs if isinstance(step, Count) else sum(step.heights)) <= 5
