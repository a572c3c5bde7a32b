"""A fork gives every reader every beat once, whatever their pace."""

from __future__ import annotations

import random

import pytest
from amaranth.sim import Simulator

from hwgen.numeric import CodeType
from hwgen.rtl.stream.fork import Fork

BEATS = list(range(1, 41))


@pytest.mark.parametrize("paces", [(1.0, 1.0), (1.0, 0.2), (0.5, 0.5, 0.1)])
def test_every_reader_gets_every_beat(paces: tuple[float, ...]) -> None:
    fork, chance = Fork(CodeType(0, 63), 1, len(paces)), random.Random(3)
    got: list[list[int]] = [[] for _ in paces]
    sent, cycles = 0, 0

    async def bench(ctx):
        nonlocal sent, cycles
        while min(map(len, got)) < len(BEATS):
            assert cycles < 5000
            offering = sent < len(BEATS)
            ctx.set(fork.i.valid, offering)
            ctx.set(fork.i.payload.as_value(), BEATS[sent] if offering else 0)
            ready = [chance.random() < pace for pace in paces]
            for stream, now in zip(fork.streams_out, ready, strict=True):
                ctx.set(stream.ready, now)
            watched = [(o.valid, o.payload.as_value()) for o in fork.streams_out]
            flat = [signal for pair in watched for signal in pair]
            _, _, taken, *values = await ctx.tick().sample(fork.i.ready, *flat)
            for k, now in enumerate(ready):
                if values[2 * k] and now:
                    got[k].append(int(values[2 * k + 1]))
            sent, cycles = sent + bool(offering and taken), cycles + 1

    simulator = Simulator(fork)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert got == [BEATS] * len(paces)
    if set(paces) == {1.0}:
        assert cycles == len(BEATS)
