"""A matrix-vector unit folded over weight memories.

It is sized from exact intervals; sums wrap in the width of the result, so partial sums need no
extra bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.memory import Memory

from hwgen.cost import Resources
from hwgen.ir import Codes, TensorType
from hwgen.numeric import CodeType
from hwgen.rtl.adder_tree import Term, scaled, widen
from hwgen.rtl.counting import following
from hwgen.rtl.dot.kernel import DotKernel, FoldedUnit
from hwgen.rtl.dot.operand import from_lowest
from hwgen.rtl.memory import lookup, lut_ram_luts
from hwgen.rtl.rom import constant_memory, rom_resources
from hwgen.rtl.stream.component import StreamComponent
from hwgen.rtl.table_comparison import reaches, table_comparison_luts

# Passes whose starts are tables: the accumulator's LUT has room for three bits of an index.
TABLE_PASSES = 8


def folded_depth(unit: FoldedUnit) -> int:
    """Cycles from a step to the output transfer: fetch, sums, accumulate."""
    return 1 + unit.cycles + 1


def within(thresholds: Codes, sums: TensorType) -> Codes:
    """Return the thresholds; those that no sum can miss, or reach, at the ends of its interval."""
    channels = sums.per_channel()
    return np.clip(thresholds, [c.lo for c in channels], [c.hi + 1 for c in channels])


def accumulator_codes(sums: TensorType, thresholds: Codes | None) -> CodeType:
    """Return what an accumulator holds at the end: the sum, less the threshold if there is one."""
    if thresholds is None:
        return sums.codes
    rows = list(zip(sums.per_channel(), thresholds.tolist(), strict=True))
    low, high = min(c.lo - t for c, t in rows), max(c.hi - t for c, t in rows)
    return CodeType(min(low, -1), max(high, 0))


def comparison_luts(shape: tuple[int, ...], pe: int, simd: int, sums: CodeType) -> int | None:
    """Return the LUTs of a row's comparison where nothing accumulates, None where it does."""
    rows, columns = shape
    if columns > simd:
        return None
    return table_comparison_luts(sums.width, (rows // pe - 1).bit_length())


def _pick(bits: Sequence[Value], number: Value) -> Value:
    """Return bits[number]."""
    choices = list(bits)
    for selector in number:
        pairs = zip(choices[::2], [*choices[1::2], choices[-1]], strict=False)
        choices = [Mux(selector, b, a) if a is not b else a for a, b in pairs]
    return choices[0]


class FoldedMatVec(StreamComponent):
    """`pe` dot products of `simd` inputs a cycle; each step has its own weights.

    The first pass over a vector takes it from the stream and keeps it; later passes reread it.

    Parameters
    ----------
    sums : type of the exact sums
    thresholds : int64 [O]; the result is then one bit, whether a sum has reached its threshold:
        an accumulator starts so low that its sign says so
    codes : of that bit
    """

    def __init__(
        self,
        kernel: DotKernel,
        weights: Codes,
        pe: int,
        simd: int,
        inputs: TensorType,
        sums: TensorType,
        thresholds: Codes | None = None,
        codes: CodeType | None = None,
    ) -> None:
        self.kernel, self.weights, self.pe, self.simd = kernel, weights, pe, simd
        self.row_folds = weights.shape[0] // pe
        self.column_folds = weights.shape[1] // simd
        self.planes = kernel.planes
        self.thresholds = None if thresholds is None else within(thresholds, sums)
        self.sums = sums.codes
        self.width = accumulator_codes(sums, self.thresholds).width
        super().__init__(inputs.codes, simd, codes or sums.codes, pe)

    @staticmethod
    def resources_of(
        kernel: DotKernel,
        weights: Codes,
        pe: int,
        simd: int,
        sums: TensorType,
        thresholds: Codes | None = None,
    ) -> Resources:
        """Predict the sums, accumulators, the kept input vector and the control."""
        row_folds, column_folds = weights.shape[0] // pe, weights.shape[1] // simd
        unit = kernel.folded_unit(row_folds * column_folds, simd)
        cuts = None if thresholds is None else within(thresholds, sums)
        width, beat = accumulator_codes(sums, cuts).width, simd * kernel.inputs.width
        accumulators = Resources(lut=width * pe, ff=2 * width * pe)
        compared = None
        if thresholds is not None:
            compared = comparison_luts(weights.shape, pe, simd, sums.codes)
            if compared is not None:
                accumulators = Resources(lut=compared * pe, ff=pe)
        total = unit.resources(pe) + accumulators + Resources(lut=24, ff=20)
        if row_folds == 1:
            return total + Resources(ff=beat)
        # The kept vector: a register and a multiplexer, or LUT RAM in place of the beat's register.
        if column_folds == 1:
            total += Resources(lut=beat, ff=2 * beat)
        else:
            total += Resources(lut=lut_ram_luts(column_folds, beat))
            total += Resources() if kernel.planes == 1 else Resources(lut=beat, ff=beat)
        starts = unit.offsets_differ or thresholds is not None
        if starts and compared is None and row_folds > TABLE_PASSES:
            total += rom_resources(row_folds, width * pe)
        return total

    def weight_steps(self) -> Codes:
        """Return the weights of each step, [steps, pe, simd]."""
        grid = self.weights.reshape(self.row_folds, self.pe, self.column_folds, self.simd)
        return grid.transpose(0, 2, 1, 3).reshape(-1, self.pe, self.simd)

    def elaborate(self, platform: object) -> Module:
        """Sequencer, fetch, dot products, accumulators."""
        m = Module()
        advance = Signal()
        step = Signal()
        column = Signal(range(max(self.column_folds, 2)))
        row_pass = Signal(range(max(self.row_folds, 2)))
        first_pass = Signal()
        plane = Signal(range(max(self.planes, 2)))
        first_plane = Signal()
        last_plane = Signal()
        first_column = Signal()
        last_column = Signal()
        m.d.comb += [
            advance.eq(~self.o.valid | self.o.ready),
            first_pass.eq(row_pass == 0),
            first_column.eq(column == 0),
            last_column.eq(column == self.column_folds - 1),
            first_plane.eq(plane == 0),
            last_plane.eq(plane == self.planes - 1),
            self.i.ready.eq(advance & first_pass & first_plane),
            step.eq(advance & (self.i.valid | ~first_pass | ~first_plane)),
        ]
        if self.planes > 1:
            with m.If(step):
                m.d.sync += plane.eq(following(plane, last_plane))
        with m.If(step & last_plane):
            m.d.sync += column.eq(following(column, last_column))
            with m.If(last_column):
                m.d.sync += row_pass.eq(following(row_pass, row_pass == self.row_folds - 1))
        begins = Signal()
        m.d.comb += begins.eq(step & first_plane)
        beat = self._fetch(m, advance, begins, first_pass, column)
        if self.planes > 1:
            beat = self._bits(m, advance, begins, beat, plane)
        ends = Signal()
        m.d.comb += ends.eq(step & last_plane)
        number = self._address(m, ends)
        address = Cat(plane, number) if self.planes > 1 else number
        self._rows(m, advance, beat, address, Cat(ends, first_column, last_column))
        return m

    def _fetch(
        self, m: Module, advance: Signal, step: Signal, first_pass: Signal, column: Signal
    ) -> Signal:
        """Return the input beat of this step, from the stream or from the kept vector.

        In the next cycle, or at once where its bits come one by one.
        """
        incoming = self.i.payload.as_value()
        beat = Signal(len(incoming))
        source: Value = incoming
        if self.row_folds > 1 and self.column_folds == 1:
            kept = Signal(len(incoming))
            with m.If(step & first_pass):
                m.d.sync += kept.eq(incoming)
            source = Mux(first_pass, incoming, kept)
        elif self.row_folds > 1:
            vector: Memory = Memory(shape=len(incoming), depth=self.column_folds, init=[])
            m.submodules.vector = vector
            write, read = vector.write_port(), vector.read_port(domain="comb")
            m.d.comb += [
                write.addr.eq(column),
                write.data.eq(incoming),
                write.en.eq(step & first_pass),
            ]
            if self.planes == 1:
                # Read in the next cycle, the first pass is in the memory too: no multiplexer.
                held = Signal.like(column, name="column_of_beat")
                with m.If(advance):
                    m.d.sync += held.eq(column)
                m.d.comb += [read.addr.eq(held), beat.eq(read.data)]
                return beat
            m.d.comb += read.addr.eq(column)
            source = Mux(first_pass, incoming, read.data)
        if self.planes > 1:
            m.d.comb += beat.eq(source)
            return beat
        with m.If(advance):
            m.d.sync += beat.eq(source)
        return beat

    def _bits(
        self, m: Module, advance: Signal, begins: Signal, beat: Signal, plane: Signal
    ) -> Signal:
        """Return one bit of each input in the next cycle, the highest in the first plane."""
        width = self.i_codes.width
        held = Signal(len(beat), name="beat_of_step")
        with m.If(begins):
            m.d.sync += held.eq(beat)
        bits = Signal(self.simd, name="input_bits")
        chosen = []
        for k in range(self.simd):
            own = slice(k * width, (k + 1) * width)
            (first,), (later,) = (from_lowest([v[own]], self.i_codes) for v in (beat, held))
            planes = [first[-1], *reversed(later[:-1])]
            chosen.append(_pick(planes, plane))
        with m.If(advance):
            m.d.sync += bits.eq(Cat(*chosen))
        return bits

    def _address(self, m: Module, step: Signal) -> Signal:
        """Return the number of the step: it has its own weights."""
        steps = self.row_folds * self.column_folds
        address = Signal(range(max(steps, 2)))
        with m.If(step):
            m.d.sync += address.eq(following(address, address == steps - 1))
        return address

    def _rows(self, m: Module, advance: Signal, beat: Signal, address: Value, flags: Value) -> None:
        steps = self.weight_steps()
        unit = self.kernel.folded_unit(len(steps), self.simd)
        for stage in range(folded_depth(unit) - 1):
            held = Signal(3, name=f"flags_s{stage + 1}")
            with m.If(advance):
                m.d.sync += held.eq(flags)
            flags = held
        valid, first, last = flags[0], flags[1], flags[2]
        bits = self.i_codes.width if self.planes == 1 else 1
        x = [beat[k * bits : (k + 1) * bits] for k in range(self.simd)]
        sums = unit.build(m, x, steps, address, advance)
        if self.compares:
            self._compare(m, advance, unit, sums, valid)
            return
        offsets = np.array([unit.offset(row) for row in self.weights])
        if self.thresholds is not None:
            # Sums are multiples of 2**shift: what is below only rounds the threshold up.
            shift = min(sums[0].shift, self.width - 1)
            offsets = (offsets - self.thresholds) >> shift << shift
        starts = self._starts(m, offsets.reshape(-1, self.pe), advance, valid & last)
        for row, (total, start) in enumerate(zip(sums, starts, strict=True)):
            self._accumulate(m, advance, total, start, row, valid, first)
        self._give(m, advance, valid & last)

    def _give(self, m: Module, advance: Signal, done: Value) -> None:
        with m.If(advance):
            m.d.sync += self.o.valid.eq(done)

    @property
    def compares(self) -> bool:
        """Whether nothing accumulates and sums are compared as they are."""
        shape = self.weights.shape, self.pe, self.simd
        return self.thresholds is not None and comparison_luts(*shape, self.sums) is not None

    def _compare(
        self, m: Module, advance: Signal, unit: FoldedUnit, sums: list[Term], valid: Value
    ) -> None:
        """Compare the sums of each pass with its thresholds."""
        assert self.thresholds is not None
        offsets = np.array([unit.offset(row) for row in self.weights])
        lacking = (offsets - self.thresholds).reshape(-1, self.pe)
        current, _ = self._passes(m, advance, valid)
        for row, total in enumerate(sums):
            codes = scaled(total.codes, -1 if total.negative else 1)
            number = widen(replace(total, shift=0), codes.width)
            cuts = -(lacking[:, row] >> total.shift)  # in units of the sums
            result = Signal(name=f"row{row}_result")
            with m.If(advance & valid):
                m.d.sync += result.eq(reaches(number, codes.signed, cuts, current))
            m.d.comb += self.o.payload[row].eq(result)
        self._give(m, advance, valid)

    def _passes(self, m: Module, advance: Signal, done: Value) -> tuple[Signal, Signal]:
        """Return the pass that accumulates, and the one in the next cycle."""
        finishing = Signal(range(self.row_folds))
        following_pass = Signal(range(self.row_folds))
        is_last = finishing == self.row_folds - 1
        m.d.comb += following_pass.eq(Mux(done, following(finishing, is_last), finishing))
        with m.If(advance):
            m.d.sync += finishing.eq(following_pass)
        return finishing, following_pass

    def _starts(self, m: Module, offsets: Codes, advance: Signal, done: Value) -> list[Value]:
        """Return what each accumulator starts from: the constants that the row's sums lack."""
        width = self.width
        if self.row_folds == 1:
            return [Const(int(offset), width) for offset in offsets[0]]
        # The word of a memory comes a cycle later, so it is asked for the pass that comes next.
        finishing, following_pass = self._passes(m, advance, done)
        words = offsets.T & ((1 << width) - 1)
        if self.row_folds <= TABLE_PASSES:
            return [
                Cat(*(lookup(lane >> bit & 1, finishing) for bit in range(width))) for lane in words
            ]
        return [
            constant_memory(m, lane.tolist(), width, following_pass, advance, f"start{row}")
            for row, lane in enumerate(words)
        ]

    def _accumulate(
        self,
        m: Module,
        advance: Signal,
        total: Term,
        start: Value,
        row: int,
        valid: Value,
        first: Value,
    ) -> None:
        width = self.width
        accumulator = Signal(width, name=f"row{row}_accumulator")
        previous = Mux(first, start, accumulator) if self.column_folds > 1 else start
        with m.If(advance & valid):
            # The sum first: a carry chain takes its first operand as it is, the other through LUTs
            # that have room for the multiplexer.
            m.d.sync += accumulator.eq((widen(total, width) + previous)[:width])
        result = accumulator if self.thresholds is None else ~accumulator[-1]
        m.d.comb += self.o.payload[row].eq(result)
