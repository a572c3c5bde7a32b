"""`StreamComponent`: the interface of everything data flows through.

Ports `i` and `o` are ready/valid streams; a beat is an array of `lanes` codes, lane 0 in the low
bits. The four rules: a transfer happens when valid and ready are both high at a clock edge; once
valid, valid and payload hold until the transfer; valid never waits for ready; nothing is dropped,
repeated or reordered.

Source: Amaranth RFC 61 (minimal streams); AMBA AXI4-Stream IHI 0051, section 2.2.
"""

from __future__ import annotations

from collections.abc import Sequence

from amaranth import Shape, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hwgen.numeric import CodeType


def code_shape(codes: CodeType) -> Shape:
    """Return the Amaranth shape that stores one code of type `codes`."""
    return signed(codes.width) if codes.signed else unsigned(codes.width)


def beat_shape(codes: CodeType, lanes: int) -> data.ArrayLayout:
    """Return the layout of a beat of `lanes` codes."""
    return data.ArrayLayout(code_shape(codes), lanes)


class StreamComponent(wiring.Component):
    """A component with one stream in, or several that it joins, and one stream out.

    Parameters
    ----------
    i_codes, o_codes : type of the codes on each side
    i_lanes, o_lanes : codes in a beat on each side
    joined : type of the codes and lanes of each further input, ports `i1`, `i2`, ...
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(
        self,
        i_codes: CodeType,
        i_lanes: int,
        o_codes: CodeType,
        o_lanes: int,
        joined: Sequence[tuple[CodeType, int]] = (),
    ) -> None:
        self.i_codes, self.i_lanes = i_codes, i_lanes
        self.o_codes, self.o_lanes = o_codes, o_lanes
        self.joined = tuple(joined)
        members = {"i": In(stream.Signature(beat_shape(i_codes, i_lanes)))}
        for k, (codes, lanes) in enumerate(self.joined, start=1):
            members[f"i{k}"] = In(stream.Signature(beat_shape(codes, lanes)))
        super().__init__({**members, "o": Out(stream.Signature(beat_shape(o_codes, o_lanes)))})

    @property
    def streams_in(self) -> tuple[stream.Interface, ...]:
        """Every input, in the order of the operator's inputs."""
        return (self.i, *(getattr(self, f"i{k}") for k in range(1, len(self.joined) + 1)))
