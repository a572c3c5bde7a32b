"""`FrameCounters`: what the AXI4-Lite port tells about the streams.

All counters are cleared by either reset; `registers.py` says what they mean to the host.
"""

from __future__ import annotations

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

# Ports of the counters' values, named as in the register map (64-bit ones without _low/_high).
COUNTERS: dict[str, int] = {
    "frames_in": 32,
    "frames_out": 32,
    "cycles": 64,
    "input_stall_cycles": 64,
    "output_stall_cycles": 64,
    "tlast_errors": 32,
}


class FrameCounters(wiring.Component):
    """Counts frames, cycles, stalls and TLAST errors from one-cycle events."""

    input_beat: Signal
    input_stall: Signal
    output_stall: Signal
    frame_taken: Signal
    frame_begun: Signal
    frame_given: Signal
    tlast_error: Signal
    busy: Signal
    tlast_seen_wrong: Signal
    frames_in: Signal
    frames_out: Signal
    cycles: Signal
    input_stall_cycles: Signal
    output_stall_cycles: Signal
    tlast_errors: Signal

    def __init__(self) -> None:
        events = (
            "input_beat",
            "input_stall",
            "output_stall",
            "frame_taken",
            "frame_begun",
            "frame_given",
            "tlast_error",
        )
        super().__init__(
            {
                **{name: In(1) for name in events},
                "busy": Out(1),
                "tlast_seen_wrong": Out(1),
                **{name: Out(width) for name, width in COUNTERS.items()},
            }
        )

    def elaborate(self, platform: object) -> Module:
        """One counter an event."""
        m = Module()
        m.d.comb += [
            # As many frames given as taken, and none begun: nothing is inside.
            self.busy.eq((self.frames_in != self.frames_out) | self.frame_begun),
            self.tlast_seen_wrong.eq(self.tlast_errors != 0),
        ]
        running = Signal()
        counted_error = Signal()
        m.d.comb += [
            running.eq(self.busy | self.input_beat),
            counted_error.eq(self.tlast_error & ~self.tlast_errors.all()),
        ]
        for counter, event in (
            (self.frames_in, self.frame_taken),
            (self.frames_out, self.frame_given),
            (self.cycles, running),
            (self.input_stall_cycles, self.input_stall),
            (self.output_stall_cycles, self.output_stall),
            (self.tlast_errors, counted_error),
        ):
            with m.If(event):
                m.d.sync += counter.eq(counter + 1)
        return m
