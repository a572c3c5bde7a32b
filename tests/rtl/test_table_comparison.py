"""Comparing with constants that an index chooses: every number, every constant, few LUTs."""

import numpy as np
import pytest
from amaranth import Module, Signal
from amaranth.sim import Simulator

from hwgen.rtl.table_comparison import MOST_LUTS, reaches, table_comparison_luts


@pytest.mark.parametrize(("width", "count"), [(1, 1), (5, 1), (6, 3), (7, 4), (6, 9), (4, 16)])
def test_every_number_and_index(width, count):
    constants = np.random.default_rng(0).integers(-2, (1 << width) + 3, count)
    m, number, index = Module(), Signal(width), Signal(range(max(count, 2)))
    answer = Signal()
    m.d.comb += answer.eq(reaches(number, constants, index))

    async def bench(ctx):
        for k, constant in enumerate(constants.tolist()):
            for value in range(1 << width):
                ctx.set(index, k)
                ctx.set(number, value)
                assert ctx.get(answer) == (value >= constant)

    simulator = Simulator(m)
    simulator.add_testbench(bench)
    simulator.run()


def test_cost():
    assert table_comparison_luts(6, 0) == 1
    assert table_comparison_luts(7, 2) == 2
    assert table_comparison_luts(12, 3) == 6
    assert table_comparison_luts(12, 4) is None, f"more than {MOST_LUTS} behind each other"
    assert table_comparison_luts(3, 5) is None, "the index leaves no room"
