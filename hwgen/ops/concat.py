"""Concat: the channels of several streams behind each other, pixel by pixel."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from amaranth import Module, Signal

from hwgen.cost import Resources
from hwgen.ir import Codes, Op, Schedule, TensorType, expect, union
from hwgen.numeric import CodeType
from hwgen.ops.case import Case, Reject
from hwgen.ops.lane_choices import divisors
from hwgen.rtl.counting import following
from hwgen.rtl.spatial.geometry import expect_lanes
from hwgen.rtl.stream.component import StreamComponent

DEPTH = 1


@dataclass(frozen=True, eq=False)
class Concat(Op):
    """Append the channels of each further input to those of the first.

    Parameters
    ----------
    pe : codes a beat of every stream, a divisor of the channels of every input
    """

    # what
    name: ClassVar[str] = "concat"
    pe: int = 1

    def infer(self, *inputs: TensorType) -> TensorType:
        """Channels add up; an input's interval stays that of its channels."""
        expect(len(inputs) >= 2, f"{len(inputs)} input, expected at least 2")
        shapes = [list(x.shape) for x in inputs]
        expect(
            all(shape[:-1] == shapes[0][:-1] for shape in shapes),
            f"shapes {shapes} differ in more than channels",
        )
        expect(
            len({x.codes.bipolar for x in inputs}) == 1,
            "bipolar and other codes together, give all of them the codes -1..1",
        )
        for x in inputs:
            expect_lanes(self.pe, x.channels)
        each = tuple(codes for x in inputs for codes in x.per_channel())
        bipolar = inputs[0].codes.bipolar
        whole = inputs[0].codes if bipolar else union(tuple(x.codes for x in inputs))
        return TensorType((*inputs[0].shape[:-1], len(each)), whole, None if bipolar else each)

    # meaning
    def evaluate(self, *codes: Codes) -> Codes:
        """Return the codes along the last axis."""
        return np.concatenate(codes, axis=-1)

    # promise
    @property
    def lanes(self) -> tuple[int, int]:
        """Codes in a beat of every input, and in an output beat."""
        return self.pe, self.pe

    def schedule(self, *inputs: TensorType) -> Schedule:
        """A beat a cycle, of the input whose turn it is."""
        owner = np.repeat(np.arange(len(inputs)), [x.channels // self.pe for x in inputs])
        owner = np.tile(owner, inputs[0].vectors)
        takes, *joins = (owner == k for k in range(len(inputs)))
        return Schedule(takes, np.ones(len(owner), dtype=bool), DEPTH, tuple(joins))

    def interval_cycles(self, *inputs: TensorType) -> int:
        """A beat a cycle."""
        return sum(x.size for x in inputs) // self.pe

    def foldings(self, *inputs: TensorType) -> tuple[Concat, ...]:
        """Parts of a pixel that divide the channels of every input."""
        common = math.gcd(*(x.channels for x in inputs))
        return tuple(replace(self, pe=pe) for pe in divisors(common))

    def resources(self, *inputs: TensorType) -> Resources:
        """Predict the multiplexer, its counter and the register."""
        out = self.infer(*inputs)
        bits = self.pe * out.codes.width
        counter = (out.channels // self.pe).bit_length()
        return Resources(lut=bits * (len(inputs) // 2) + 2 * counter + 4, ff=bits + counter + 1)

    # hardware
    def hardware(self, *inputs: TensorType) -> StreamComponent:
        """Return the multiplexer."""
        return ConcatUnit(self, inputs)


class ConcatUnit(StreamComponent):
    """Take the beats of one pixel of each input in turn."""

    def __init__(self, op: Concat, inputs: tuple[TensorType, ...]) -> None:
        self.shares = [x.channels // op.pe for x in inputs]
        out = op.infer(*inputs).codes
        first, *further = (x.codes for x in inputs)
        super().__init__(first, op.pe, out, op.pe, [(codes, op.pe) for codes in further])

    def elaborate(self, platform: object) -> Module:
        """Count the beats of a pixel; the count says whose turn it is."""
        m = Module()
        beats = sum(self.shares)
        beat = Signal(range(beats))
        advance, take = Signal(), Signal()
        m.d.comb += advance.eq(~self.o.valid | self.o.ready)
        with m.If(advance):
            m.d.sync += self.o.valid.eq(take)
        with m.If(take & advance):
            m.d.sync += beat.eq(following(beat, beat == beats - 1))
        end = 0
        for k, (source, share) in enumerate(zip(self.streams_in, self.shares, strict=True)):
            begin, end = end, end + share
            turn = Signal(name=f"turn{k}")
            after, before = beat >= begin, beat < end
            is_first, is_last = k == 0, end == beats
            m.d.comb += turn.eq(before if is_first else after if is_last else after & before)
            m.d.comb += source.ready.eq(advance & turn)
            with m.If(turn):
                m.d.comb += take.eq(source.valid)
                with m.If(advance):
                    m.d.sync += [
                        self.o.payload[lane].eq(source.payload[lane])
                        for lane in range(self.o_lanes)
                    ]
        return m


def _cases() -> tuple[Case, ...]:
    def image(channels: int, lo: int, hi: int) -> TensorType:
        return TensorType((2, 3, channels), CodeType(lo, hi))

    bits = TensorType((2, 2, 4), CodeType.binary())
    return (
        *(Case(Concat(pe), (image(4, -8, 7), image(2, -8, 7))) for pe in (1, 2)),
        Case(Concat(2), (image(2, 0, 15), image(4, -3, 1), image(2, 5, 6))),
        Case(Concat(3), (TensorType((3,), CodeType(0, 200)), TensorType((6,), CodeType(-1, 0)))),
        Case(Concat(2), (bits, bits)),
        Case(Concat(4), (image(4, -1, 1), image(4, 0, 1))),
    )


CASES = _cases()
REJECTS = (
    Reject(
        Concat(),
        (TensorType((2, 4), CodeType(0, 1)), TensorType((3, 4), CodeType(0, 1))),
        "shapes [[2, 4], [3, 4]] differ in more than channels",
    ),
    Reject(
        Concat(2),
        (TensorType((4,), CodeType(0, 1)), TensorType((3,), CodeType(0, 1))),
        "pe is 2, expected a divisor of 3 channels",
    ),
    Reject(
        Concat(),
        (TensorType((4,), CodeType(0, 1)), TensorType((4,), CodeType.binary())),
        "bipolar and other codes together, give all of them the codes -1..1",
    ),
)
