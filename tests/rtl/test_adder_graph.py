"""The datapath equals the graph's evaluation, cycle for cycle."""

import numpy as np
import pytest
from amaranth import Signal
from amaranth.sim import Simulator

from hwgen.adders import SolveOptions, solve
from hwgen.numeric import CodeType
from hwgen.rtl.adder_graph import (
    AdderGraphDatapath,
    build_graph,
    graph_latency,
    graph_registers,
)
from hwgen.rtl.adder_tree import widen
from hwgen.rtl.stream.component import code_shape
from hwgen.rtl.stream.pipeline import Pipeline
from tests.adders.matrices import corners

WIDTH = 24


class GraphPipeline(Pipeline):
    """A graph between two stream ports, nothing else."""

    def __init__(self, graph, levels_per_stage, extra=0):
        self.graph, self.levels_per_stage = graph, levels_per_stage
        self.depth = graph_latency(graph.depth(), levels_per_stage) + extra
        half = 1 << (WIDTH - 1)
        whole = CodeType(
            min(codes.lo for codes in graph.inputs), max(codes.hi for codes in graph.inputs)
        )
        result = CodeType(-half, half - 1)
        super().__init__(whole, len(graph.inputs), result, len(graph.outputs))

    def datapath(self, m, lanes, advance, accept):
        x = []
        for k, (lane, codes) in enumerate(zip(lanes, self.graph.inputs, strict=True)):
            narrow = Signal(code_shape(codes), name=f"x{k}")
            m.d.comb += narrow.eq(lane)
            x.append(narrow)
        rows = build_graph(m, self.graph, x, advance, "sum", self.depth, self.levels_per_stage)
        return [widen(row, WIDTH) for row in rows]


def simulate(component, samples):
    """Feed a sample a cycle; return what comes out `depth` cycles later."""
    results = []

    async def bench(ctx):
        ctx.set(component.o.ready, 1)
        ctx.set(component.i.valid, 1)
        bits = component.i_codes.to_bits(samples)
        for cycle in range(len(samples) + component.depth):
            if cycle >= component.depth:
                assert ctx.get(component.o.valid) == 1
                results.append([int(ctx.get(lane)) for lane in component.o.payload])
            else:
                assert ctx.get(component.o.valid) == 0
            for lane, word in enumerate(bits[min(cycle, len(samples) - 1)]):
                ctx.set(component.i.payload[lane], int(word))
            await ctx.tick()

    simulator = Simulator(component)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return np.array(results)


CASES = {
    "one weight": ([[5]], [(-8, 7)]),
    "powers of two and zero": ([[4, 0], [0, 0], [-2, 0]], [(0, 15), (-4, 3)]),
    "all negative": ([[-1, -3], [-5, -2]], [(-8, 7), (0, 3)]),
    "no overlap": ([[1, 16], [17, 5]], [(0, 15), (0, 15)]),
    "ternary": (np.random.default_rng(1).integers(-1, 2, (6, 8)), [(-8, 7)] * 8),
    "general": (np.random.default_rng(2).integers(-100, 100, (6, 6)), [(-128, 127)] * 6),
    "lopsided": (np.random.default_rng(3).integers(-30, 30, (4, 5)), [(3, 9)] * 4 + [(-7, -2)]),
}


@pytest.mark.parametrize("levels_per_stage", [1, 2, 3])
@pytest.mark.parametrize("case", sorted(CASES))
def test_datapath_equals_evaluate(case, levels_per_stage):
    weights, ends = CASES[case]
    matrix = np.asarray(weights, dtype=np.int64)
    inputs = tuple(CodeType(lo, hi) for lo, hi in ends)
    graph = solve(matrix, inputs, SolveOptions(effort=0.01))
    component = GraphPipeline(graph, levels_per_stage, extra=1)
    samples = corners(inputs, samples=12)
    assert np.array_equal(simulate(component, samples), samples @ matrix.T)


@pytest.mark.parametrize(
    ("depth", "levels_per_stage", "latency"), [(0, 1, 0), (5, 1, 5), (5, 2, 3), (4, 4, 1)]
)
def test_latency(depth, levels_per_stage, latency):
    assert graph_latency(depth, levels_per_stage) == latency


@pytest.mark.parametrize("levels_per_stage", [1, 2, 3])
def test_registers_are_as_counted(levels_per_stage):
    weights, ends = CASES["general"]
    inputs = tuple(CodeType(lo, hi) for lo, hi in ends)
    graph = solve(weights, inputs)
    latency = graph_latency(graph.depth(), levels_per_stage) + 1
    datapath = AdderGraphDatapath(
        graph, [Signal(code_shape(codes)) for codes in inputs], "sum", levels_per_stage
    )
    datapath.outputs(latency)
    built = sum(len(signal) for signal, _ in datapath.registered)
    assert built == graph_registers(graph, latency, levels_per_stage)
