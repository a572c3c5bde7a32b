"""`RegisterSlice`: cuts the combinational path of ready; holds one beat; costs no latency.

A beat that arrives while the consumer stalls is caught in a spare register, so `i.ready` is a
register. The spare register is full exactly when `i.ready` is low.
"""

from __future__ import annotations

from amaranth import Module, Mux, Signal

from hwgen.numeric import CodeType
from hwgen.rtl.stream.component import StreamComponent


class RegisterSlice(StreamComponent):
    """Pass beats on with `i.ready` registered."""

    def __init__(self, codes: CodeType, lanes: int) -> None:
        super().__init__(codes, lanes, codes, lanes)

    def elaborate(self, platform: object) -> Module:
        """Build the spare register."""
        m = Module()
        spare_full = Signal()
        spare = Signal.like(self.i.payload.as_value())
        incoming = self.i.payload.as_value()
        m.d.comb += [
            self.i.ready.eq(~spare_full),
            self.o.valid.eq(self.i.valid | spare_full),
            self.o.payload.as_value().eq(Mux(spare_full, spare, incoming)),
        ]
        m.d.sync += spare_full.eq(self.o.valid & ~self.o.ready)
        with m.If(~spare_full):
            m.d.sync += spare.eq(incoming)
        return m
