"""`Pooling`: combine the pixels of windows that do not overlap, as they stream by.

A memory of one row of windows holds what has been combined so far, so no line of the image is
ever stored and a beat is taken every cycle.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from amaranth import Module, Mux, Signal, Value
from amaranth.lib.memory import Memory

from hwgen.numeric import CodeType
from hwgen.rtl.spatial.geometry import Axis, Geometry, Mask
from hwgen.rtl.spatial.selection import count_grid, flag_at
from hwgen.rtl.stream.component import StreamComponent

DEPTH = 1  # the output register

# (code of a pixel, what its window has so far) -> combined, in the width of an output code
Combine = Callable[[Value, Value | None], Value]


def axis_flags(axis: Axis) -> tuple[Mask, Mask, Mask]:
    """Return for each position whether it is in a window, and its window's first or last."""
    inside, first, last = (np.zeros(axis.size, dtype=bool) for _ in range(3))
    taps = axis.taps()
    inside[taps[axis.inside()]] = True
    first[axis.ends()[0]] = True
    last[axis.ends()[1]] = True
    return inside, first, last


class Pooling(StreamComponent):
    """One output pixel a window, its channels in `groups` beats.

    Parameters
    ----------
    geometry : windows that do not overlap
    groups : beats of a pixel
    combine : makes the new partial result; its second argument is None at the first pixel
    i_codes, o_codes : types of the streams
    lanes : codes of a pixel in a beat
    pixels : of an input beat; each is a position of the geometry's columns with all its pixels
    members : which of these pixels belong to each window of an output beat
    """

    def __init__(
        self,
        geometry: Geometry,
        groups: int,
        combine: Combine,
        i_codes: CodeType,
        o_codes: CodeType,
        lanes: int,
        pixels: int = 1,
        members: Sequence[Sequence[int]] = ((0,),),
    ) -> None:
        self.geometry, self.groups, self.combine = geometry, groups, combine
        self.lanes, self.members = lanes, members
        super().__init__(i_codes, pixels * lanes, o_codes, len(members) * lanes)

    def elaborate(self, platform: object) -> Module:
        """Count pixels, combine, and give where a window ends."""
        m = Module()
        rows, columns = self.geometry.rows, self.geometry.columns
        advance = Signal()
        take = Signal()
        m.d.comb += [
            advance.eq(~self.o.valid | self.o.ready),
            self.i.ready.eq(advance),
            take.eq(self.i.valid & advance),
        ]
        indices, ends = count_grid(m, (rows.size, columns.size, self.groups), take)
        in_row, first_row, last_row = _flags(m, rows, indices[0], "row")
        in_column, first_column, last_column = _flags(m, columns, indices[1], "column")
        first = Signal()
        last = Signal()
        inside = Signal()
        m.d.comb += [
            first.eq(first_row & first_column),
            inside.eq(in_row & in_column),
            last.eq(inside & last_row & last_column),
        ]
        place = self._place(m, take, in_column & last_column & ends[2], ends[1] & ends[2], indices)
        result = self._combined(m, first, take & inside, place)
        with m.If(advance):
            m.d.sync += self.o.valid.eq(take & last)
        with m.If(take & last):
            m.d.sync += self.o.payload.as_value().eq(result)
        return m

    def _place(
        self, m: Module, take: Signal, window_ends: Value, row_ends: Value, indices: list[Signal]
    ) -> Signal:
        """Return the word of this beat: of its window along the row, and of its group."""
        words = self.geometry.columns.windows * self.groups
        window = Signal(range(max(words, 2)))
        place = Signal(range(max(words, 2)))
        m.d.comb += place.eq(window + indices[2])
        with m.If(take & row_ends):
            m.d.sync += window.eq(0)
        with m.Elif(take & window_ends):
            m.d.sync += window.eq(window + self.groups)
        return place

    def _combined(self, m: Module, first: Signal, write: Value, place: Signal) -> Signal:
        width = self.o_codes.width
        depth = self.geometry.columns.windows * self.groups
        memory: Memory = Memory(shape=width * self.o_lanes, depth=max(depth, 2), init=[])
        m.submodules.partial = memory
        port, read = memory.write_port(), memory.read_port(domain="comb")
        result = Signal(width * self.o_lanes)
        for k in range(self.o_lanes):
            window, channel = divmod(k, self.lanes)
            lane = slice(k * width, (k + 1) * width)
            code, *others = self._codes(self.members[window], channel)
            value: Value = Mux(first, self.combine(code, None), self.combine(code, read.data[lane]))
            for j, other in enumerate(others):
                so_far = Signal(width, name=f"lane{k}_pixels{j + 1}")
                m.d.comb += so_far.eq(value)
                value = self.combine(other, so_far)
            m.d.comb += result[lane].eq(value)
        m.d.comb += [
            read.addr.eq(place),
            port.addr.eq(place),
            port.en.eq(write),
            port.data.eq(result),
        ]
        return result

    def _codes(self, members: Sequence[int], channel: int) -> list[Value]:
        incoming, bits = self.i.payload.as_value(), self.i_codes.width
        lanes = [pixel * self.lanes + channel for pixel in members]
        return [incoming[k * bits : (k + 1) * bits] for k in lanes]


def _flags(m: Module, axis: Axis, index: Signal, name: str) -> list[Value]:
    """Return the flags of position `index`: in a window, its first, its last."""
    words = ("inside", "first", "last")
    return [
        flag_at(m, flags, index, f"{name}_{word}")
        for word, flags in zip(words, axis_flags(axis), strict=True)
    ]
