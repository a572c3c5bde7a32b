"""`LineBuffer`: the pixels that windows still need, in one memory written round and round.

Follows a `WindowPlan` with counters. The pixel p of a frame lies at beat address p * groups modulo
the memory's depth, so the address of a tap is a running sum of constants; where a tap falls into
the padding, the address is that of some other pixel and the code read there is not used.

Source: Umuroglu et al., FINN, FPGA 2017, section 4.2.3 (sliding window unit).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from amaranth import Const, Module, Mux, Signal, Value
from amaranth.lib.memory import Memory

from hwgen.numeric import CodeType
from hwgen.rtl.adder_tree import extend
from hwgen.rtl.spatial.geometry import Axis
from hwgen.rtl.spatial.window_plan import WindowPlan
from hwgen.rtl.stream.component import StreamComponent

DEPTH = 1  # the memory's output register


class LineBuffer(StreamComponent):
    """Give the windows of each frame, tap after tap, a tap in `plan.groups` beats.

    Parameters
    ----------
    plan : the program
    i_codes, o_codes : type of a pixel's codes, and with the padding
    pad_code : what a tap outside the image gives
    lanes : codes a beat
    """

    def __init__(
        self, plan: WindowPlan, i_codes: CodeType, o_codes: CodeType, pad_code: int, lanes: int
    ) -> None:
        self.plan, self.pad_code = plan, pad_code
        self.depth_beats = plan.depth_pixels * plan.groups
        super().__init__(i_codes, lanes, o_codes, lanes)

    def elaborate(self, platform: object) -> Module:
        """Sequencer, tap addresses, memory."""
        m = Module()
        self.advance = Signal()
        self.step = Signal()
        self.taking = Signal()
        self.giving = Signal()
        self.last_tap = Signal()
        self.last_column = Signal()
        self.last_row = Signal()
        self.frame_ends = Signal()
        m.d.comb += [
            self.advance.eq(~self.o.valid | self.o.ready),
            self.i.ready.eq(self.advance & self.taking),
            self.step.eq(self.advance & (self.i.valid | ~self.taking)),
        ]
        self._segments(m)
        address, padded = self._taps(m)
        self._memory(m, address, padded)
        with m.If(self.advance):
            m.d.sync += self.o.valid.eq(self.step & self.giving)
        return m

    def _segments(self, m: Module) -> None:
        """Count pixels to take and windows given; phase 0 is the head, then rows of windows."""
        geometry, groups = self.plan.geometry, self.plan.groups
        shares = [n * groups for n in (self.plan.head_pixels, *self.plan.row_pixels)]
        burst_beats = self.plan.burst * groups
        phase = Signal(range(len(shares)))
        column = Signal(range(max(geometry.columns.windows, 2)))
        left = Signal(range(max(shares) + 1), init=shares[0])
        burst = Signal(range(burst_beats + 1))
        given = Signal(init=1)
        unlimited = Signal()
        takes_end = Signal()
        gives_end = Signal()
        segment_ends = Signal()
        m.d.comb += [
            self.last_column.eq(column == geometry.columns.windows - 1),
            self.last_row.eq(phase == len(shares) - 1),
            unlimited.eq((phase == 0) | self.last_column),
            self.taking.eq((left != 0) & (unlimited | (burst != 0))),
            self.giving.eq(~given),
            takes_end.eq(~self.taking | (left == 1) | (~unlimited & (burst == 1))),
            gives_end.eq(given | self.last_tap),
            segment_ends.eq(self.step & takes_end & gives_end),
            self.frame_ends.eq(segment_ends & self.last_row & self.last_column),
        ]
        with m.If(self.step & self.taking):
            m.d.sync += [left.eq(left - 1), burst.eq(Mux(unlimited, burst, burst - 1))]
        with m.If(self.step & self.giving & self.last_tap):
            m.d.sync += given.eq(1)
        with m.If(segment_ends):
            m.d.sync += [given.eq(self.frame_ends), burst.eq(burst_beats), column.eq(column + 1)]
            with m.If(unlimited):
                m.d.sync += [column.eq(0), phase.eq(Mux(self.last_row, 0, phase + 1))]
                _load_next(m, left, phase, shares)

    def _taps(self, m: Module) -> tuple[Signal, Value]:
        """Return the address of the tap to give, and whether it lies in the padding."""
        rows, columns = self.plan.geometry.rows, self.plan.geometry.columns
        groups = self.plan.groups
        group = Signal(range(max(groups, 2)))
        tap_column = _count(columns, "tap_column")
        tap_row = _count(rows, "tap_row")
        last_group = Signal()
        last_tap_column = Signal()
        m.d.comb += [
            last_group.eq(group == groups - 1),
            last_tap_column.eq(last_group & (tap_column == columns.kernel - 1)),
            self.last_tap.eq(last_tap_column & (tap_row == rows.kernel - 1)),
        ]
        give = Signal()
        m.d.comb += give.eq(self.step & self.giving)
        with m.If(give):
            m.d.sync += group.eq(Mux(last_group, 0, group + 1))
            with m.If(last_group):
                m.d.sync += tap_column.eq(Mux(last_tap_column, 0, tap_column + 1))
            with m.If(last_tap_column):
                m.d.sync += tap_row.eq(Mux(self.last_tap, 0, tap_row + 1))
        address = self._address(m, give, last_group, last_tap_column)
        padded_column = self._outside(
            m, columns, "column", give & last_group, last_tap_column, self.last_column
        )
        padded_row = self._outside(
            m, rows, "row", give & last_tap_column, self.last_tap, self.last_row, self.last_column
        )
        return address, padded_column | padded_row

    def _address(
        self, m: Module, give: Signal, last_group: Signal, last_tap_column: Signal
    ) -> Signal:
        """Return the running address; the next window's and row's starts are kept beside it."""
        rows, columns, groups = (
            self.plan.geometry.rows,
            self.plan.geometry.columns,
            self.plan.groups,
        )
        depth = self.depth_beats
        line = columns.size * groups
        first = -(rows.before * line + columns.before * groups) % depth
        to_column = columns.dilation * groups - (groups - 1)
        to_row = rows.dilation * line - (columns.reach - 1) * groups - (groups - 1)
        shape = range(max(depth, 2))
        address, window, row = (
            Signal(shape, init=first, name=name) for name in ("address", "window", "row_start")
        )
        jumps = ((last_tap_column, to_row), (last_group, to_column), (Const(1, 1), 1))
        skips = ((self.last_column, rows.stride * line), (Const(1, 1), columns.stride * groups))
        follow = _add_modulo(m, address, jumps, depth, "follow")
        start = Mux(self.last_column, row, window)
        next_start = Signal(shape)
        m.d.comb += next_start.eq(_add_modulo(m, start, skips, depth, "start"))
        with m.If(self.last_column & self.last_row):
            m.d.comb += next_start.eq(first)
        with m.If(give):
            m.d.sync += address.eq(Mux(self.last_tap, next_start, follow))
            with m.If(self.last_tap):
                m.d.sync += window.eq(next_start)
                with m.If(self.last_column):
                    m.d.sync += row.eq(next_start)
        return address

    def _outside(
        self,
        m: Module,
        axis: Axis,
        name: str,
        tap_ends: Value,
        taps_end: Value,
        last_window: Value,
        window_ends: Value | int = 1,
    ) -> Value:
        """Return whether the tap lies outside along `axis`; positions count the padding too.

        Parameters
        ----------
        tap_ends : the next tap is further along the axis, or the first again when `taps_end`
        last_window, window_ends : at the window's last tap: go back to the first window; go on
        """
        if axis.inside().all():
            return Const(0, 1)
        room = axis.before + axis.size + axis.after
        # The last step of each counter may lead beyond the room; it is not used then.
        shape = range(room + max(axis.stride, axis.dilation))
        position = Signal(shape, name=f"{name}_tap")
        start = Signal(shape, name=f"{name}_window")
        width = len(position)
        following = Signal(width, name=f"{name}_following")
        moved = Mux(last_window, 0, (start + axis.stride)[:width])
        m.d.comb += following.eq(Mux(window_ends, moved, start))
        with m.If(tap_ends):
            m.d.sync += position.eq(Mux(taps_end, start, (position + axis.dilation)[:width]))
            with m.If(self.last_tap):
                m.d.sync += [position.eq(following), start.eq(following)]
        outside: Value = Const(0, 1)
        if axis.before:
            outside = outside | (position < axis.before)
        if axis.after:
            outside = outside | (position >= axis.before + axis.size)
        return outside

    def _memory(self, m: Module, address: Signal, padded: Value) -> None:
        """Write what is taken, read what is given."""
        incoming = self.i.payload.as_value()
        memory: Memory = Memory(shape=len(incoming), depth=max(self.depth_beats, 2), init=[])
        m.submodules.lines = memory
        write, read = memory.write_port(), memory.read_port()
        place = Signal(range(max(self.depth_beats, 2)))
        take = Signal()
        m.d.comb += [
            take.eq(self.step & self.taking),
            write.addr.eq(place),
            write.data.eq(incoming),
            write.en.eq(take),
            read.addr.eq(address),
            read.en.eq(self.step & self.giving),
        ]
        with m.If(self.frame_ends):
            m.d.sync += place.eq(0)
        with m.Elif(take):
            m.d.sync += place.eq(Mux(place == self.depth_beats - 1, 0, place + 1))
        padding = Signal()
        with m.If(self.advance):
            m.d.sync += padding.eq(padded)
        bits, width = self.i_codes.width, self.o_codes.width
        pad = Const(int(self.pad_code) & ((1 << width) - 1), width)
        if self.o_codes.bipolar:
            pad = Const(int(self.pad_code > 0), 1)
        for k in range(self.i_lanes):
            code = extend(read.data[k * bits : (k + 1) * bits], self.i_codes.signed, width)
            m.d.comb += self.o.payload[k].eq(Mux(padding, pad, code))


def _count(axis: Axis, name: str) -> Signal:
    return Signal(range(max(axis.kernel, 2)), name=name)


def _add_modulo(
    m: Module, a: Value, choices: Sequence[tuple[Value, int]], modulus: int, name: str
) -> Value:
    """Return (a + the number of the first choice that holds) % modulus, for a < modulus.

    Both a + b and a + b - modulus are computed, side by side; the sign of the second chooses.
    """
    width = len(a)
    below, above = (Signal(width + 1, name=f"{name}_{side}") for side in ("below", "above"))
    for total, offset in ((below, 0), (above, -modulus)):
        number: Value = Const(0, width + 1)
        for condition, value in reversed(choices):
            word = (value % modulus + offset) & ((2 << width) - 1)
            number = Mux(condition, Const(word, width + 1), number)
        m.d.comb += total.eq((extend(a, False, width + 1) + number)[: width + 1])
    return Mux(above[-1], below[:width], above[:width])


def _load_next(m: Module, left: Signal, phase: Signal, shares: list[int]) -> None:
    """Set `left` to the share of the phase after `phase`; most rows share one value."""
    following = [*shares[1:], shares[0]]
    common = Counter(following).most_common(1)[0][0]
    with m.Switch(phase):
        for k, share in enumerate(following):
            if share != common:
                with m.Case(k):
                    m.d.sync += left.eq(share)
        with m.Default():
            m.d.sync += left.eq(common)
