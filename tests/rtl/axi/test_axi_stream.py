"""Stream adapters: whatever TLAST does, a frame out for each TLAST in, of the exact length."""

import random

import numpy as np
import pytest
from amaranth.sim import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st

from hwgen.ir import TensorType
from hwgen.numeric import CodeType
from hwgen.rtl.axi.axi_stream import StreamInput, StreamOutput, fill_code, tdata_bits
from tests.rtl.axi.drivers import Log, StreamPort, collect_packets, send_packets


@pytest.mark.parametrize(
    ("payload", "width"),
    [(1, 8), (8, 8), (9, 16), (33, 64), (512, 512), (513, 1024), (1024, 1024), (1025, 1032)],
)
def test_tdata_bits(payload, width):
    assert tdata_bits(payload) == width


@pytest.mark.parametrize(
    ("codes", "code"),
    [(CodeType(-3, 4), 0), (CodeType(2, 9), 2), (CodeType(-9, -2), -9), (CodeType.binary(), -1)],
)
def test_fill_code_is_a_code(codes, code):
    assert fill_code(codes) == code


def run_input(adapter, packets, idle, stall, seed, cycles):
    """Return the beats given, the events counted and the log of broken rules."""
    beats, log, events = [], Log(), {"frame_taken": 0, "tlast_error": 0}

    async def sink(ctx):
        chance, waiting = random.Random(seed), None
        payload = adapter.o.payload.as_value()
        for _ in range(cycles):
            ready = chance.random() >= stall
            ctx.set(adapter.o.ready, ready)
            _, _, valid, value, taken, error = await ctx.tick().sample(
                adapter.o.valid, payload, adapter.frame_taken, adapter.tlast_error
            )
            if waiting is not None and (not valid or value != waiting):
                log.violations.append("a stalled beat was withdrawn or changed")
            waiting = value if valid and not ready else None
            if valid and ready:
                beats.append(int(value))
            events["frame_taken"] += taken
            events["tlast_error"] += error

    async def source(ctx):
        await send_packets(ctx, StreamPort.of(adapter), packets, idle, seed, log)

    simulator = Simulator(adapter)
    simulator.add_clock(1e-6)
    simulator.add_testbench(sink)
    simulator.add_testbench(source, background=True)
    simulator.run()
    return beats, events, log


@settings(max_examples=30)
@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=8),
    frame_beats=st.integers(1, 5),
    lanes=st.integers(1, 3),
    codes=st.sampled_from([CodeType(-3, 4), CodeType(0, 1), CodeType(5, 9), CodeType.binary()]),
    idle=st.sampled_from([0.0, 0.5]),
    stall=st.sampled_from([0.0, 0.5]),
    seed=st.integers(0, 1000),
)
def test_frames_from_any_packets(lengths, frame_beats, lanes, codes, idle, stall, seed):
    frame = TensorType((frame_beats * lanes,), codes)
    bits, width = lanes * codes.width, tdata_bits(lanes * codes.width)
    chance = random.Random(seed)
    packets = [[chance.getrandbits(width) for _ in range(length)] for length in lengths]
    fill = int(codes.to_bits(np.array(fill_code(codes))))
    fill_beat = sum(fill << (k * codes.width) for k in range(lanes))
    expected = []
    for packet in packets:
        kept = [word & ((1 << bits) - 1) for word in packet[:frame_beats]]
        expected += kept + [fill_beat] * (frame_beats - len(kept))
    cycles = 10 * (sum(lengths) + frame_beats * len(lengths)) + 60
    beats, events, log = run_input(StreamInput(frame, lanes), packets, idle, stall, seed, cycles)
    assert log.transfers == sum(lengths)
    assert beats == expected
    assert log.violations == []
    assert events["frame_taken"] == len(packets)
    assert events["tlast_error"] == sum(length != frame_beats for length in lengths)


@settings(max_examples=15)
@given(
    frames=st.integers(1, 4),
    frame_beats=st.integers(1, 5),
    stall=st.sampled_from([0.0, 0.5]),
    seed=st.integers(0, 1000),
)
def test_output_marks_the_end_of_each_frame(frames, frame_beats, stall, seed):
    codes, lanes = CodeType(-3, 4), 3
    adapter = StreamOutput(TensorType((frame_beats * lanes,), codes), lanes)
    chance = random.Random(seed)
    beats = [chance.getrandbits(9) for _ in range(frames * frame_beats)]
    log, given_frames = Log(), []

    async def source(ctx):
        for beat in beats:
            ctx.set(adapter.i.valid, 1)
            ctx.set(adapter.i.payload.as_value(), beat)
            ready = 0
            while not ready:
                _, _, ready, given_now = await ctx.tick().sample(
                    adapter.i.ready, adapter.frame_given
                )
                given_frames.append(int(given_now))
        ctx.set(adapter.i.valid, 0)
        await ctx.tick()

    async def sink(ctx):
        await collect_packets(ctx, StreamPort.of(adapter), log, stall, seed)

    simulator = Simulator(adapter)
    simulator.add_clock(1e-6)
    simulator.add_testbench(source)
    simulator.add_testbench(sink, background=True)
    simulator.run()
    assert len(adapter.tdata) == 16
    assert [word for packet in log.packets for word in packet] == beats
    assert {len(packet) for packet in log.packets} == {frame_beats}
    assert log.violations == []
    assert sum(given_frames) == frames
