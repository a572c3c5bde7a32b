"""The datapath equals the graph's evaluation, cycle for cycle."""

import numpy as np
import pytest
from amaranth import Signal
from amaranth.sim import Simulator

from hwgen.adders import FABRICS, SolveOptions, level_stages, place_registers, solve
from hwgen.numeric import CodeType
from hwgen.rtl.adder_graph import AdderGraphDatapath, build_graph, delay_lines
from hwgen.rtl.adder_tree import widen
from hwgen.rtl.stream.component import code_shape
from hwgen.rtl.stream.pipeline import Pipeline
from tests.adders.matrices import corners

WIDTH = 24


class GraphPipeline(Pipeline):
    """A graph between two stream ports, nothing else."""

    def __init__(self, graph, stages):
        self.graph, self.stages = graph, stages
        self.depth = stages.latency + 1
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
        rows = build_graph(m, self.graph, x, advance, "sum", self.stages)
        results = [Signal(len(widen(row, WIDTH)), name=f"y{k}") for k, row in enumerate(rows)]
        with m.If(advance):
            m.d.sync += [y.eq(widen(row, WIDTH)) for y, row in zip(results, rows, strict=True)]
        return results


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


def solved(case, operands=2):
    weights, ends = CASES[case]
    matrix = np.asarray(weights, dtype=np.int64)
    inputs = tuple(CodeType(lo, hi) for lo, hi in ends)
    return matrix, solve(matrix, inputs, SolveOptions(effort=0.01, operands=operands))


def pipelines(graph):
    """Return pipelines of every kind, from one stage to a stage for each adder and one more."""
    levels = [level_stages(graph, -(-graph.depth() // n) + 1, n) for n in (1, 2, 3)]
    clocks = [place_registers(graph, FABRICS["ecp5"], 1_000_000 // mhz) for mhz in (400, 150, 10)]
    return [*levels, *clocks]


@pytest.mark.parametrize("operands", [2, 3])
@pytest.mark.parametrize("case", sorted(CASES))
def test_datapath_equals_evaluate(case, operands):
    matrix, graph = solved(case, operands)
    samples = corners(graph.inputs, samples=12)
    for stages in pipelines(graph):
        component = GraphPipeline(graph, stages)
        assert np.array_equal(simulate(component, samples), samples @ matrix.T)


@pytest.mark.parametrize("operands", [2, 3])
def test_registers_are_as_counted(operands):
    _, graph = solved("general", operands)
    for stages in pipelines(graph):
        x = [Signal(code_shape(codes)) for codes in graph.inputs]
        datapath = AdderGraphDatapath(graph, x, "sum", stages)
        datapath.outputs()
        built = sum(len(signal) for signal, _ in datapath.registered)
        assert built == stages.register_bits(graph)
        assert built == delay_lines(graph, stages, FABRICS["ecp5"]).ff


def test_sums_read_in_their_own_stage_are_kept_wires():
    _, graph = solved("general")
    x = [Signal(code_shape(codes)) for codes in graph.inputs]
    for mhz, some in ((400, False), (10, True)):
        stages = place_registers(graph, FABRICS["ecp5"], 1_000_000 // mhz)
        datapath = AdderGraphDatapath(graph, x, "sum", stages)
        datapath.outputs()
        kept = [s for s, _ in datapath.combinational if s.attrs.get("keep") == "true"]
        assert len(kept) == len(datapath.combinational)
        assert not any("keep" in signal.attrs for signal, _ in datapath.registered)
        assert bool(len(kept) > len(graph.outputs)) is some
