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


class _Source:
    """One input stream and what it still has to send."""

    def __init__(self, i, beats: list[int]) -> None:
        self.i, self.beats, self.sent, self.offering = i, beats, 0, False
        self.payload = i.payload.as_value()

    @property
    def left(self) -> int:
        return len(self.beats) - self.sent

    def offer(self, ctx, chance: random.Random, idle: float) -> None:
        """Go on offering, or begin to; the payload is noise while nothing is offered."""
        self.offering = bool(self.left) and (self.offering or chance.random() >= idle)
        value = self.beats[self.sent] if self.offering else chance.getrandbits(len(self.payload))
        ctx.set(self.i.valid, self.offering)
        ctx.set(self.payload, value)


def simulate(
    component: StreamComponent,
    beats: list[int] | list[list[int]],
    outputs: int,
    idle: float = 0.0,
    stall: float = 0.0,
    seed: int = 0,
    patience: int = 2000,
) -> Run:
    """Send `beats` (a list for each input) with probability-`idle` gaps, take with `stall`.

    Stops when `outputs` beats have come; early, leaving the run short, when nothing has moved for
    `patience` cycles. Goes on until beats that lead to no output have been taken too. `taken_at`
    is of the first input.
    """
    chance = random.Random(seed)
    run = Run()
    feeds = beats if beats and isinstance(beats[0], list) else [beats]
    sources = [_Source(i, feed) for i, feed in zip(component.streams_in, feeds, strict=True)]
    o, o_payload = component.o, component.o.payload.as_value()

    async def bench(ctx):
        cycle, moved = 0, 0
        waiting = None
        while (
            len(run.beats) < outputs or any(s.left for s in sources)
        ) and cycle - moved < patience:
            for source in sources:
                source.offer(ctx, chance, idle)
            ready = chance.random() >= stall
            ctx.set(o.ready, ready)
            readies = [s.i.ready for s in sources]
            _, _, *taken, o_valid, o_value = await ctx.tick().sample(*readies, o.valid, o_payload)
            if waiting is not None and (not o_valid or o_value != waiting):
                run.violations.append(f"cycle {cycle}: beat withdrawn or changed while stalled")
            waiting = o_value if o_valid and not ready else None
            for source, i_ready in zip(sources, taken, strict=True):
                if source.offering and i_ready:
                    if source is sources[0]:
                        run.taken_at.append(cycle)
                    source.sent, source.offering, moved = source.sent + 1, False, cycle
            if o_valid and ready:
                run.given_at.append(cycle)
                run.beats.append(int(o_value))
                moved = cycle
            cycle += 1
        for source in sources:
            if source.left:
                run.violations.append(f"{source.left} beats were never taken")

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
