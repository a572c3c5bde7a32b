"""Registers placed for a clock: every path has as many, none is too long, and no fewer would do."""

from itertools import pairwise, product

import numpy as np
import pytest
from amaranth import Signal
from hypothesis import assume, given
from hypothesis import strategies as st

from hwgen.adders import (
    FABRICS,
    Adder,
    AdderGraph,
    Fabric,
    Output,
    SolveOptions,
    Stages,
    level_stages,
    place_registers,
    shortest_period_ps,
    solve,
)
from hwgen.adders.retime import slowest_step_ps
from hwgen.errors import AdderGraphError
from hwgen.numeric import CodeType
from hwgen.rtl.adder_graph import AdderGraphDatapath
from hwgen.rtl.stream.component import code_shape
from tests.adders.matrices import intervals, matrices

BYTE = CodeType(-128, 127)
ECP5 = FABRICS["ecp5"]
fabrics = st.one_of(
    st.sampled_from(list(FABRICS.values())),
    st.builds(Fabric, st.integers(0, 900), st.integers(1, 2500), st.integers(0, 300)),
)


@st.composite
def graphs(draw, operands=2):
    """Return a graph that the solver made."""
    matrix = draw(matrices())
    return solve(matrix, draw(intervals(matrix.shape[1])), SolveOptions(operands=operands))


@st.composite
def pipelines(draw):
    """Return a graph, a fabric, a period and the registers for it."""
    graph, fabric = draw(graphs(draw(st.sampled_from([2, 3])))), draw(fabrics)
    period_ps = draw(st.integers(0, 20_000))
    return graph, fabric, period_ps, place_registers(graph, fabric, period_ps)


def arrivals(graph, stages, fabric):
    """Return the slowest path, bit by bit: the model without its short cut."""
    slowest, times = 0, [[None] * codes.width for codes in graph.inputs]
    bits = graph.adder_bits()

    def operand(node, shift, stage, place):
        same = stages.of[node] == stage and 0 <= place - shift < len(times[node])
        return times[node][place - shift] if same else None

    for k, (adder, cost) in enumerate(zip(graph.adders, bits, strict=True)):
        node = len(graph.inputs) + k
        width, stage = graph.intervals[node].width, stages.of[node]
        carry, found = None, []
        for place in range(width):
            arrived = [operand(n, s, stage, place) or 0 for n, s, _ in adder.operands]
            if place < width - cost:
                found.append(max(arrived) or None)
                continue
            rippled = [] if carry is None else [carry + fabric.carry_ps]
            carry = max(*arrived, *rippled)
            third = fabric.third_operand_ps if len(adder.operands) == 3 else 0
            found.append(carry + fabric.adder_ps + third)
        times.append(found)
        slowest = max([slowest, *(time for time in found if time)])
    return slowest + fabric.register_ps


@given(pipelines())
def test_no_path_is_longer_than_the_period(pipeline):
    graph, fabric, period_ps, stages = pipeline
    allowed = max(period_ps, slowest_step_ps(graph, fabric))
    assert stages.slowest_ps(graph, fabric) <= allowed
    assert arrivals(graph, stages, fabric) <= stages.slowest_ps(graph, fabric)


@given(pipelines())
def test_sums_of_three_are_read_behind_a_register(pipeline):
    graph, _, _, stages = pipeline
    first = len(graph.inputs)
    for k, adder in enumerate(graph.adders):
        for source, _, _ in adder.operands:
            if source >= first and len(graph.adders[source - first].operands) == 3:
                assert stages.of[source] < stages.of[first + k]


def signals_of(value):
    return value._rhs_signals()


@given(pipelines())
def test_every_path_has_as_many_registers(pipeline):
    graph, _, _, stages = pipeline
    x = [Signal(code_shape(codes), name=f"x{k}") for k, codes in enumerate(graph.inputs)]
    datapath = AdderGraphDatapath(graph, x, "sum", stages)
    rows = datapath.outputs()
    made = {id(s): (v, 0) for s, v in datapath.combinational}
    made |= {id(s): (v, 1) for s, v in datapath.registered}
    counts = {id(signal): {0} for signal in x}

    def registers(signal):
        if id(signal) not in counts:
            value, own = made[id(signal)]
            before = set().union(*(registers(s) for s in signals_of(value)))
            counts[id(signal)] = {count + own for count in before}
        return counts[id(signal)]

    for row, output in zip(rows, graph.outputs, strict=True):
        if output.node is not None:
            found = set().union(*(registers(s) for s in signals_of(row.value)))
            assert found == {stages.latency}


@given(graphs(), fabrics)
def test_never_more_registers_than_level_by_level(graph, fabric):
    levels = level_stages(graph, graph.depth())
    placed = place_registers(graph, fabric, levels.slowest_ps(graph, fabric), graph.depth())
    assert placed.latency == levels.latency
    assert placed.register_bits(graph) <= levels.register_bits(graph)


