"""Comparing with constants that an index chooses: every number, every constant, few LUTs."""

import numpy as np
import pytest
from amaranth import Module, Signal
from amaranth.sim import Simulator

from hwgen.rtl.table_comparison import MOST_LUTS, reaches, table_comparison_luts


@pytest.mark.parametrize(("width", "count"), [(1, 1), (5, 1), (6, 3), (7, 4), (6, 9), (4, 16)])
@pytest.mark.parametrize("signed", [False, True])
def test_every_number_and_index(width, count, signed):
    lowest = -(1 << (width - 1)) if signed else 0
    rng = np.random.default_rng(0)
    constants = lowest + rng.integers(-2, (1 << width) + 3, count)
    flips = rng.integers(0, 2, count)
    m, number, index = Module(), Signal(width), Signal(range(max(count, 2)))
    answer = Signal()
    m.d.comb += answer.eq(reaches(number, signed, constants, index, flips))

    async def bench(ctx):
        for k, constant in enumerate(constants.tolist()):
            for value in range(lowest, lowest + (1 << width)):
                ctx.set(index, k)
                ctx.set(number, value)
                assert ctx.get(answer) == (value >= constant) ^ flips[k]

    simulator = Simulator(m)
    simulator.add_testbench(bench)
    simulator.run()


def test_cost():
    assert table_comparison_luts(6, 0) == 1
    assert table_comparison_luts(7, 2) == 2
    assert table_comparison_luts(12, 3) == 6
    assert table_comparison_luts(12, 4) is None, f"more than {MOST_LUTS} behind each other"
    assert table_comparison_luts(3, 5) is None, "the index leaves no room"
