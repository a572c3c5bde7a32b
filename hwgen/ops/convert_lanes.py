"""Lane converter: the same codes in wider or narrower beats.

Narrow to wide collects beats; wide to narrow hands one out piece by piece. One width must divide
the other; the mapping chains two converters where neither does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from amaranth import Cat, Module, Mux, Signal

from hwgen.cost import Resources
from hwgen.ir import Codes, Op, Schedule, TensorType, expect
from hwgen.numeric import CodeType
from hwgen.ops.case import Case, Reject, bipolar_vector, vector
from hwgen.rtl.stream.component import StreamComponent


@dataclass(frozen=True, eq=False)
class ConvertLanes(Op):
    """Change how many codes a beat carries.

    Parameters
    ----------
    i_lanes, o_lanes : codes in an input and an output beat; one divides the other, both divide
        the channels
    """

    # what
    name: ClassVar[str] = "convert_lanes"
    i_lanes: int
    o_lanes: int

    def infer(self, *inputs: TensorType) -> TensorType:
        """Nothing changes but the beats."""
        (x,) = inputs
        small, large = sorted(self.lanes)
        expect(small > 0 and large % small == 0, f"{small} lanes do not divide {large} lanes")
        expect(x.size % large == 0, f"{large} lanes do not divide the frame of {x.size} codes")
        return x

    # meaning
    def evaluate(self, *codes: Codes) -> Codes:
        """Return the codes."""
        return codes[0]

    # promise
    @property
    def lanes(self) -> tuple[int, int]:
        """Codes in an input beat and in an output beat."""
        return self.i_lanes, self.o_lanes

    def schedule(self, *inputs: TensorType) -> Schedule:
        """A narrow beat a cycle; wide ones follow the last, or come with the first, of theirs."""
        small, large = sorted(self.lanes)
        steps, ratio = np.arange(inputs[0].size // small), large // small
        every = np.ones(len(steps), dtype=bool)
        if self.i_lanes <= self.o_lanes:
            return Schedule(every, steps % ratio == ratio - 1, 1)
        return Schedule(steps % ratio == 0, every, 1)

    def resources(self, *inputs: TensorType) -> Resources:
        """Predict the register of a wide beat and, when narrowing, its multiplexer."""
        bits = max(self.lanes) * inputs[0].codes.width
        muxes = bits if self.i_lanes > self.o_lanes else 0
        return Resources(lut=4 + muxes, ff=bits + 4)

    # hardware
    def hardware(self, *inputs: TensorType) -> StreamComponent:
        """Return the widening or the narrowing converter."""
        codes = inputs[0].codes
        if self.i_lanes <= self.o_lanes:
            return Widen(codes, self.i_lanes, self.o_lanes)
        return Narrow(codes, self.i_lanes, self.o_lanes)


class Widen(StreamComponent):
    """Shift narrow beats in from the top; the first ends in the low lanes."""

    def __init__(self, codes: CodeType, i_lanes: int, o_lanes: int) -> None:
        self.ratio = o_lanes // i_lanes
        super().__init__(codes, i_lanes, codes, o_lanes)

    def elaborate(self, platform: object) -> Module:
        """Accept while the wide beat is incomplete or leaves now."""
        m = Module()
        wide = Signal(len(self.o.payload.as_value()))
        filled = Signal(range(self.ratio + 1))
        m.d.comb += [
            self.o.valid.eq(filled == self.ratio),
            self.o.payload.as_value().eq(wide),
            self.i.ready.eq(~self.o.valid | self.o.ready),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += wide.eq(Cat(wide, self.i.payload.as_value())[-len(wide) :])
            m.d.sync += filled.eq(Mux(self.o.valid, 1, filled + 1))
        with m.Elif(self.o.valid & self.o.ready):
            m.d.sync += filled.eq(0)
        return m


class Narrow(StreamComponent):
    """Keep the wide beat and shift it out, low lanes first."""

    def __init__(self, codes: CodeType, i_lanes: int, o_lanes: int) -> None:
        self.ratio = i_lanes // o_lanes
        super().__init__(codes, i_lanes, codes, o_lanes)

    def elaborate(self, platform: object) -> Module:
        """Accept when empty or when the last piece leaves."""
        m = Module()
        wide = Signal(len(self.i.payload.as_value()))
        left = Signal(range(self.ratio + 1))
        piece = len(self.o.payload.as_value())
        m.d.comb += [
            self.o.valid.eq(left != 0),
            self.o.payload.as_value().eq(wide[:piece]),
            self.i.ready.eq((left == 0) | ((left == 1) & self.o.ready)),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [wide.eq(self.i.payload.as_value()), left.eq(self.ratio)]
        with m.Elif(self.o.valid & self.o.ready):
            m.d.sync += [wide.eq(wide[piece:]), left.eq(left - 1)]
        return m


CASES = (
    *(
        Case(ConvertLanes(a, b), (vector(12, -5, 6),))
        for a, b in ((1, 12), (12, 1), (2, 6), (6, 2), (3, 3), (4, 12), (1, 1))
    ),
    Case(ConvertLanes(2, 8), (bipolar_vector(8),)),
    Case(ConvertLanes(4, 2), (TensorType((3, 4), CodeType(0, 9)),)),
)
REJECTS = (
    Reject(ConvertLanes(2, 3), (vector(12, 0, 1),), "2 lanes do not divide 3 lanes"),
    Reject(ConvertLanes(5, 5), (vector(12, 0, 1),), "5 lanes do not divide the frame of 12 codes"),
)