@given(graphs(), fabrics, st.integers(0, 12_000))
def test_no_fewer_stages_would_do(graph, fabric, period_ps):
    stages = place_registers(graph, fabric, period_ps)
    allowed = max(period_ps, slowest_step_ps(graph, fabric))
    assert shortest_period_ps(graph, fabric, stages.latency) <= allowed
    if stages.latency:
        assert shortest_period_ps(graph, fabric, stages.latency - 1) > allowed


def every_pipeline(graph, latency):
    """Yield all the ways to give stages to the adders."""
    first = len(graph.inputs)
    for stages in product(range(latency + 1), repeat=len(graph.adders)):
        of = (*[0] * first, *stages)
        ordered = all(
            of[operand] <= of[first + k]
            for k, adder in enumerate(graph.adders)
            for operand, _, _ in adder.operands
        )
        if ordered:
            yield Stages(of, latency)


@given(graphs(), fabrics, st.integers(0, 8_000), st.integers(0, 1))
def test_no_fewer_registers_would_do(graph, fabric, period_ps, more):
    assume(len(graph.adders) <= 6)
    placed = place_registers(graph, fabric, period_ps)
    assume(placed.latency + more <= 3)
    placed = place_registers(graph, fabric, period_ps, placed.latency + more)
    allowed = max(period_ps, slowest_step_ps(graph, fabric))
    best = min(
        stages.register_bits(graph)
        for stages in every_pipeline(graph, placed.latency)
        if stages.slowest_ps(graph, fabric) <= allowed
    )
    assert placed.register_bits(graph) == best


def chain(length):
    """x0 + x1 + x2 + ..., one after the other."""
    adders = [Adder(0, 1, 0)]
    adders += [Adder(length + k, k + 1, 0) for k in range(1, length)]
    return AdderGraph((BYTE,) * (length + 1), tuple(adders), (Output(2 * length),))


def test_levels_share_a_stage_at_low_clocks():
    graph = chain(6)
    latencies = [place_registers(graph, ECP5, 1_000_000 // mhz).latency for mhz in (300, 150, 60)]
    assert latencies == sorted(latencies, reverse=True)
    assert latencies[0] == 5
    assert latencies[-1] == 0


def test_a_wide_adder_gets_a_stage_of_its_own():
    wide = CodeType(-(1 << 30), (1 << 30) - 1)
    narrow = CodeType(0, 3)
    # (x0 + x1) is narrow, x2 wide.
    adders = (Adder(0, 1, 0), Adder(3, 2, 0), Adder(0, 1, 1), Adder(5, 3, 0))
    graph = AdderGraph((narrow, narrow, wide), adders, (Output(4), Output(6)))
    fabric = Fabric(register_ps=500, adder_ps=1000, carry_ps=100)
    stages = place_registers(graph, fabric, 1000)
    assert stages.of[4] > stages.of[3]  # whatever the clock asks for
    assert stages.of[6] == stages.of[3]  # three narrow ones are faster than the wide one


def test_negated_rows_count():
    graph = AdderGraph((BYTE, BYTE), (Adder(0, 1, 0),), (Output(2, 0, True),))
    alone = slowest_step_ps(graph, ECP5)
    assert place_registers(graph, ECP5, alone).latency == 1
    assert place_registers(graph, ECP5, 2 * alone).latency == 0


def test_the_same_every_time():
    graph = chain(8)
    fresh = place_registers.__wrapped__
    assert fresh(graph, ECP5, 5000) == fresh(graph, ECP5, 5000)


def test_three_operands_need_registers_at_any_clock():
    graph = solve(np.array([[1] * 9]), (BYTE,) * 9, SolveOptions(max_depth=2, operands=3))
    assert place_registers(graph, FABRICS["xcup"], 1_000_000).latency == 1
    with pytest.raises(AdderGraphError, match="0 registers on every path, expected at least 1"):
        shortest_period_ps(graph, FABRICS["xcup"], 0)


def test_too_few_registers_are_refused():
    with pytest.raises(
        AdderGraphError, match=r"0 registers on every path for 3\d+ ps, expected at least 3"
    ):
        place_registers(chain(4), ECP5, 3000, 0)


def test_fabrics_know_how_many_levels_fit():
    fabric = Fabric(register_ps=500, adder_ps=1000, carry_ps=100)
    for levels, period_ps in ((1, 0), (2, 4499), (3, 4500), (4, 5500)):
        assert fabric.levels(10, period_ps) == levels
    assert all(early <= late for early, late in pairwise(fabric.path_ps(k, 8) for k in range(5)))
