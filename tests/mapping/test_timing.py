"""Predicted interval and latency of whole networks equal what the simulated hardware does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hwgen.ir import Graph, verify
from hwgen.mapping.streams import connect_lanes, insert_fifos
from hwgen.mapping.timing import interval_cycles, latency_cycles
from hwgen.ops.fifo import Fifo
from tests.mapping.cycle_probe import measure
from tests.mapping.networks import random_network, residual_network

FRAMES = 6


def mapped(graph: Graph) -> Graph:
    graph = insert_fifos(connect_lanes(graph))
    verify(graph)
    return graph


def frames_for(graph: Graph, count: int) -> np.ndarray:
    codes = graph.inputs[0].type.codes
    shape = (count, *graph.inputs[0].type.shape)
    return np.random.default_rng(0).integers(codes.lo, codes.hi + 1, shape)


NETWORKS = {
    **{f"chain{seed}": random_network(seed) for seed in range(8)},
    **{f"residual{seed}": residual_network(seed) for seed in range(4)},
}


@pytest.mark.sim
def test_prediction_equals_simulation(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Codes, latency of a lone frame, interval at full rate; codes again under random stalls."""
    graphs = [mapped(graph) for graph in NETWORKS.values()]
    frames = [frames_for(graph, FRAMES) for graph in graphs]
    folder = tmp_path_factory.mktemp("networks")
    patience = 2 * max(map(latency_cycles, graphs))
    found = dict(zip(NETWORKS, measure(graphs, frames, patience, folder), strict=True))
    assert [name for name, m in found.items() if not m.equal] == []
    assert [name for name, m in found.items() if not m.equal_under_stalls] == []
    predicted = {n: latency_cycles(g) for n, g in zip(NETWORKS, graphs, strict=True)}
    assert {name: m.latency for name, m in found.items()} == predicted
    # The first frames fill the FIFOs.
    steady = {n: [interval_cycles(g)] * (FRAMES - 3) for n, g in zip(NETWORKS, graphs, strict=True)}
    assert {name: m.intervals[2:] for name, m in found.items()} == steady


def test_fifos_appear_where_rhythms_differ() -> None:
    found = [n for g in NETWORKS.values() for n in mapped(g).nodes if isinstance(n.op, Fifo)]
    assert found


def test_lane_conversion_keeps_codes() -> None:
    graph = residual_network(3)
    connected = connect_lanes(graph)
    codes = frames_for(graph, 20)
    assert np.array_equal(graph.evaluate(codes), connected.evaluate(codes))


def test_inserted_nodes_never_take_a_name_of_the_model() -> None:
    graph = residual_network(1)
    inserted = {n.name for n in mapped(graph).nodes} - {n.name for n in graph.nodes}
    for name in sorted(inserted):
        old = graph.nodes[-1].name
        last = replace(graph.nodes[-1], name=name)
        renamed = replace(graph, nodes=(*graph.nodes[:-1], last), outputs=(name,))
        assert old != name
        assert len(mapped(renamed).nodes) == len(mapped(graph).nodes)
