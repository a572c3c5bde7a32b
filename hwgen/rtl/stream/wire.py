"""`Wire`: a unit that is nothing but its name."""

from __future__ import annotations

from amaranth import Module
from amaranth.lib.wiring import connect, flipped

from hwgen.numeric import CodeType
from hwgen.rtl.stream.component import StreamComponent


class Wire(StreamComponent):
    """Pass beats on in the same cycle."""

    def __init__(self, codes: CodeType, lanes: int) -> None:
        super().__init__(codes, lanes, codes, lanes)

    def elaborate(self, platform: object) -> Module:
        """Connect the output to the input."""
        m = Module()
        connect(m, flipped(self.i), flipped(self.o))
        return m
