"""The two shapes of a matrix-vector unit: folded over weight memories, and unrolled to constants.

Both are sized from exact intervals; sums wrap in the width of the result, so partial sums need no
extra bits.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.memory import Memory

from hwgen.adders import AdderGraph, SolveOptions, cached_solve, minimum_depth
from hwgen.cost import Resources
from hwgen.ir import Codes, TensorType
from hwgen.numeric import CodeType
from hwgen.numeric.signed_digits import count_digits
from hwgen.rtl.adder_graph import build_graph, graph_registers
from hwgen.rtl.adder_tree import Term, add_tree, delay, tree_latency, widen
from hwgen.rtl.counting import following
from hwgen.rtl.dot.kernel import DotKernel, FoldedUnit
from hwgen.rtl.dot.operand import number
from hwgen.rtl.memory import constant_memory, memory_resources
from hwgen.rtl.stream.component import StreamComponent, code_shape
from hwgen.rtl.stream.pipeline import Pipeline

# A register behind every adder: they share the slice, and synthesis cannot merge two carry
# chains into something larger.
CONSTANT_LEVELS_PER_STAGE = 1
# What a graph costs beside trees of its rows; measured 0.41 (64x64) to 0.56 (8x8).
SHARED = 0.5
# Pairs of signed digits within rows up to which an adder graph is solved: memory and time go with
# them. 64 x 64 weights of 8 bits have a million and take seconds.
MOST_GRAPH_PAIRS = 4_000_000


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


class ConstantMatVec(Pipeline):
    """The whole matrix at once: an adder graph over all rows, or a tree for each of them.

    The graph is held to the depth of the deepest tree, so the latency does not depend on it. A beat
    holds the vectors of `pixels` pixels; each has adders of its own.
    """

    def __init__(
        self,
        kernel: DotKernel,
        weights: Codes,
        inputs: TensorType,
        outputs: TensorType,
        pixels: int = 1,
    ) -> None:
        self.kernel, self.weights, self.pixels = kernel, weights, pixels
        self.depth = self.depth_of(kernel, weights)
        rows, columns = weights.shape
        super().__init__(inputs.codes, pixels * columns, outputs.codes, pixels * rows)

    @staticmethod
    def depth_of(kernel: DotKernel, weights: Codes) -> int:
        """Cycles through the input register, the deepest row's tree and the output register."""
        most = max(kernel.constant_terms(row) for row in weights)
        return 1 + tree_latency(most, CONSTANT_LEVELS_PER_STAGE) + 1

    @staticmethod
    def graph_of(kernel: DotKernel, weights: Codes) -> AdderGraph | None:
        """Return the adder graph, or None: for popcounts, and where solving would take too long.

        Solved once and then remembered: the folding search asks often.
        """
        digits = count_digits(weights).sum(axis=1)
        pairs = int((digits * (digits - 1) // 2).sum())
        if kernel.gain != 1 or kernel.per_input or pairs > MOST_GRAPH_PAIRS:
            return None
        inputs = CodeType(kernel.inputs.lo, kernel.inputs.hi)
        options = SolveOptions(max_depth=minimum_depth(weights))
        return cached_solve(weights, (inputs,) * weights.shape[1], options)

    @staticmethod
    def resources_of(kernel: DotKernel, weights: Codes, outputs: TensorType) -> Resources:
        """Predict from the graph, or a tree for each row; and the input registers."""
        inputs = Resources(ff=weights.shape[1] * kernel.inputs.width)
        channels = outputs.per_channel()
        graph = ConstantMatVec.graph_of(kernel, weights)
        if graph is not None:
            latency = ConstantMatVec.depth_of(kernel, weights) - 2
            registers = graph_registers(graph, latency, CONSTANT_LEVELS_PER_STAGE)
            results = sum(codes.width for codes in channels)
            return inputs + Resources(lut=graph.cost_bits(), ff=registers + results)
        return ConstantMatVec.trees_of(kernel, weights, outputs) + inputs

    @staticmethod
    def trees_of(kernel: DotKernel, weights: Codes, outputs: TensorType) -> Resources:
        """Predict a tree for each row: no graph is solved."""
        rows = zip(weights, outputs.per_channel(), strict=True)
        return sum((kernel.constant_row_resources(row, codes) for row, codes in rows), Resources())

    @staticmethod
    def estimate_of(kernel: DotKernel, weights: Codes, outputs: TensorType) -> Resources:
        """Predict without solving a graph, for a search over many foldings."""
        trees = ConstantMatVec.trees_of(kernel, weights, outputs)
        shared = 1.0 if kernel.gain > 1 else SHARED
        return trees * shared + Resources(ff=weights.shape[1] * kernel.inputs.width)

    def datapath(
        self, m: Module, lanes: Sequence[Value], advance: Signal, accept: Value
    ) -> Sequence[Value]:
        """Input register, graph or trees, output register."""
        x = []
        for k, lane in enumerate(lanes):
            held = Signal(len(lane), name=f"x{k}", reset_less=True)
            with m.If(advance):
                m.d.sync += held.eq(lane)
            x.append(held)
        graph = self.graph_of(self.kernel, self.weights)
        rows, columns = self.weights.shape
        results = []
        for pixel in range(self.pixels):
            own = x[pixel * columns : (pixel + 1) * columns]
            prefix = f"pixel{pixel}_" if self.pixels > 1 else ""
            if graph is None:
                sums = [self._tree(m, own, k, advance, f"{prefix}row{k}_sum") for k in range(rows)]
            else:
                numbers = [number(value, self.kernel.inputs) for value in own]
                depth, name = self.depth - 2, f"{prefix}sum"
                sums = build_graph(
                    m, graph, numbers, advance, name, depth, CONSTANT_LEVELS_PER_STAGE
                )
            results += [self._result(m, s, advance, f"{prefix}row{k}") for k, s in enumerate(sums)]
        return results

    def _tree(self, m: Module, x: Sequence[Value], index: int, advance: Signal, name: str) -> Term:
        terms = self.kernel.constant_summands(x, self.weights[index])
        total = add_tree(m, terms, name, advance, CONSTANT_LEVELS_PER_STAGE)
        spent = tree_latency(len(terms), CONSTANT_LEVELS_PER_STAGE)
        return delay(m, total, name, self.depth - 2 - spent, advance)

    def _result(self, m: Module, total: Term, advance: Signal, name: str) -> Value:
        gained = Term(total.value, total.codes, total.shift + self.kernel.gain - 1, total.negative)
        offset = self.kernel.per_input * self.weights.shape[1]
        width = self.o_codes.width
        result = Signal(code_shape(self.o_codes), name=name)
        value = widen(gained, width)
        with m.If(advance):
            m.d.sync += result.eq((value + Const(offset, width))[:width] if offset else value)
        return result
