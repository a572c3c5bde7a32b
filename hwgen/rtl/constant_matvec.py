"""A matrix-vector unit unrolled to constants: every weight is wiring.

It is sized from exact intervals; sums wrap in the width of the result, so partial sums need no
extra bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from amaranth import Const, Module, Signal, Value

from hwgen.adders import (
    AdderGraph,
    AdderTarget,
    SolveOptions,
    Stages,
    cached_solve,
    level_stages,
    place_registers,
    roomy_depth,
    worthwhile_depth,
)
from hwgen.cost import Resources
from hwgen.ir import Codes, TensorType
from hwgen.numeric import CodeType
from hwgen.numeric.signed_digits import count_digits
from hwgen.rtl.adder_graph import build_graph, delay_lines
from hwgen.rtl.adder_tree import Term, add_tree, delay, tree_latency, widen
from hwgen.rtl.dot.kernel import DotKernel
from hwgen.rtl.dot.operand import number
from hwgen.rtl.stream.component import code_shape
from hwgen.rtl.stream.pipeline import Pipeline

# Where no clock is given, a register behind every adder: they share the slice.
CONSTANT_LEVELS_PER_STAGE = 1
# What a graph costs beside trees of its rows, by the operands of an adder; measured with two 0.41
# (64x64) to 0.56 (8x8), with three 0.64 (16x16 and 64x64, 6 bits) to 0.67 (ternary) of that.
SHARED = {2: 0.5, 3: 0.32}
# Share of the LUTs that a cycle more has to save.
CYCLE_PRICE = 0.05
# Pairs of signed digits within rows up to which an adder graph is solved: memory and time go with
# them. 64 x 64 weights of 8 bits have a million and take seconds.
MOST_GRAPH_PAIRS = 4_000_000
DEFAULT_TARGET = AdderTarget()


class ConstantMatVec(Pipeline):
    """The whole matrix at once: an adder graph over all rows, or a tree for each of them.

    The graph is deeper than the deepest tree where that saves enough. Registers stand where the
    target's clock needs them, or behind every adder. A beat holds the vectors of `pixels` pixels;
    each has adders of its own.
    """

    def __init__(
        self,
        kernel: DotKernel,
        weights: Codes,
        inputs: TensorType,
        outputs: TensorType,
        pixels: int = 1,
        target: AdderTarget = DEFAULT_TARGET,
    ) -> None:
        self.kernel, self.weights, self.pixels, self.target = kernel, weights, pixels, target
        self.depth = self.depth_of(kernel, weights, target)
        rows, columns = weights.shape
        super().__init__(inputs.codes, pixels * columns, outputs.codes, pixels * rows)

    @staticmethod
    def depth_of(kernel: DotKernel, weights: Codes, target: AdderTarget = DEFAULT_TARGET) -> int:
        """Cycles through the input register, the sums and the output register.

        Where no clock is given no graph is solved for it.
        """
        if not target.period_ps and ConstantMatVec.takes_graph(kernel, weights):
            return 1 + roomy_depth(weights, target.operands) + 1
        graph = ConstantMatVec.graph_of(kernel, weights, target)
        if graph is None:
            return 1 + ConstantMatVec.tree_cycles(kernel, weights, target) + 1
        return 1 + ConstantMatVec.stages_of(weights, graph, target).latency + 1

    @staticmethod
    def stages_of(weights: Codes, graph: AdderGraph, target: AdderTarget) -> Stages:
        """Return the pipeline of the graph, between the input and the output register."""
        if target.period_ps:
            return place_registers(graph, target.fabric, target.period_ps)
        return level_stages(graph, roomy_depth(weights, target.operands), CONSTANT_LEVELS_PER_STAGE)

    @staticmethod
    def tree_cycles(kernel: DotKernel, weights: Codes, target: AdderTarget) -> int:
        """Return the registers on every path of the deepest row's tree."""
        most = max(kernel.constant_terms(row) for row in weights)
        return tree_latency(most, ConstantMatVec.tree_levels(kernel, weights, target))

    @staticmethod
    def tree_levels(kernel: DotKernel, weights: Codes, target: AdderTarget) -> int:
        """Return how many adders of a tree stand between two registers."""
        if not target.period_ps:
            return CONSTANT_LEVELS_PER_STAGE
        largest = int(np.abs(weights).sum(axis=1).max()) * max(-kernel.inputs.lo, kernel.inputs.hi)
        return target.fabric.levels(largest.bit_length() + 1, target.period_ps)

    @staticmethod
    def takes_graph(kernel: DotKernel, weights: Codes) -> bool:
        """Whether it becomes an adder graph: no popcount, and no matrix that takes too long."""
        digits = count_digits(weights).sum(axis=1)
        pairs = int((digits * (digits - 1) // 2).sum())
        return kernel.gain == 1 and not kernel.per_input and pairs <= MOST_GRAPH_PAIRS

    @staticmethod
    def graph_of(
        kernel: DotKernel, weights: Codes, target: AdderTarget = DEFAULT_TARGET
    ) -> AdderGraph | None:
        """Return the adder graph, or None where there is none.

        Solved once and then remembered: the folding search asks often.
        """
        if not ConstantMatVec.takes_graph(kernel, weights):
            return None
        inputs = (CodeType(kernel.inputs.lo, kernel.inputs.hi),) * weights.shape[1]
        depth = ConstantMatVec.levels_of(weights, inputs, target)
        options = SolveOptions(depth, target.effort, operands=target.operands)
        return cached_solve(weights, inputs, options)

    @staticmethod
    def levels_of(weights: Codes, inputs: Sequence[CodeType], target: AdderTarget) -> int:
        """Return how deep the graph may be; without a clock, what needs no solving."""
        if not target.period_ps:
            return roomy_depth(weights, target.operands)

        def price(graph: AdderGraph) -> float:
            stages = ConstantMatVec.stages_of(weights, graph, target)
            lut = graph.cost_bits() + delay_lines(graph, stages, target.fabric).lut
            return lut * (1 + CYCLE_PRICE) ** stages.latency

        return worthwhile_depth(weights, inputs, target.operands, price)

    @staticmethod
    def resources_of(
        kernel: DotKernel,
        weights: Codes,
        outputs: TensorType,
        target: AdderTarget = DEFAULT_TARGET,
    ) -> Resources:
        """Predict from the graph, or a tree for each row; and the input registers."""
        inputs = Resources(ff=weights.shape[1] * kernel.inputs.width)
        channels = outputs.per_channel()
        graph = ConstantMatVec.graph_of(kernel, weights, target)
        if graph is not None:
            stages = ConstantMatVec.stages_of(weights, graph, target)
            lines = delay_lines(graph, stages, target.fabric)
            results = sum(codes.width for codes in channels)
            return inputs + lines + Resources(lut=graph.cost_bits(), ff=results)
        trees = ConstantMatVec.trees_of(kernel, weights, outputs)
        levels = ConstantMatVec.tree_levels(kernel, weights, target)
        return inputs + replace(trees, ff=trees.ff / levels)

    @staticmethod
    def trees_of(kernel: DotKernel, weights: Codes, outputs: TensorType) -> Resources:
        """Predict a tree for each row: no graph is solved."""
        rows = zip(weights, outputs.per_channel(), strict=True)
        return sum((kernel.constant_row_resources(row, codes) for row, codes in rows), Resources())

    @staticmethod
    def estimate_of(
        kernel: DotKernel,
        weights: Codes,
        outputs: TensorType,
        target: AdderTarget = DEFAULT_TARGET,
    ) -> Resources:
        """Predict without solving a graph, for a search over many foldings."""
        trees = ConstantMatVec.trees_of(kernel, weights, outputs)
        shared = 1.0 if kernel.gain > 1 else SHARED[target.operands]
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
        graph = self.graph_of(self.kernel, self.weights, self.target)
        rows, columns = self.weights.shape
        results = []
        for pixel in range(self.pixels):
            own = x[pixel * columns : (pixel + 1) * columns]
            prefix = f"pixel{pixel}_" if self.pixels > 1 else ""
            if graph is None:
                sums = [self._tree(m, own, k, advance, f"{prefix}row{k}_sum") for k in range(rows)]
            else:
                numbers = [number(value, self.kernel.inputs) for value in own]
                stages = self.stages_of(self.weights, graph, self.target)
                sums = build_graph(m, graph, numbers, advance, f"{prefix}sum", stages)
            results += [self._result(m, s, advance, f"{prefix}row{k}") for k, s in enumerate(sums)]
        return results

    def _tree(self, m: Module, x: Sequence[Value], index: int, advance: Signal, name: str) -> Term:
        terms = self.kernel.constant_summands(x, self.weights[index])
        levels = self.tree_levels(self.kernel, self.weights, self.target)
        total = add_tree(m, terms, name, advance, levels)
        spent = tree_latency(len(terms), levels)
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
