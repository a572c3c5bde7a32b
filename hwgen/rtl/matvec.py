"""A matrix-vector unit folded over weight memories.

It is sized from exact intervals; sums wrap in the width of the result, so partial sums need no
extra bits.
"""

from __future__ import annotations

import numpy as np
from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.memory import Memory

from hwgen.cost import Resources
from hwgen.ir import Codes, TensorType
from hwgen.numeric import CodeType
from hwgen.rtl.adder_tree import Term, widen
from hwgen.rtl.counting import following
from hwgen.rtl.dot.kernel import DotKernel, FoldedUnit
from hwgen.rtl.memory import constant_memory, memory_resources
from hwgen.rtl.stream.component import StreamComponent


def folded_depth(unit: FoldedUnit) -> int:
    """Cycles from a step to the output transfer: fetch, sums, accumulate."""
    return 1 + unit.cycles + 1


class FoldedMatVec(StreamComponent):
    """`pe` dot products of `simd` inputs a cycle; each step has its own weights.

    The first pass over a vector takes it from the stream and keeps it; later passes reread it.
    """

    def __init__(
        self,
        kernel: DotKernel,
        weights: Codes,
        pe: int,
        simd: int,
        inputs: TensorType,
        outputs: TensorType,
    ) -> None:
        self.kernel, self.weights, self.pe, self.simd = kernel, weights, pe, simd
        self.row_folds = weights.shape[0] // pe
        self.column_folds = weights.shape[1] // simd
        super().__init__(inputs.codes, simd, outputs.codes, pe)

    @staticmethod
    def resources_of(
        kernel: DotKernel, weights: Codes, pe: int, simd: int, outputs: CodeType
    ) -> Resources:
        """Predict the sums, accumulators, the kept input vector and the control."""
        row_folds, column_folds = weights.shape[0] // pe, weights.shape[1] // simd
        unit = kernel.folded_unit(row_folds * column_folds, simd)
        width, beat = outputs.width, simd * kernel.inputs.width
        accumulators = Resources(lut=width * pe, ff=2 * width * pe)
        total = unit.resources(pe) + accumulators + Resources(lut=24, ff=20 + beat)
        if row_folds == 1:
            return total
        if unit.offsets_differ:
            total += memory_resources(row_folds, width * pe)
        return total + memory_resources(column_folds, beat, distributed=True)

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
        first_column = Signal()
        last_column = Signal()
        m.d.comb += [
            advance.eq(~self.o.valid | self.o.ready),
            first_pass.eq(row_pass == 0),
            first_column.eq(column == 0),
            last_column.eq(column == self.column_folds - 1),
            self.i.ready.eq(advance & first_pass),
            step.eq(advance & (self.i.valid | ~first_pass)),
        ]
        with m.If(step):
            m.d.sync += column.eq(following(column, last_column))
            with m.If(last_column):
                m.d.sync += row_pass.eq(following(row_pass, row_pass == self.row_folds - 1))
        beat = self._fetch(m, advance, step, first_pass, column)
        address = self._address(m, step)
        flags = Cat(step, first_column, last_column)
        self._rows(m, advance, beat, address, flags)
        return m

    def _fetch(
        self, m: Module, advance: Signal, step: Signal, first_pass: Signal, column: Signal
    ) -> Signal:
        """Register the input beat of this step: from the stream, or from the kept vector."""
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
                read.addr.eq(column),
            ]
            source = Mux(first_pass, incoming, read.data)
        with m.If(advance):
            m.d.sync += beat.eq(source)
        return beat

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
        bits = self.i_codes.width
        x = [beat[k * bits : (k + 1) * bits] for k in range(self.simd)]
        starts = self._starts(m, unit, advance, valid & last)
        sums = unit.build(m, x, steps, address, advance)
        for row, (total, start) in enumerate(zip(sums, starts, strict=True)):
            self._accumulate(m, advance, total, start, row, valid, first)
        with m.If(advance):
            m.d.sync += self.o.valid.eq(valid & last)

    def _starts(self, m: Module, unit: FoldedUnit, advance: Signal, done: Value) -> list[Value]:
        """Return what each accumulator starts from: the constants that the row's sums lack."""
        width = self.o_codes.width
        offsets = np.array([unit.offset(row) for row in self.weights]).reshape(-1, self.pe)
        if self.row_folds == 1:
            return [Const(int(offset), width) for offset in offsets[0]]
        # The memory's word comes a cycle later, so it is asked for the pass that comes next.
        finishing = Signal(range(self.row_folds))
        following_pass = Signal(range(self.row_folds))
        is_last = finishing == self.row_folds - 1
        m.d.comb += following_pass.eq(Mux(done, following(finishing, is_last), finishing))
        with m.If(advance):
            m.d.sync += finishing.eq(following_pass)
        words = (offsets & ((1 << width) - 1)).T.tolist()
        return [
            constant_memory(m, lane, width, following_pass, advance, f"start{row}")
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
        width = self.o_codes.width
        accumulator = Signal(width, name=f"row{row}_accumulator")
        previous = Mux(first, start, accumulator) if self.column_folds > 1 else start
        with m.If(advance & valid):
            # The sum first: a carry chain takes its first operand as it is, the other through LUTs
            # that have room for the multiplexer.
            m.d.sync += accumulator.eq((widen(total, width) + previous)[:width])
        m.d.comb += self.o.payload[row].eq(accumulator)
