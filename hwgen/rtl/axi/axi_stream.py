"""AXI4-Stream in and out: TDATA against beats of codes, TLAST against the frame's length.

TDATA carries the codes of a beat side by side, lane 0 in the low bits; the bits above are ignored
on input and zero on output. Every TLAST taken leads to exactly one frame given:

- early TLAST: the rest of the frame is filled with zero codes (the lowest code where zero is not
  one) while TREADY is low;
- missing TLAST: the frame is complete without it; further beats up to the next TLAST are dropped.

Either counts as one error of the frame.

Source: AMBA 4 AXI4-Stream, ARM IHI 0051A, sections 2.2 and 2.7.
"""

from __future__ import annotations

import numpy as np
from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hwgen.ir import TensorType
from hwgen.numeric import CodeType
from hwgen.rtl.memory import pack
from hwgen.rtl.stream.component import beat_shape

LARGEST_POWER_OF_TWO = 1024


def tdata_bits(payload_bits: int) -> int:
    """Return the width of TDATA: 8, 16, .. 1024, or above it the next multiple of 8.

    Examples
    --------
    >>> tdata_bits(1), tdata_bits(33), tdata_bits(1025)
    (8, 64, 1032)
    """
    if payload_bits > LARGEST_POWER_OF_TWO:
        return -(-payload_bits // 8) * 8
    return max(8, 1 << (payload_bits - 1).bit_length())


class StreamInput(wiring.Component):
    """From `s_axis` to beats of codes; frames leave with their exact length.

    Parameters
    ----------
    frame : type of a frame
    lanes : codes in a beat, a divisor of the frame's size
    """

    tdata: Signal
    tvalid: Signal
    tready: Signal
    tlast: Signal
    o: stream.Interface
    frame_taken: Signal
    frame_begun: Signal
    tlast_error: Signal

    def __init__(self, frame: TensorType, lanes: int) -> None:
        self.codes, self.lanes, self.beats = frame.codes, lanes, frame.size // lanes
        super().__init__(
            {
                "tdata": In(tdata_bits(lanes * frame.codes.width)),
                "tvalid": In(1),
                "tready": Out(1),
                "tlast": In(1),
                "o": Out(stream.Signature(beat_shape(frame.codes, lanes))),
                "frame_taken": Out(1),  # the last beat of a frame goes in now
                "frame_begun": Out(1),  # a frame has some of its beats in
                "tlast_error": Out(1),  # a beat with a wrong TLAST goes in now
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Count beats; fill or drop after a wrong TLAST."""
        m = Module()
        beat = Signal(range(max(self.beats, 2)))
        last_beat = Signal()
        filling = Signal()  # the frame ended early
        dropping = Signal()  # TLAST is overdue
        taken = Signal()
        payload = self.o.payload.as_value()
        m.d.comb += [
            last_beat.eq(beat == self.beats - 1),
            payload.eq(Mux(filling, self._fill_beat(), self.tdata[: len(payload)])),
            self.o.valid.eq(filling | (self.tvalid & ~dropping)),
            self.tready.eq(dropping | (self.o.ready & ~filling)),
            taken.eq(self.tvalid & self.o.ready & ~filling & ~dropping),
            self.tlast_error.eq(taken & (self.tlast ^ last_beat)),
            self.frame_taken.eq(self.o.valid & self.o.ready & last_beat),
            self.frame_begun.eq(beat != 0),
        ]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += beat.eq(Mux(last_beat, 0, beat + 1))
        with m.If(filling):
            m.d.sync += filling.eq(~self.frame_taken)
        with m.Elif(dropping):
            m.d.sync += dropping.eq(~(self.tvalid & self.tlast))
        with m.Elif(self.tlast_error):
            m.d.sync += [filling.eq(self.tlast), dropping.eq(~self.tlast)]
        return m

    def _fill_beat(self) -> Const:
        bits = int(self.codes.to_bits(np.array(fill_code(self.codes))))
        return Const(pack([bits] * self.lanes, self.codes.width), self.lanes * self.codes.width)


def fill_code(codes: CodeType) -> int:
    """Return the code that fills up a frame which ended early."""
    zero_is_code = codes.lo <= 0 <= codes.hi and not codes.bipolar
    return 0 if zero_is_code else codes.lo


class StreamOutput(wiring.Component):
    """From beats of codes to `m_axis`, with TLAST on the last beat of each frame.

    Parameters
    ----------
    frame : type of a frame
    lanes : codes in a beat, a divisor of the frame's size
    """

    i: stream.Interface
    tdata: Signal
    tvalid: Signal
    tready: Signal
    tlast: Signal
    frame_given: Signal

    def __init__(self, frame: TensorType, lanes: int) -> None:
        self.beats = frame.size // lanes
        super().__init__(
            {
                "i": In(stream.Signature(beat_shape(frame.codes, lanes))),
                "tdata": Out(tdata_bits(lanes * frame.codes.width)),
                "tvalid": Out(1),
                "tready": In(1),
                "tlast": Out(1),
                "frame_given": Out(1),  # the last beat of a frame goes out now
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Count beats."""
        m = Module()
        beat = Signal(range(max(self.beats, 2)))
        payload = self.i.payload.as_value()
        padding = Const(0, len(self.tdata) - len(payload))
        m.d.comb += [
            self.tdata.eq(Cat(payload, padding)),
            self.tvalid.eq(self.i.valid),
            self.tlast.eq(beat == self.beats - 1),
            self.i.ready.eq(self.tready),
            self.frame_given.eq(self.tvalid & self.tready & self.tlast),
        ]
        with m.If(self.tvalid & self.tready):
            m.d.sync += beat.eq(Mux(self.tlast, 0, beat + 1))
        return m
