"""Argmax: the index of the largest code of each vector; of equal ones the lowest index."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from amaranth import Const, Module, Mux, Signal, Value

from hwgen.cost import Resources
from hwgen.ir import Codes, Op, Schedule, TensorType
from hwgen.numeric import CodeType
from hwgen.ops.case import Case, Reject, bipolar_vector, vector
from hwgen.ops.lane_choices import divisors
from hwgen.rtl.adder_tree import tree_latency, tree_levels
from hwgen.rtl.spatial.geometry import expect_lanes
from hwgen.rtl.stream.component import StreamComponent
from hwgen.rtl.vector_beats import vector_flags

LEVELS_PER_STAGE = 2

Contender = tuple[Value, Value]  # a code and its index in the beat


@dataclass(frozen=True, eq=False)
class ArgMax(Op):
    """Turn vectors (..., C) into indices (..., 1).

    Parameters
    ----------
    pe : codes a beat, a divisor of C
    """

    # what
    name: ClassVar[str] = "argmax"
    pe: int = 1

    def infer(self, *inputs: TensorType) -> TensorType:
        """Indices 0..C - 1."""
        (x,) = inputs
        expect_lanes(self.pe, x.channels)
        return TensorType((*x.shape[:-1], 1), CodeType(0, x.channels - 1))

    # meaning
    def evaluate(self, *codes: Codes) -> Codes:
        """Return the index of the first largest code."""
        return np.asarray(np.argmax(codes[0], axis=-1, keepdims=True), dtype=np.int64)

    # promise
    @property
    def lanes(self) -> tuple[int, int]:
        """Codes in an input beat and in an output beat."""
        return self.pe, 1

    @property
    def stages(self) -> int:
        """Registers of the comparison within a beat."""
        return max(tree_latency(self.pe, LEVELS_PER_STAGE), 1)

    def schedule(self, *inputs: TensorType) -> Schedule:
        """A beat a cycle; the last of a vector leads to its index."""
        (x,) = inputs
        groups = x.channels // self.pe
        steps = np.arange(x.size // self.pe)
        every = np.ones(len(steps), dtype=bool)
        return Schedule(every, steps % groups == groups - 1, self.stages + 1)

    def interval_cycles(self, *inputs: TensorType) -> int:
        """A beat a cycle."""
        return inputs[0].size // self.pe

    def foldings(self, *inputs: TensorType) -> tuple[ArgMax, ...]:
        """Parts of a vector, up to the whole."""
        return tuple(replace(self, pe=pe) for pe in divisors(inputs[0].channels))

    def resources(self, *inputs: TensorType) -> Resources:
        """Predict a comparison and a multiplexer for every code of a beat."""
        (x,) = inputs
        bits = x.codes.width + (x.channels - 1).bit_length()
        rest = 18 if x.channels > self.pe else 4
        return Resources(lut=1.4 * bits * (self.pe - 1) + rest, ff=bits * (self.pe / 4 + 2) + 8)

    # hardware
    def hardware(self, *inputs: TensorType) -> StreamComponent:
        """Return the tree of comparisons and the best so far."""
        return ArgMaxUnit(self, inputs[0])


class ArgMaxUnit(StreamComponent):
    """The winner of each beat meets the best of the beats before; only a larger code replaces."""

    def __init__(self, op: ArgMax, x: TensorType) -> None:
        self.op, self.groups = op, x.channels // op.pe
        self.index_bits = max((x.channels - 1).bit_length(), 1)
        super().__init__(x.codes, op.pe, op.infer(x).codes, 1)

    def elaborate(self, platform: object) -> Module:
        """Beat counter, tree, best so far."""
        m = Module()
        advance = Signal()
        take = Signal()
        m.d.comb += [
            advance.eq(~self.o.valid | self.o.ready),
            self.i.ready.eq(advance),
            take.eq(self.i.valid & advance),
        ]
        vector = self.groups, self.op.pe, self.index_bits
        flags = vector_flags(m, take, advance, vector, self.op.stages)
        self._best(m, advance, self._winner(m, advance), flags)
        return m

    def _larger(self, a: Value, b: Value) -> Value:
        if self.i_codes.signed:
            return a.as_signed() > b.as_signed()
        return a > b

    def _winner(self, m: Module, advance: Signal) -> Contender:
        """Return the largest code of the beat and its lane, `stages` cycles later."""
        row: list[Contender] = [
            (
                self.i.payload.as_value()[k * self.i_codes.width :][: self.i_codes.width],
                Const(k, self.index_bits),
            )
            for k in range(self.op.pe)
        ]
        levels = max(tree_levels(self.op.pe), 1)
        for level in range(1, levels + 1):
            registered = level % LEVELS_PER_STAGE == 0 or level == levels
            pairs = [row[k : k + 2] for k in range(0, len(row), 2)]
            row = [
                self._match(m, pair, f"l{level}_{k}", registered, advance)
                for k, pair in enumerate(pairs)
            ]
        return row[0]

    def _match(
        self, m: Module, pair: list[Contender], name: str, registered: bool, advance: Signal
    ) -> Contender:
        code = Signal(self.i_codes.width, name=f"code_{name}")
        index = Signal(self.index_bits, name=f"index_{name}")
        (best, lane), *others = pair
        for other, other_lane in others:
            wins = self._larger(other, best)
            best, lane = Mux(wins, other, best), Mux(wins, other_lane, lane)
        statements = [code.eq(best), index.eq(lane)]
        if registered:
            with m.If(advance):
                m.d.sync += statements
        else:
            m.d.comb += statements
        return code, index

    def _best(self, m: Module, advance: Signal, winner: Contender, flags: Value) -> None:
        code, lane = winner
        valid, first, last, base = flags[0], flags[1], flags[2], flags[3:]
        best = Signal.like(code)
        kept = Signal(self.index_bits)
        index = Signal(self.index_bits)
        m.d.comb += index.eq(base + lane)
        with m.If(advance & valid & (first | self._larger(code, best))):
            m.d.sync += [best.eq(code), kept.eq(index)]
        with m.If(advance):
            m.d.sync += self.o.valid.eq(valid & last)
        m.d.comb += self.o.payload.as_value().eq(kept)


def _cases() -> tuple[Case, ...]:
    return (
        *(Case(ArgMax(pe), (vector(12, -4, 3),)) for pe in (1, 2, 3, 6, 12)),
        Case(ArgMax(5), (vector(10, 0, 900),)),
        Case(ArgMax(2), (TensorType((2, 3, 4), CodeType(-9, -7)),)),
        Case(ArgMax(3), (bipolar_vector(9),)),
        Case(ArgMax(1), (TensorType((4, 1), CodeType(0, 3)),)),
    )


CASES = _cases()
REJECTS = (Reject(ArgMax(4), (vector(10, 0, 3),), "pe is 4, expected a divisor of 10 channels"),)
