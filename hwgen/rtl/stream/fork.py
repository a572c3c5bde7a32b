"""`Fork`: one stream to several readers; each takes a beat when it can, the last releases it."""

from __future__ import annotations

from amaranth import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hwgen.numeric import CodeType
from hwgen.rtl.stream.component import beat_shape


class Fork(wiring.Component):
    """Offer every beat to `readers` streams `o0`, `o1`, ... and remember who has taken it.

    Parameters
    ----------
    codes : type of the codes
    lanes : codes in a beat
    readers : at least 2
    """

    i: stream.Interface

    def __init__(self, codes: CodeType, lanes: int, readers: int) -> None:
        self.readers = readers
        signature = stream.Signature(beat_shape(codes, lanes))
        outputs = {f"o{k}": Out(signature) for k in range(readers)}
        super().__init__({"i": In(signature), **outputs})

    @property
    def streams_out(self) -> tuple[stream.Interface, ...]:
        """The readers' streams."""
        return tuple(getattr(self, f"o{k}") for k in range(self.readers))

    def elaborate(self, platform: object) -> Module:
        """A flag a reader."""
        m = Module()
        served = Signal(self.readers)
        taken = Cat(o.valid & o.ready for o in self.streams_out)
        m.d.comb += self.i.ready.eq((served | taken).all())
        for k, reader in enumerate(self.streams_out):
            m.d.comb += [
                reader.valid.eq(self.i.valid & ~served[k]),
                reader.payload.eq(self.i.payload),
            ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += served.eq(0)
        with m.Else():
            m.d.sync += served.eq(served | taken)
        return m
