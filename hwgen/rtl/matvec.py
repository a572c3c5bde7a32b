"""The two shapes of a matrix-vector unit: folded over weight memories, and unrolled to constants.

Both are sized from exact intervals; sums wrap in the width of the result, so partial sums need no
extra bits.
"""

from __future__ import annotations

from collections.abc import Sequence

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
from hwgen.rtl.dot.kernel import DotKernel
from hwgen.rtl.dot.operand import number
from hwgen.rtl.memory import constant_memory, pack
from hwgen.rtl.stream.component import StreamComponent, code_shape
from hwgen.rtl.stream.pipeline import Pipeline

FOLDED_LEVELS_PER_STAGE = 2
# A register behind every adder: they share the slice, and synthesis cannot merge two carry
# chains into something larger.
CONSTANT_LEVELS_PER_STAGE = 1
# What a graph costs beside trees of its rows; measured 0.41 (64x64) to 0.56 (8x8).
SHARED = 0.5
# Pairs of signed digits within rows up to which an adder graph is solved: memory and time go with
# them. 64 x 64 weights of 8 bits have a million and take seconds.
MOST_GRAPH_PAIRS = 4_000_000


def folded_depth(kernel: DotKernel, simd: int) -> int:
    """Cycles from a step to the output transfer: fetch, kernel, adder tree, accumulate."""
    terms = simd * kernel.summands_per_lane()
    return 1 + kernel.stages + tree_latency(terms, FOLDED_LEVELS_PER_STAGE) + 1


class FoldedMatVec(StreamComponent):
    """`pe` dot products of `simd` inputs a cycle; weights come from a memory.

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

    def weight_words(self) -> list[int]:
        """Return the memory: a word a step, `pe` rows of `simd` encoded weights, row 0 lowest."""
        encoded = self.kernel.encode(self.weights)
        grid = encoded.reshape(self.row_folds, self.pe, self.column_folds, self.simd)
        steps = grid.transpose(0, 2, 1, 3).reshape(self.row_folds * self.column_folds, -1)
        return [pack(step.tolist(), self.kernel.weight_bits) for step in steps]

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
        word = self._weights(m, advance, step)
        flags = Cat(step, first_column, last_column)
        self._rows(m, advance, beat, word, flags)
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

    def _weights(self, m: Module, advance: Signal, step: Signal) -> Value:
        words = self.weight_words()
        address = Signal(range(max(len(words), 2)))
        with m.If(step):
            m.d.sync += address.eq(following(address, address == len(words) - 1))
        width = self.pe * self.simd * self.kernel.weight_bits
        return constant_memory(m, words, width, address, advance, "weights")

    def _rows(self, m: Module, advance: Signal, beat: Signal, word: Value, flags: Value) -> None:
        kernel, bits = self.kernel, self.kernel.weight_bits
        latency = folded_depth(kernel, self.simd) - 1
        for stage in range(latency):
            held = Signal(3, name=f"flags_s{stage + 1}")
            with m.If(advance):
                m.d.sync += held.eq(flags)
            flags = held
        valid, first, last = flags[0], flags[1], flags[2]
        code_bits = self.i_codes.width
        x = [beat[k * code_bits : (k + 1) * code_bits] for k in range(self.simd)]
        for row in range(self.pe):
            begin = row * self.simd
            words = [word[(begin + k) * bits : (begin + k + 1) * bits] for k in range(self.simd)]
            terms = kernel.summands(m, x, words, f"row{row}", advance)
            total = add_tree(m, terms, f"row{row}_sum", advance, FOLDED_LEVELS_PER_STAGE)
            self._accumulate(m, advance, total, row, valid, first)
        with m.If(advance):
            m.d.sync += self.o.valid.eq(valid & last)

    def _accumulate(
        self, m: Module, advance: Signal, total: Term, row: int, valid: Value, first: Value
    ) -> None:
        width = self.o_codes.width
        start = Const(self.kernel.per_input * self.weights.shape[1], width)
        gained = Term(total.value, total.codes, total.shift + self.kernel.gain - 1, total.negative)
        accumulator = Signal(width, name=f"row{row}_accumulator")
        previous = Mux(first, start, accumulator) if self.column_folds > 1 else start
        with m.If(advance & valid):
            m.d.sync += accumulator.eq((previous + widen(gained, width))[:width])
        m.d.comb += self.o.payload[row].eq(accumulator)


class ConstantMatVec(Pipeline):
    """The whole matrix at once: an adder graph over all rows, or a tree for each of them.

    The graph is held to the depth of the deepest tree, so the latency does not depend on it.
    """

    def __init__(
        self, kernel: DotKernel, weights: Codes, inputs: TensorType, outputs: TensorType
    ) -> None:
        self.kernel, self.weights = kernel, weights
        self.depth = self.depth_of(kernel, weights)
        super().__init__(inputs.codes, weights.shape[1], outputs.codes, weights.shape[0])

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
        if graph is None:
            sums = [self._tree(m, x, k, advance) for k in range(self.weights.shape[0])]
        else:
            numbers = [number(value, self.kernel.inputs) for value in x]
            sums = build_graph(
                m, graph, numbers, advance, "sum", self.depth - 2, CONSTANT_LEVELS_PER_STAGE
            )
        return [self._result(m, total, k, advance) for k, total in enumerate(sums)]

    def _tree(self, m: Module, x: Sequence[Value], index: int, advance: Signal) -> Term:
        terms = self.kernel.constant_summands(x, self.weights[index])
        total = add_tree(m, terms, f"row{index}_sum", advance, CONSTANT_LEVELS_PER_STAGE)
        spent = tree_latency(len(terms), CONSTANT_LEVELS_PER_STAGE)
        return delay(m, total, f"row{index}_sum", self.depth - 2 - spent, advance)

    def _result(self, m: Module, total: Term, index: int, advance: Signal) -> Value:
        gained = Term(total.value, total.codes, total.shift + self.kernel.gain - 1, total.negative)
        offset = self.kernel.per_input * self.weights.shape[1]
        width = self.o_codes.width
        result = Signal(code_shape(self.o_codes), name=f"row{index}")
        value = widen(gained, width)
        with m.If(advance):
            m.d.sync += result.eq((value + Const(offset, width))[:width] if offset else value)
        return result
