"""`Pipeline`: a datapath of fixed depth behind a ready/valid handshake.

The whole pipeline advances together whenever its last register is free or being read, so
`i.ready` depends on `o.ready` in the same cycle; a `RegisterSlice` at the end of a layer cuts
that path.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from amaranth import Cat, Module, Signal, Value

from hwgen.rtl.stream.component import StreamComponent


class Pipeline(StreamComponent):
    """One beat out for each beat in, `depth` cycles later.

    Subclasses give `depth` (at least 1) and `datapath`.
    """

    depth: int

    @abstractmethod
    def datapath(
        self, m: Module, lanes: Sequence[Value], advance: Signal, accept: Value
    ) -> Sequence[Value]:
        """Return the output lanes, `depth` registers after `lanes`.

        Parameters
        ----------
        m : module to add to
        lanes : codes of the input beat
        advance : registers load only while this is high
        accept : high in the cycle in which an input beat is taken
        """

    def elaborate(self, platform: object) -> Module:
        """Connect the datapath to the handshake."""
        m = Module()
        advance = Signal()
        occupied = Signal(self.depth)
        accept = Signal()
        m.d.comb += [
            advance.eq(~self.o.valid | self.o.ready),
            self.i.ready.eq(advance),
            self.o.valid.eq(occupied[-1]),
            accept.eq(self.i.valid & advance),
        ]
        with m.If(advance):
            m.d.sync += occupied.eq(Cat(self.i.valid, occupied)[: self.depth])
        lanes = [self.i.payload[k] for k in range(self.i_lanes)]
        for k, value in enumerate(self.datapath(m, lanes, advance, accept)):
            m.d.comb += self.o.payload[k].eq(value)
        return m
