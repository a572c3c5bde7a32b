"""Drive a stream component in Amaranth's simulator: beats in, beats out, cycles, broken rules."""

from __future__ import annotations

import random
import warnings
from dataclasses import dataclass, field

import numpy as np
from amaranth import Module, Signal
from amaranth.sim import Simulator

from hwgen.ir import Codes
from hwgen.numeric import CodeType
from hwgen.rtl.stream.component import StreamComponent


def to_beats(codes: Codes, kind: CodeType, lanes: int) -> list[int]:
    """Pack codes shaped (frames, ...) into beats, lane 0 in the low bits."""
    words = kind.to_bits(codes.reshape(-1, lanes))
    return [sum(int(w) << (k * kind.width) for k, w in enumerate(row)) for row in words]


def from_beats(beats: list[int], kind: CodeType, lanes: int) -> Codes:
    """Invert `to_beats`, giving a flat array."""
    mask = (1 << kind.width) - 1
    words = [(beat >> (k * kind.width)) & mask for beat in beats for k in range(lanes)]
    return kind.from_bits(np.array(words, dtype=np.int64))


@dataclass
class Run:
    """What a simulation showed."""

    beats: list[int] = field(default_factory=list)
    taken_at: list[int] = field(default_factory=list)
    given_at: list[int] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)


def simulate(
    component: StreamComponent,
    beats: list[int],
    outputs: int,
    idle: float = 0.0,
    stall: float = 0.0,
    seed: int = 0,
    patience: int = 2000,
) -> Run:
    """Send `beats` with probability-`idle` gaps, take `outputs` beats with `stall`.

    Stops early, leaving the run short, when nothing has moved for `patience` cycles. Goes on until
    beats that lead to no output have been taken too.
    """
    chance = random.Random(seed)
    run = Run()
    i, o = component.i, component.o
    i_payload, o_payload = i.payload.as_value(), o.payload.as_value()

    async def bench(ctx):
        sent, offering, cycle, moved = 0, False, 0, 0
        waiting = None
        while (len(run.beats) < outputs or sent < len(beats)) and cycle - moved < patience:
            offering = sent < len(beats) and (offering or chance.random() >= idle)
            ready = chance.random() >= stall
            ctx.set(i.valid, offering)
            ctx.set(i_payload, beats[sent] if offering else chance.getrandbits(len(i_payload)))
            ctx.set(o.ready, ready)
            _, _, i_ready, o_valid, o_value = await ctx.tick().sample(i.ready, o.valid, o_payload)
            if waiting is not None and (not o_valid or o_value != waiting):
                run.violations.append(f"cycle {cycle}: beat withdrawn or changed while stalled")
            waiting = o_value if o_valid and not ready else None
            if offering and i_ready:
                run.taken_at.append(cycle)
                sent, offering, moved = sent + 1, False, cycle
            if o_valid and ready:
                run.given_at.append(cycle)
                run.beats.append(int(o_value))
                moved = cycle
            cycle += 1
        if sent < len(beats):
            run.violations.append(f"{len(beats) - sent} beats were never taken")

    design = Module()
    design.submodules.unit = component
    # A unit that is a wire has no clock of its own.
    clocked = Signal()
    design.d.sync += clocked.eq(~clocked)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        simulator = Simulator(design)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return run
