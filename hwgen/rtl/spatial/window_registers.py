"""`WindowRegisters`: an image shifts through, and whole windows stand in registers.

The rows above the newest pixel come out of one memory, whose word holds a beat of each of them:
read, moved up by a row and written back. So a window costs a cycle, or, where it leaves in parts,
a cycle a part; `LineBuffer` needs less room and gives a tap a cycle.

Source: Bailey, Design for Embedded Image Processing on FPGAs, Wiley 2011, chapter 8 (row buffers).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.memory import Memory

from hwgen.ir import TensorType
from hwgen.numeric import CodeType
from hwgen.rtl.adder_tree import extend
from hwgen.rtl.counting import following
from hwgen.rtl.spatial.scan_plan import ScanPlan
from hwgen.rtl.spatial.selection import count_grid, flag_at
from hwgen.rtl.stream.component import StreamComponent

DEPTH = 1  # the registers that the image shifts through


class WindowRegisters(StreamComponent):
    """Give the windows of each frame, `plan.windows` together, in `plan.beats` beats.

    Parameters
    ----------
    plan : the program
    x : the image
    o_codes : type of its codes with the padding
    pad_code : what a tap outside the image gives
    """

    def __init__(self, plan: ScanPlan, x: TensorType, o_codes: CodeType, pad_code: int) -> None:
        self.plan, self.channels, self.pad_code = plan, x.channels, pad_code
        self.taps = plan.geometry.taps // plan.beats
        o_lanes = plan.windows * self.taps * x.channels
        super().__init__(x.codes, plan.pixels * x.channels, o_codes, o_lanes)

    def elaborate(self, platform: object) -> Module:
        """Sequencer, row delays, registers, padding."""
        m = Module()
        self.shift = Signal()
        advance = Signal()
        step = Signal()
        taking = Signal()
        giving = Signal()
        # Constants where a window is one beat.
        first_part = Signal(init=1)
        last_part = Signal(init=1)
        m.d.comb += [
            advance.eq(~self.o.valid | self.o.ready),
            self.i.ready.eq(advance & taking & first_part),
            step.eq(advance & (self.i.valid | ~(taking & first_part))),
            self.shift.eq(step & first_part),
        ]
        row, column = self._count(m, step & last_part, taking, giving)
        shown = Signal(range(max(self.plan.beats, 2)))
        if self.plan.beats > 1:
            part = Signal.like(shown)
            m.d.comb += [
                first_part.eq(part == 0),
                last_part.eq(~giving | (part == self.plan.beats - 1)),
            ]
            with m.If(step):
                m.d.sync += [shown.eq(part), part.eq(following(part, last_part))]
        with m.If(advance):
            m.d.sync += self.o.valid.eq(step & giving)
        self._show(m, shown, self._registers(m), self._padding(m, row, column))
        return m

    def _count(
        self, m: Module, next_shift: Value, taking: Signal, giving: Signal
    ) -> tuple[Signal, Signal]:
        """Count shifts, and the rows and columns of windows from the head's end on."""
        plan = self.plan
        shift = Signal(range(max(plan.shifts, 2)), name="shift_index")
        frame_ends = Signal()
        begun = Signal()
        m.d.comb += [
            frame_ends.eq(shift == plan.shifts - 1),
            begun.eq(shift >= plan.head if plan.head else 1),
        ]
        with m.If(next_shift):
            m.d.sync += shift.eq(following(shift, frame_ends))
        is_image: Value = Const(1, 1)
        if plan.shifts > plan.image_shifts:
            is_image = shift < plan.image_shifts
        width = plan.geometry.columns.size // plan.pixels
        if plan.line_beats > width:
            place = Signal(range(plan.line_beats), name="line_place")
            with m.If(next_shift):
                line_ends = frame_ends | (place == plan.line_beats - 1)
                m.d.sync += place.eq(following(place, line_ends))
            is_image = is_image & (place < width)
        m.d.comb += taking.eq(is_image)
        sizes = (len(plan.row_gives), len(plan.column_gives))
        (row, column), _ = count_grid(m, sizes, next_shift & begun)
        with m.If(next_shift & frame_ends):
            m.d.sync += [row.eq(0), column.eq(0)]
        gives = flag_at(m, plan.row_gives, row, "row_gives")
        m.d.comb += giving.eq(begun & gives & flag_at(m, plan.column_gives, column, "column_gives"))
        return row, column

    def _registers(self, m: Module) -> list[list[Signal]]:
        """Return for each kernel row the beats that taps may lie in, the newest first."""
        incoming = self.i.payload.as_value()
        newest = [*reversed(self._lines(m, incoming)), incoming]
        registers = []
        for row, beat in enumerate(newest):
            ages = range(-(-self.plan.register_pixels // self.plan.pixels))
            line = [
                Signal(len(incoming), name=f"row{row}_age{age}", reset_less=True) for age in ages
            ]
            source: Value = beat
            with m.If(self.shift):
                for held in line:
                    m.d.sync += held.eq(source)
                    source = held
            registers.append(line)
        return registers

    def _lines(self, m: Module, incoming: Value) -> list[Value]:
        """Return the beats one, two, ... kernel rows above the incoming one."""
        rows, bits = self.plan.geometry.rows, len(incoming)
        depth = rows.dilation * self.plan.line_beats
        above = Signal((rows.kernel - 1) * bits, name="rows_above")
        moved = Cat(incoming, above)[: len(above)]
        if rows.kernel == 1:
            return []
        if depth == 1:
            with m.If(self.shift):
                m.d.sync += above.eq(moved)
        else:
            memory: Memory = Memory(shape=len(above), depth=depth, init=[])
            m.submodules.lines = memory
            write, read = memory.write_port(), memory.read_port()
            place = Signal(range(depth))
            next_place = Signal(range(depth))
            with m.If(self.shift):
                m.d.sync += place.eq(next_place)
            m.d.comb += [
                next_place.eq(following(place, place == depth - 1)),
                write.addr.eq(place),
                write.data.eq(moved),
                write.en.eq(self.shift),
                read.addr.eq(next_place),
                read.en.eq(self.shift),
                above.eq(read.data),
            ]
        return [above[k * bits : (k + 1) * bits] for k in range(rows.kernel - 1)]

    def _padding(self, m: Module, row: Signal, column: Signal) -> list[list[Value]]:
        """Return for each window of a beat and each tap whether it lies outside."""
        plan, geometry = self.plan, self.plan.geometry
        down = [
            self._held(m, flag_at(m, mask, row, f"kernel_row{k}_outside"), f"row{k}_padded")
            if (mask := plan.row_outside(k)).any()
            else Const(0, 1)
            for k in range(geometry.rows.kernel)
        ]
        outside = []
        for window in range(plan.windows):
            across: list[Value] = []
            for k in range(geometry.columns.kernel):
                mask, name = plan.column_outside(k, window), f"column{k}_window{window}"
                flag: Value = Const(0, 1)
                if mask.any():
                    flag = self._held(m, flag_at(m, mask, column, f"{name}_outside"), name)
                across.append(flag)
            outside.append([_either(a, b) for a in down for b in across])
        return outside

    def _held(self, m: Module, flag: Value, name: str) -> Value:
        """Return `flag` as it was at the last shift."""
        held = Signal(name=f"{name}_is_padding")
        with m.If(self.shift):
            m.d.sync += held.eq(flag)
        return held

    def _show(
        self,
        m: Module,
        shown: Signal,
        registers: Sequence[Sequence[Value]],
        outside: Sequence[Sequence[Value]],
    ) -> None:
        """Connect the part of the windows that is shown."""
        geometry = self.plan.geometry
        lanes = []
        for window in range(self.plan.windows):
            for k in range(self.taps):
                pixels, flags = [], []
                for tap in range(k, geometry.taps, self.taps):
                    row, column = divmod(tap, geometry.columns.kernel)
                    pixels.append(self._pixel(registers[row], column, window))
                    flags.append(outside[window][tap])
                name = f"window{window}_tap{k}"
                pixel = _chosen(m, shown, pixels, name)
                if not all(isinstance(flag, Const) for flag in flags):
                    pixel = Mux(_chosen(m, shown, flags, f"{name}_padding"), self._pad(), pixel)
                lanes.append(pixel)
        # The beat shares no net with the registers, which windows share: linters would take a beat
        # whose parts are each other for a loop.
        with m.Switch(shown), m.Default():
            m.d.comb += self.o.payload.as_value().eq(Cat(*lanes))

    def _pixel(self, line: Sequence[Value], column: int, window: int) -> Value:
        """Return the pixel of kernel column `column` of a window, in the output's width."""
        plan, columns = self.plan, self.plan.geometry.columns
        behind = (
            plan.lag
            + (plan.windows - 1 - window) * columns.stride
            + (columns.kernel - 1 - column) * columns.dilation
        )
        bits = self.i_codes.width
        place = (plan.pixels - 1 - behind % plan.pixels) * self.channels
        beat = line[behind // plan.pixels]
        codes = [beat[(place + k) * bits : (place + k + 1) * bits] for k in range(self.channels)]
        if bits == self.o_codes.width:
            return beat[place * bits : (place + self.channels) * bits]
        return Cat(extend(code, self.i_codes.signed, self.o_codes.width) for code in codes)

    def _pad(self) -> Value:
        word = int(self.o_codes.to_bits(np.array([self.pad_code]))[0])
        return Const(word, self.o_codes.width).replicate(self.channels)


def _either(a: Value, b: Value) -> Value:
    """Return a | b; a constant 0 leaves the other as it is."""
    if isinstance(a, Const):
        return b
    return a if isinstance(b, Const) else a | b


def _chosen(m: Module, index: Signal, values: Sequence[Value], name: str) -> Value:
    """Return values[index]."""
    if len(values) == 1:
        return values[0]
    chosen = Signal(len(values[0]), name=name)
    with m.Switch(index):
        for k, value in enumerate(values):
            with m.Default() if k == len(values) - 1 else m.Case(k):
                m.d.comb += chosen.eq(value)
    return chosen
