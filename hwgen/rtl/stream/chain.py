"""`Chain`: components one behind the other, stream to stream, as one component."""

from __future__ import annotations

from itertools import pairwise

from amaranth import Module
from amaranth.lib.wiring import connect, flipped

from hwgen.rtl.stream.component import StreamComponent


class Chain(StreamComponent):
    """Each of `parts` feeds the next.

    Parameters
    ----------
    parts : by name, at least one, with one input each
    """

    def __init__(self, parts: dict[str, StreamComponent]) -> None:
        self.parts = parts
        first, *_ = parts.values()
        *_, last = parts.values()
        super().__init__(first.i_codes, first.i_lanes, last.o_codes, last.o_lanes)

    def elaborate(self, platform: object) -> Module:
        """Connect them."""
        m = Module()
        for name, part in self.parts.items():
            m.submodules[name] = part
        parts = list(self.parts.values())
        connect(m, flipped(self.i), parts[0].i)
        for before, behind in pairwise(parts):
            connect(m, before.o, behind.i)
        connect(m, parts[-1].o, flipped(self.o))
        return m
