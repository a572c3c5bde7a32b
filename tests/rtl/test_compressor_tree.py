"""Compressor trees count exactly, for any columns, in the cycles and about the LUTs they say."""

import random

import pytest
from amaranth import Const, Module, Signal
from amaranth.sim import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st

from hwgen.numeric import CodeType
from hwgen.rtl.compressor_tree import (
    Bit,
    Chain,
    compress,
    compression_latency,
    compression_luts,
    compression_plan,
)


def largest(heights):
    return sum(height << k for k, height in enumerate(heights))


def padded(heights):
    """Add columns until the largest sum fits."""
    heights = list(heights)
    while largest(heights) >= 1 << len(heights):
        heights.append(0)
    return tuple(heights)


def sums_of(heights, frames, lut_inputs, inverted=False):
    """Return what the hardware makes of `frames`, an integer a column each."""
    columns = [Signal(height) for height in heights]
    m = Module()
    bits = [[Bit(bit, inverted) for bit in column] for column in columns]
    codes = CodeType(0, max(largest(heights), 1))
    total = compress(m, bits, codes, "t", Const(1, 1), lut_inputs)
    out, clocked = Signal(len(heights)), Signal()
    m.d.comb += out.eq(total.value)
    m.d.sync += clocked.eq(~clocked)
    found = []

    async def bench(ctx):
        for frame in frames:
            for column, value in zip(columns, frame, strict=True):
                if len(column):
                    ctx.set(column, value)
            await ctx.tick().repeat(max(compression_latency(heights, lut_inputs), 1))
            found.append(ctx.get(out))

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return found


@pytest.mark.parametrize("lut_inputs", [4, 6])
@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.lists(st.integers(0, 14), min_size=1, max_size=5).map(padded), st.integers(0, 1 << 20))
def test_sum_is_exact_after_the_latency(lut_inputs, heights, seed):
    chance = random.Random(seed)
    frames = [[chance.getrandbits(h) if h else 0 for h in heights] for _ in range(4)]
    frames += [[0] * len(heights), [(1 << h) - 1 for h in heights]]
    expected = [sum(v.bit_count() << k for k, v in enumerate(frame)) for frame in frames]
    assert sums_of(heights, frames, lut_inputs) == expected


@pytest.mark.parametrize("heights", [(1,), (3,), (13, 2), (6, 7, 8)])
@pytest.mark.parametrize("lut_inputs", [4, 6])
def test_inverted_bits(lut_inputs, heights):
    columns = padded(heights)
    chance = random.Random(1)
    frames = [[chance.getrandbits(h) if h else 0 for h in columns] for _ in range(6)]
    plain = [sum(v.bit_count() << k for k, v in enumerate(frame)) for frame in frames]
    expected = [largest(columns) - total for total in plain]
    assert sums_of(columns, frames, lut_inputs, inverted=True) == expected


@pytest.mark.parametrize("heights", [(64,), (784,), (2, 9, 9), (4, 8, 12, 11, 7, 3), (5, 5, 5)])
def test_prediction_follows_the_plan(heights):
    columns = padded(heights)
    luts = 0
    for operation in (operation for level in compression_plan(columns) for operation in level):
        places = len(operation.columns) if isinstance(operation, Chain) else 3
        luts += min(places, len(columns) - operation.low)
    assert abs(compression_luts(columns) - luts) <= 3


@pytest.mark.parametrize("bits", [32, 128, 784])
def test_four_inputs_take_no_more_registers_than_six(bits):
    heights = padded((bits,))
    assert compression_latency(heights, 4) <= compression_latency(heights, 6)
    # Two for each bit that goes, as full adders alone would take, is the most.
    assert compression_luts(heights, 4) <= 2 * bits
    for level in compression_plan(heights, 4):
        for operation in level:
            assert isinstance(operation, Chain) or operation.inputs == 3


@pytest.mark.parametrize("lut_inputs", [4, 6])
def test_no_chain_stands_between_registers_with_two_others(lut_inputs):
    for heights in ((1024,), (5, 60, 3, 40), (14,) * 8, (2, 3, 99)):
        plan = compression_plan(padded(heights), lut_inputs)
        chains = sum(any(isinstance(part, Chain) for part in level) for level in plan)
        assert compression_latency(padded(heights), lut_inputs) >= chains / 2


@pytest.mark.parametrize("lut_inputs", [4, 6])
def test_one_bit_needs_nothing(lut_inputs):
    assert compression_plan((1, 0, 1), lut_inputs) == ()
    assert compression_luts((1, 0, 1), lut_inputs) == 0
    assert compression_latency((1, 0, 1), lut_inputs) == 0
