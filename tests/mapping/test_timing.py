"""Predicted interval and latency of whole networks equal what the simulated hardware does."""

from __future__ import annotations

import numpy as np
import pytest
from amaranth import Module
from amaranth.lib.wiring import connect

from hwgen.accelerator.layer import LayerUnit
from hwgen.ir import Graph, verify
from hwgen.mapping.layers import group_layers
from hwgen.mapping.streams import connect_lanes, insert_fifos
from hwgen.mapping.timing import interval_cycles, latency_cycles
from hwgen.ops.fifo import Fifo
from hwgen.rtl.stream.component import StreamComponent
from tests.mapping.networks import random_network
from tests.ops.simulation import from_beats, simulate, to_beats

FRAMES = 6


class Chain(StreamComponent):
    """The layers of a graph, without the AXI boundary."""

    def __init__(self, graph: Graph) -> None:
        layers = group_layers(graph)
        self.units = [LayerUnit(graph, la) for la in layers]
        first, last = self.units[0], self.units[-1]
        super().__init__(first.i_codes, first.i_lanes, last.o_codes, last.o_lanes)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        upstream = None
        for k, unit in enumerate(self.units):
            m.submodules[f"unit{k}"] = unit
            if upstream is not None:
                connect(m, upstream.o, unit.i)
            upstream = unit
        for a, b in ((self.i, self.units[0].i), (self.units[-1].o, self.o)):
            m.d.comb += [b.payload.eq(a.payload), b.valid.eq(a.valid), a.ready.eq(b.ready)]
        return m


def mapped(seed: int, widths: tuple[int, ...] = (12, 8, 6, 4)) -> Graph:
    graph = insert_fifos(connect_lanes(random_network(seed, widths)))
    verify(graph)
    return graph


def frames_for(graph: Graph, count: int) -> np.ndarray:
    codes = graph.inputs[0].type.codes
    shape = (count, *graph.inputs[0].type.shape)
    return np.random.default_rng(0).integers(codes.lo, codes.hi + 1, shape)


@pytest.mark.parametrize("seed", range(30))
def test_prediction_equals_simulation(seed: int) -> None:
    graph = mapped(seed)
    chain, out = Chain(graph), graph.types[graph.outputs[0]]
    codes = frames_for(graph, FRAMES)
    beats = to_beats(codes, chain.i_codes, chain.i_lanes)
    per_frame = out.size // chain.o_lanes
    alone = simulate(Chain(graph), beats[: len(beats) // FRAMES], per_frame)
    assert alone.given_at[-1] - alone.taken_at[0] == latency_cycles(graph)
    many = simulate(chain, beats, FRAMES * per_frame)
    ends = many.given_at[per_frame - 1 :: per_frame]
    assert np.diff(ends)[2:].tolist() == [interval_cycles(graph)] * (FRAMES - 3)
    assert from_beats(many.beats, out.codes, chain.o_lanes).tolist() == (
        graph.evaluate(codes).ravel().tolist()
    )


@pytest.mark.parametrize("seed", range(0, 30, 5))
def test_codes_under_random_stalls(seed: int) -> None:
    graph = mapped(seed)
    chain, out = Chain(graph), graph.types[graph.outputs[0]]
    codes = frames_for(graph, FRAMES)
    beats = to_beats(codes, chain.i_codes, chain.i_lanes)
    run = simulate(chain, beats, FRAMES * out.size // chain.o_lanes, 0.3, 0.5, seed)
    assert run.violations == []
    assert from_beats(run.beats, out.codes, chain.o_lanes).tolist() == (
        graph.evaluate(codes).ravel().tolist()
    )


def test_fifos_appear_where_rhythms_differ() -> None:
    found = [n for seed in range(30) for n in mapped(seed).nodes if isinstance(n.op, Fifo)]
    assert found


def test_lane_conversion_keeps_codes() -> None:
    graph = random_network(3, (12, 8, 6, 4))
    connected = connect_lanes(graph)
    codes = frames_for(graph, 20)
    assert np.array_equal(graph.evaluate(codes), connected.evaluate(codes))
